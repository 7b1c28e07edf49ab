//! One connection while it is used, and what becomes of it afterwards.

use std::mem;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Executor, Postgres, Sqlite};

use super::audit_writer::ChainAppend;
use super::statement::{Sql, SqlRow, SqlValue, bind};
use super::sqlx_error::failure;
use super::{Result, StoreError};

/// How long a connection may take to be tidied up for the next one who needs it.
const TIDYING: Duration = Duration::from_secs(1);

/// A connection from a pool. Where its last statement failed or was never awaited to its end, nobody
/// knows what state it is in: such a connection is closed at once, and not given back.
pub(super) struct Connection {
    link: Option<ConnectionKind>,
    state: State,
    /// What the transaction adds to the audit.
    page: Option<ChainAppend>,
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
    pub(super) fn new(link: ConnectionKind) -> Self {
        Self { link: Some(link), state: State::Idle, page: None }
    }

    /// Runs a statement and tells how many rows it concerned.
    pub(super) async fn run(&mut self, sql: impl Into<Sql>, values: &[SqlValue<'_>]) -> Result<u64> {
        let (sql, before) = (sql.into(), mem::replace(&mut self.state, State::Unknown));
        let done = match &mut self.link {
            Some(ConnectionKind::Sqlite(link)) => {
                bind(sql.sqlite, values).execute(&mut **link).await.map(|done| done.rows_affected())
            }
            Some(ConnectionKind::Postgres(link)) => {
                bind(sql.postgres, values).execute(&mut **link).await.map(|done| done.rows_affected())
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        self.settle(before, done)
    }

    /// Runs a query.
    pub(super) async fn rows(&mut self, sql: impl Into<Sql>, values: &[SqlValue<'_>]) -> Result<Vec<SqlRow>> {
        let (sql, before) = (sql.into(), mem::replace(&mut self.state, State::Unknown));
        let done = match &mut self.link {
            Some(ConnectionKind::Sqlite(link)) => {
                let rows = bind(sql.sqlite, values).fetch_all(&mut **link).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Sqlite).collect())
            }
            Some(ConnectionKind::Postgres(link)) => {
                let rows = bind(sql.postgres, values).fetch_all(&mut **link).await;
                rows.map(|rows| rows.into_iter().map(SqlRow::Postgres).collect())
            }
            None => Err(sqlx::Error::PoolClosed),
        };
        self.settle(before, done)
    }

    /// Runs a query that has one row at most.
    pub(super) async fn row(
        &mut self,
        sql: impl Into<Sql>,
        values: &[SqlValue<'_>],
    ) -> Result<Option<SqlRow>> {
        Ok(self.rows(sql, values).await?.pop())
    }

    /// Runs several statements, which take no parameters.
    pub(super) async fn script(&mut self, sql: Sql) -> Result<()> {
        let before = mem::replace(&mut self.state, State::Unknown);
        let done = match &mut self.link {
            Some(ConnectionKind::Sqlite(link)) => link.execute(sqlx::raw_sql(sql.sqlite)).await.map(drop),
            Some(ConnectionKind::Postgres(link)) => link.execute(sqlx::raw_sql(sql.postgres)).await.map(drop),
            None => Err(sqlx::Error::PoolClosed),
        };
        self.settle(before, done)
    }

    /// Begins a transaction that writes; in SQLite it is alone from here on.
    pub(super) async fn begin(&mut self) -> Result<()> {
        self.run(Sql { sqlite: "BEGIN IMMEDIATE", postgres: "BEGIN" }, &[]).await?;
        self.state = State::InTransaction;
        Ok(())
    }

    /// The page of the audit that this transaction writes on, taken where it has none yet.
    pub(super) fn page(&mut self, take: impl FnOnce() -> ChainAppend) -> &mut ChainAppend {
        self.page.get_or_insert_with(take)
    }

    /// Has nobody add to the page's chain any more.
    pub(super) fn spoil_page(&mut self) {
        if let Some(page) = &mut self.page {
            page.spoil();
        }
    }

    /// Makes what the transaction changed last.
    pub(super) async fn commit(mut self) -> Result<()> {
        let mut page = self.page.take();
        if let Some(page) = &mut page {
            page.close(&mut self).await?;
        }
        self.run("COMMIT", &[]).await?;
        if let Some(page) = page {
            page.committed();
        }
        self.state = State::Idle;
        Ok(())
    }

    fn settle<T>(&mut self, before: State, done: Result<T, sqlx::Error>) -> Result<T> {
        let done = done.map_err(failure);
        // A collision is an answer: the connection is as good as before.
        if matches!(done, Ok(_) | Err(StoreError::Conflict(_))) {
            self.state = before;
        }
        done
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(link) = self.link.take() else { return };
        match (self.state, tokio::runtime::Handle::try_current()) {
            (State::Unknown, _) | (_, Err(_)) => link.cut(),
            (state, Ok(runtime)) => {
                let tidied = link.give_back(state == State::InTransaction);
                runtime.spawn(async { tokio::time::timeout(TIDYING, tidied).await });
            }
        }
    }
}

impl ConnectionKind {
    /// Gives the connection back to its pool, which tries it once more. Where this takes too long
    /// and is dropped, the connection is closed: a frozen server must not hold a place in the pool.
    async fn give_back(self, roll_back: bool) {
        match self {
            Self::Sqlite(link) => give_back(link, roll_back).await,
            Self::Postgres(link) => give_back(link, roll_back).await,
        }
    }

    fn cut(self) {
        match self {
            Self::Sqlite(link) => drop(link.detach()),
            Self::Postgres(link) => drop(link.detach()),
        }
    }
}

async fn give_back<Db: sqlx::Database>(link: PoolConnection<Db>, roll_back: bool)
where
    for<'c> &'c mut Db::Connection: Executor<'c, Database = Db>,
{
    let mut link = PooledConnection(Some(link));
    let Some(connection) = &mut link.0 else { return };
    if roll_back && (&mut **connection).execute("ROLLBACK").await.is_err() {
        return;
    }
    if let Some(mut connection) = link.0.take() {
        connection.return_to_pool().await;
    }
}

/// A connection that is closed unless it is taken out.
struct PooledConnection<Db: sqlx::Database>(Option<PoolConnection<Db>>);

impl<Db: sqlx::Database> Drop for PooledConnection<Db> {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            drop(link.detach());
        }
    }
}
