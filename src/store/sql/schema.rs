//! The versions of the schema, and the migration from one to the next. A released migration never changes.

use super::change_log::lock_numbering;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::Sql;
use crate::crypto::sha256_hex;
use crate::store::Result;

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
pub(super) const CURRENT_VERSION: usize = MIGRATIONS.len();

/// The report of a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrationReport {
    /// The version it had; 0 for an empty database.
    pub from: usize,
    /// The version it has now.
    pub to: usize,
}

/// The state of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SchemaState {
    /// At this version, which is [`CURRENT_VERSION`] or older.
    At(usize),
    /// At this version, which this program does not know.
    Newer(usize),
    /// The migration to this version is not the one that was applied.
    Altered(usize),
}

/// Returns the state of the schema.
pub(super) async fn state_of(engine: &Engine) -> Result<SchemaState> {
    let mut connection = engine.writer().await?;
    read_state(engine, &mut connection).await
}

/// Migrates an older schema to [`CURRENT_VERSION`], as a whole or not at all, and returns its state before. A newer
/// or altered schema is left as it is.
pub(super) async fn migrate(engine: &Engine) -> Result<SchemaState> {
    let mut connection = engine.begin().await?;
    connection.execute(Sql { sqlite: "SELECT 1", postgres: "SET LOCAL statement_timeout = 0" }, &[]).await?;
    lock_numbering(&mut connection).await?;
    let state = read_state(engine, &mut connection).await?;
    let SchemaState::At(from) = state else { return Ok(state) };
    if from == 0 {
        let sql =
            "CREATE TABLE schema_versions (version BIGINT NOT NULL PRIMARY KEY, checksum TEXT NOT NULL)";
        connection.execute(sql, &[]).await?;
    }
    for (version, migration) in (1..).zip(MIGRATIONS).skip(from) {
        connection.execute_script(migration).await?;
        let sql = "INSERT INTO schema_versions (version, checksum) VALUES ($1, $2)";
        connection.execute(sql, &[version.into(), (&checksum(engine, migration)).into()]).await?;
    }
    connection.commit().await?;
    Ok(state)
}

async fn read_state(engine: &Engine, connection: &mut Connection) -> Result<SchemaState> {
    let sql = Sql {
        sqlite: "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_versions'",
        postgres: "SELECT 1 WHERE to_regclass('schema_versions') IS NOT NULL",
    };
    if connection.fetch_optional(sql, &[]).await?.is_none() {
        return Ok(SchemaState::At(0));
    }
    let rows =
        connection.fetch_all("SELECT version, checksum FROM schema_versions ORDER BY version", &[]).await?;
    for (version, (row, migration)) in (1..).zip(rows.iter().zip(MIGRATIONS)) {
        if row.get::<String>("checksum") != Some(checksum(engine, migration)) {
            return Ok(SchemaState::Altered(version));
        }
    }
    Ok(if rows.len() > CURRENT_VERSION {
        SchemaState::Newer(rows.len())
    } else {
        SchemaState::At(rows.len())
    })
}

fn checksum(engine: &Engine, migration: Sql) -> String {
    let text = match engine {
        Engine::Sqlite { .. } => migration.sqlite,
        Engine::Postgres(_) => migration.postgres,
    };
    sha256_hex(text.as_bytes())
}
