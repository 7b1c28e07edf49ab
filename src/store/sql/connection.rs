//! A pooled connection while it is in use, and how it returns to its pool.

use std::mem;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, Postgres, Sqlite};

use super::sqlx_error::store_error;
use super::statement::{Sql, SqlRow, SqlValue, bind};
use crate::store::{Result, StoreError};

/// The time that a connection may take to return to its pool.
const RETURN_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection from a pool. If its last statement failed or was dropped before its end, the state of the
/// connection is unknown: it is closed at once and does not return to the pool.
pub(super) struct Connection {
    inner: Option<ConnectionKind>,
    state: State,
}

pub(super) enum ConnectionKind {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    InTransaction,
    Unknown,
}

impl Connection {
    pub(super) fn new(inner: ConnectionKind) -> Self {
        Self { inner: Some(inner), state: State::Idle }
    }

    /// Runs a statement and returns the number of rows that it affected.
    pub(super) async fn execute(&mut self, sql: impl Into<Sql>, values: &[SqlValue<'_>]) -> Result<u64> {
        let (sql, before) = (sql.into(), mem::replace(&mut self.state, State::Unknown));
        let done = match &mut self.inner {
            Some(ConnectionKind::Sqlite(inner)) => {
                bind(sql.sqlite, values).execute(&mut **inner).await.map(|done| done.rows_affected())
            }
            Some(ConnectionKind::Postgres(inner)) => {
                bind(sql.postgres, values).execute(&mut **inner).await.map(|done| done.rows_affected())
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        self.finish_statement(before, done)
    }

    /// Runs a query and returns its rows.
    pub(super) async fn fetch_all(
        &mut self,
        sql: impl Into<Sql>,
        values: &[SqlValue<'_>],
    ) -> Result<Vec<SqlRow>> {
        let (sql, before) = (sql.into(), mem::replace(&mut self.state, State::Unknown));
        let done = match &mut self.inner {
            Some(ConnectionKind::Sqlite(inner)) => {
                let rows = bind(sql.sqlite, values).fetch_all(&mut **inner).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Sqlite).collect())
            }
            Some(ConnectionKind::Postgres(inner)) => {
                let rows = bind(sql.postgres, values).fetch_all(&mut **inner).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Postgres).collect())
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        self.finish_statement(before, done)
    }

    /// Runs a query that returns one row at most.
    pub(super) async fn fetch_optional(
        &mut self,
        sql: impl Into<Sql>,
        values: &[SqlValue<'_>],
    ) -> Result<Option<SqlRow>> {
        Ok(self.fetch_all(sql, values).await?.pop())
    }

    /// Runs several statements without parameters.
    pub(super) async fn execute_script(&mut self, sql: Sql) -> Result<()> {
        let before = mem::replace(&mut self.state, State::Unknown);
        let done = match &mut self.inner {
            Some(ConnectionKind::Sqlite(inner)) => inner.execute(sqlx::raw_sql(sql.sqlite)).await.map(drop),
            Some(ConnectionKind::Postgres(inner)) => {
                inner.execute(sqlx::raw_sql(sql.postgres)).await.map(drop)
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        self.finish_statement(before, done)
    }

    /// Begins a transaction that writes; in SQLite no other transaction can write until it ends.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.execute(Sql { sqlite: "BEGIN IMMEDIATE", postgres: "BEGIN" }, &[]).await?;
        self.state = State::InTransaction;
        Ok(())
    }

    /// Commits the transaction.
    pub(super) async fn commit(mut self) -> Result<()> {
        self.execute("COMMIT", &[]).await?;
        self.state = State::Idle;
        Ok(())
    }

    fn finish_statement<T>(&mut self, before: State, done: Result<T, sqlx::Error>) -> Result<T> {
        let done = done.map_err(store_error);
        // A conflict is a regular answer and leaves the connection usable.
        if matches!(done, Ok(_) | Err(StoreError::Conflict(_))) {
            self.state = before;
        }
        done
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(inner) = self.inner.take() else { return };
        match (self.state, tokio::runtime::Handle::try_current()) {
            (State::Unknown, _) | (_, Err(_)) => inner.close(),
            (state, Ok(runtime)) => {
                let returned = inner.return_to_pool(state == State::InTransaction);
                runtime.spawn(async { tokio::time::timeout(RETURN_TIMEOUT, returned).await });
            }
        }
    }
}

impl ConnectionKind {
    /// Returns the connection to its pool, which tests it. If this takes too long and is dropped, the
    /// connection is closed: a frozen server must not occupy a place in the pool.
    async fn return_to_pool(self, roll_back: bool) {
        match self {
            Self::Sqlite(inner) => return_to_pool(inner, roll_back).await,
            Self::Postgres(inner) => return_to_pool(inner, roll_back).await,
        }
    }

    fn close(self) {
        match self {
            Self::Sqlite(inner) => drop(inner.detach()),
            Self::Postgres(inner) => drop(inner.detach()),
        }
    }
}

async fn return_to_pool<Db: sqlx::Database>(connection: PoolConnection<Db>, roll_back: bool)
where
    for<'c> &'c mut Db::Connection: Executor<'c, Database = Db>,
{
    let mut guard = ClosedOnDrop(Some(connection));
    let Some(connection) = &mut guard.0 else { return };
    if roll_back && (&mut **connection).execute("ROLLBACK").await.is_err() {
        return;
    }
    if let Some(mut connection) = guard.0.take() {
        connection.return_to_pool().await;
    }
}

/// A guard that closes its connection on drop, unless the connection was taken out.
struct ClosedOnDrop<Db: sqlx::Database>(Option<PoolConnection<Db>>);

impl<Db: sqlx::Database> Drop for ClosedOnDrop<Db> {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(connection.detach());
        }
    }
}
