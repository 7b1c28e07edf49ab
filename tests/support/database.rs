//! A fresh database of either engine, and a hand in it that goes around the store.

use std::path::PathBuf;

use box_token_broker::config::DatabaseUrl;
use box_token_broker::entropy::{SystemEntropy, random_base62};
use box_token_broker::secret::SecretString;
use box_token_broker::store;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Executor, Row};

/// A database of one test's own, with its schema.
pub(crate) struct Database {
    pub(crate) url: DatabaseUrl,
    pub(crate) hand: Hand,
    folder: Option<tempfile::TempDir>,
}

/// Somebody with the database in their hands.
pub(crate) enum Hand {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl Database {
    /// A file in a folder of its own.
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broker.db");
        let url = DatabaseUrl::Sqlite(path.clone());
        store::migrate(&url).await.unwrap();
        // Foreign keys are a connection's own choice in SQLite: this hand does not care for them.
        let options = SqliteConnectOptions::new().filename(&path).foreign_keys(false);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        Self { url, hand: Hand::Sqlite(pool), folder: Some(folder) }
    }

    /// A database on the server that `BTB_TEST_POSTGRES_URL` names.
    pub(crate) async fn postgres() -> Self {
        let url = new_postgres_database().await;
        store::migrate(&url).await.unwrap();
        let pool = PgPoolOptions::new().max_connections(1).connect(postgres_url(&url)).await.unwrap();
        // Nor does this one: triggers, and with them foreign keys, stay silent.
        pool.execute("SET session_replication_role = replica").await.unwrap();
        Self { url, hand: Hand::Postgres(pool), folder: None }
    }

    /// The database's file.
    pub(crate) fn path(&self) -> PathBuf {
        match &self.url {
            DatabaseUrl::Sqlite(path) => path.clone(),
            DatabaseUrl::Postgres(_) => panic!("a Postgres database is no file"),
        }
    }

    /// What is left when a test has succeeded is removed.
    pub(crate) async fn end(self) {
        drop(self.folder);
        if let Hand::Postgres(pool) = self.hand {
            pool.close().await;
            let name = PgConnectOptions::clone(&pool.connect_options()).get_database().unwrap().to_owned();
            server()
                .await
                .execute(sqlx::raw_sql(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))))
                .await
                .unwrap();
        }
    }
}

pub(crate) fn postgres_url(url: &DatabaseUrl) -> &str {
    match url {
        DatabaseUrl::Postgres(url) => url.expose(),
        DatabaseUrl::Sqlite(_) => panic!("a file has no URL"),
    }
}

/// The server on which tests make databases.
pub(crate) async fn server() -> PgPool {
    PgPoolOptions::new().max_connections(1).connect(&server_url()).await.unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test's own setting")]
fn server_url() -> String {
    std::env::var("BTB_TEST_POSTGRES_URL").expect(
        "BTB_TEST_POSTGRES_URL names a Postgres server on which this user may make databases, as in \
         postgres://postgres@127.0.0.1:5432/postgres",
    )
}

/// An empty database.
pub(crate) async fn new_postgres_database() -> DatabaseUrl {
    let name = format!("btb_{}", random_base62(&SystemEntropy, 16).to_lowercase());
    server().await.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {name}")))).await.unwrap();
    let mut url = url::Url::parse(&server_url()).unwrap();
    url.set_path(&name);
    DatabaseUrl::Postgres(SecretString::new(url.into()))
}

impl Hand {
    /// Runs a statement; how many rows it concerned, or `None` where the database refuses it.
    pub(crate) async fn tries(&self, sql: &str) -> Option<u64> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(pool) => {
                pool.execute(sqlx::raw_sql(sql)).await.ok().map(|done| done.rows_affected())
            }
            Self::Postgres(pool) => {
                pool.execute(sqlx::raw_sql(sql)).await.ok().map(|done| done.rows_affected())
            }
        }
    }

    /// Runs a statement that the database takes.
    pub(crate) async fn does(&self, sql: &str) -> u64 {
        self.tries(sql).await.unwrap_or_else(|| panic!("refused: {sql}"))
    }

    /// The first column of each row, a text.
    pub(crate) async fn reads(&self, sql: &str) -> Vec<String> {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(pool) => {
                let rows = pool.fetch_all(sqlx::raw_sql(sql)).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Self::Postgres(pool) => {
                let rows = pool.fetch_all(sqlx::raw_sql(sql)).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// A table's columns, and whether each holds a text, a number or bytes.
    pub(crate) async fn columns(&self, table: &str) -> Vec<(String, Holds)> {
        let sql = match self {
            Self::Sqlite(_) => format!("SELECT name || ' ' || lower(type) FROM pragma_table_info('{table}')"),
            Self::Postgres(_) => format!(
                "SELECT column_name || ' ' || data_type FROM information_schema.columns
                 WHERE table_name = '{table}' ORDER BY ordinal_position"
            ),
        };
        let holds = |kind: &str| match kind {
            "text" => Holds::Text,
            "integer" | "bigint" => Holds::Number,
            "blob" | "bytea" => Holds::Bytes,
            other => panic!("a column of type {other}"),
        };
        let columns = self.reads(&sql).await;
        columns
            .iter()
            .map(|column| column.split_once(' ').unwrap())
            .map(|(name, kind)| (name.to_owned(), holds(kind)))
            .collect()
    }

    /// Bytes as the engine writes them.
    pub(crate) fn bytes(&self, hex: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{hex}'"),
            Self::Postgres(_) => format!("'\\x{hex}'::bytea"),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    Text,
    Number,
    Bytes,
}
