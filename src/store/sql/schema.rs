//! The schema's versions. A migration that was ever released is never changed again.

use super::Result;
use super::change_log::alone;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::Sql;
use crate::crypto::sha256_hex;

/// The migrations in their order; the first brings the schema to version 1.
const MIGRATIONS: [Sql; 6] = [
    Sql {
        sqlite: include_str!("../../../migrations/sqlite/0001_foundation.sql"),
        postgres: include_str!("../../../migrations/postgres/0001_foundation.sql"),
    },
    Sql {
        sqlite: include_str!("../../../migrations/sqlite/0002_credentials_that_change.sql"),
        postgres: include_str!("../../../migrations/postgres/0002_credentials_that_change.sql"),
    },
    Sql {
        sqlite: include_str!("../../../migrations/sqlite/0003_audit.sql"),
        postgres: include_str!("../../../migrations/postgres/0003_audit.sql"),
    },
    Sql {
        sqlite: include_str!("../../../migrations/sqlite/0004_trusts.sql"),
        postgres: include_str!("../../../migrations/postgres/0004_trusts.sql"),
    },
    Sql {
        sqlite: include_str!("../../../migrations/sqlite/0005_browser_sessions.sql"),
        postgres: include_str!("../../../migrations/postgres/0005_browser_sessions.sql"),
    },
    Sql {
        sqlite: include_str!("../../../migrations/sqlite/0006_given.sql"),
        postgres: include_str!("../../../migrations/postgres/0006_given.sql"),
    },
];

/// The version that this program works with.
pub(super) const CURRENT: usize = MIGRATIONS.len();

/// What a migration did to the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The version it had; 0 for an empty database.
    pub from: usize,
    /// The version it has now.
    pub to: usize,
}

/// Where a schema stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// At this version, which is [`CURRENT`] or older.
    At(usize),
    /// At this version, which this program does not know.
    Newer(usize),
    /// The migration to this version is not the one that was applied.
    Altered(usize),
}

/// Where the schema stands.
pub(super) async fn standing(engine: &Engine) -> Result<SchemaState> {
    let mut session = engine.write_plainly().await?;
    read_standing(engine, &mut session).await
}

/// Brings an older schema to [`CURRENT`], as a whole or not at all, and tells where it stood before.
/// What is newer or altered is left as it is.
pub(super) async fn migrate(engine: &Engine) -> Result<SchemaState> {
    let mut session = engine.write().await?;
    session.run(Sql { sqlite: "SELECT 1", postgres: "SET LOCAL statement_timeout = 0" }, &[]).await?;
    alone(&mut session).await?;
    let standing = read_standing(engine, &mut session).await?;
    let SchemaState::At(from) = standing else { return Ok(standing) };
    if from == 0 {
        let sql =
            "CREATE TABLE schema_versions (version BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)";
        session.run(sql, &[]).await?;
    }
    for (version, migration) in (1..).zip(MIGRATIONS).skip(from) {
        session.script(migration).await?;
        let sql = "INSERT INTO schema_versions (version, checksum) VALUES ($1, $2)";
        session.run(sql, &[version.into(), (&checksum(engine, migration)).into()]).await?;
    }
    session.commit().await?;
    Ok(standing)
}

async fn read_standing(engine: &Engine, session: &mut Connection) -> Result<SchemaState> {
    let sql = Sql {
        sqlite: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_versions'",
        postgres: "SELECT 1 WHERE to_regclass('schema_versions') IS NOT NULL",
    };
    if session.row(sql, &[]).await?.is_none() {
        return Ok(SchemaState::At(0));
    }
    let rows = session.rows("SELECT version, checksum FROM schema_versions ORDER BY version", &[]).await?;
    for (version, (row, migration)) in (1..).zip(rows.iter().zip(MIGRATIONS)) {
        if row.get::<String>("checksum") != Some(checksum(engine, migration)) {
            return Ok(SchemaState::Altered(version));
        }
    }
    Ok(if rows.len() > CURRENT { SchemaState::Newer(rows.len()) } else { SchemaState::At(rows.len()) })
}

fn checksum(engine: &Engine, migration: Sql) -> String {
    let text = match engine {
        Engine::Sqlite { .. } => migration.sqlite,
        Engine::Postgres(_) => migration.postgres,
    };
    sha256_hex(text.as_bytes())
}
