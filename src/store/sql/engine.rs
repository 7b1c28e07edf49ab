//! The two database engines behind one type that hands out connections.

use sqlx::{PgPool, SqlitePool};

use super::connection::{Connection, ConnectionKind};
use super::sqlx_error::store_error;
use super::timeout::with_timeout;
use crate::store::Result;

/// An open database.
#[derive(Debug)]
pub(super) enum Engine {
    /// One connection that writes, and several that only read.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

impl Engine {
    /// Returns a connection for single queries.
    pub(super) async fn reader(&self) -> Result<Connection> {
        Ok(Connection::new(match self {
            Self::Sqlite { readers, .. } => {
                ConnectionKind::Sqlite(readers.acquire().await.map_err(store_error)?)
            }
            Self::Postgres(pool) => ConnectionKind::Postgres(pool.acquire().await.map_err(store_error)?),
        }))
    }

    /// Returns a connection on which a transaction has begun. The transaction is rolled back unless it is
    /// committed.
    pub(super) async fn begin(&self) -> Result<Connection> {
        let mut connection = self.writer().await?;
        connection.begin().await?;
        Ok(connection)
    }

    /// Returns a connection that can write, without a transaction.
    pub(super) async fn writer(&self) -> Result<Connection> {
        Ok(Connection::new(match self {
            Self::Sqlite { writer, .. } => {
                ConnectionKind::Sqlite(writer.acquire().await.map_err(store_error)?)
            }
            Self::Postgres(pool) => ConnectionKind::Postgres(pool.acquire().await.map_err(store_error)?),
        }))
    }

    /// Removes erased rows from the write-ahead log of SQLite, which keeps old pages until it is truncated.
    /// Postgres keeps old rows until it vacuums.
    pub(super) async fn truncate_wal(&self) {
        let Self::Sqlite { .. } = self else { return };
        let done = with_timeout(async {
            let row = self.writer().await?.fetch_optional("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await?;
            Ok(row.and_then(|row| row.get::<i64>("busy")) == Some(0))
        });
        if !matches!(done.await, Ok(true)) {
            tracing::warn!("erased rows stay in the write-ahead log until the next checkpoint");
        }
    }
}
