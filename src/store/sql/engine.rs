//! The two engines as one: where connections come from.

use sqlx::{PgPool, SqlitePool};

use super::Result;
use super::connection::{Connection, ConnectionKind};
use super::sqlx_error::failure;
use super::time_limit::bounded;

/// An open database.
#[derive(Debug)]
pub(super) enum Engine {
    /// One connection that writes, and a few that only read.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

impl Engine {
    /// A connection for single queries.
    pub(super) async fn read(&self) -> Result<Connection> {
        Ok(Connection::new(match self {
            Self::Sqlite { readers, .. } => ConnectionKind::Sqlite(readers.acquire().await.map_err(failure)?),
            Self::Postgres(pool) => ConnectionKind::Postgres(pool.acquire().await.map_err(failure)?),
        }))
    }

    /// A connection on which a transaction has begun; it is undone unless it is committed.
    pub(super) async fn write(&self) -> Result<Connection> {
        let mut session = self.write_plainly().await?;
        session.begin().await?;
        Ok(session)
    }

    /// A connection that may write, without a transaction.
    pub(super) async fn write_plainly(&self) -> Result<Connection> {
        Ok(Connection::new(match self {
            Self::Sqlite { writer, .. } => ConnectionKind::Sqlite(writer.acquire().await.map_err(failure)?),
            Self::Postgres(pool) => ConnectionKind::Postgres(pool.acquire().await.map_err(failure)?),
        }))
    }

    /// Overwrites what was erased in the files themselves. SQLite keeps old pages in its write-ahead
    /// log until that is begun anew; Postgres keeps old rows until it vacuums.
    pub(super) async fn scrub(&self) {
        let Self::Sqlite { .. } = self else { return };
        let done = bounded(async {
            let row = self.write_plainly().await?.row("PRAGMA wal_checkpoint(TRUNCATE)", &[]).await?;
            Ok(row.and_then(|row| row.get::<i64>("busy")) == Some(0))
        });
        if !matches!(done.await, Ok(true)) {
            tracing::warn!("erased rows stay in the write-ahead log until the next checkpoint");
        }
    }
}
