//! Opening and migrating a database: it decides who may open one, and checks that its schema fits.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::engine::Engine;
use super::instance_lock::{self, InstanceLock, SessionLock};
use super::schema::{CURRENT_VERSION, MigrationReport, SchemaState};
use super::timeout::with_timeout;
use super::{SqlStore, postgres, schema, sqlite};
use crate::config::DatabaseUrl;
use crate::crypto::Vault;
use crate::store::{OpenError, Store, StoreError};

/// The way to open a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// As the service, of which there can be only one at a time.
    Exclusive,
    /// As a command, which may run beside the service.
    Shared,
}

/// Opens a database. An SQLite file is created and migrated if necessary; a Postgres database must have been
/// migrated.
///
/// # Errors
/// If the database does not answer, has another schema, or belongs to another `serve`.
pub async fn open(url: &DatabaseUrl, vault: Arc<Vault>, mode: OpenMode) -> Result<Arc<dyn Store>, OpenError> {
    let database = Database::new(url)?;
    let lock = match url {
        DatabaseUrl::Sqlite(path) => database.open_file(path, mode).await?.map(InstanceLock::File),
        DatabaseUrl::Postgres(_) => database.open_server(mode).await?.map(InstanceLock::Session),
    };
    Ok(Arc::new(SqlStore::new(database.engine, vault, lock)))
}

/// Migrates the schema of a database to the version that this program works with; an SQLite file is created if
/// there is none.
///
/// # Errors
/// If the database does not answer, is newer than the program, or is a file that a `serve` works on.
pub async fn migrate(url: &DatabaseUrl) -> Result<MigrationReport, OpenError> {
    let database = Database::new(url)?;
    let _lock = match url {
        DatabaseUrl::Sqlite(path) => Some(lock(path)?),
        DatabaseUrl::Postgres(_) => {
            database.check_connection().await?;
            None
        }
    };
    let from = database.migrate().await?;
    Ok(MigrationReport { from, to: CURRENT_VERSION })
}

/// The number of retries on a file whose schema another process is creating; each takes about a second.
const SCHEMA_RETRIES: usize = 5;

/// A database, and its name for messages: without user and password.
struct Database {
    engine: Engine,
    name: String,
}

impl Database {
    fn new(url: &DatabaseUrl) -> Result<Self, OpenError> {
        match url {
            DatabaseUrl::Sqlite(path) if path.is_dir() => Err(OpenError::Folder { path: path.clone() }),
            DatabaseUrl::Sqlite(path) => {
                sqlite::create(path).map_err(|error| file_error(path, &error))?;
                Ok(Self { engine: sqlite::open_pools(path), name: path.display().to_string() })
            }
            DatabaseUrl::Postgres(url) => {
                let (engine, name) = postgres::open_pool(url).map_err(|_| OpenError::Url)?;
                Ok(Self { engine, name })
            }
        }
    }

    /// Checks that the server accepts connections: a pool would only report that it waited.
    async fn check_connection(&self) -> Result<(), OpenError> {
        let Engine::Postgres(pool) = &self.engine else { return Ok(()) };
        let session = instance_lock::connect(&pool.connect_options()).await;
        session.map(drop).map_err(|reason| self.error(reason))
    }

    async fn open_server(&self, mode: OpenMode) -> Result<Option<SessionLock>, OpenError> {
        self.check_connection().await?;
        let state = with_timeout(schema::state_of(&self.engine)).await;
        let found = self.check_state(state)?;
        if found < CURRENT_VERSION {
            let database = self.name.clone();
            return Err(OpenError::OldSchema { database, found, needed: CURRENT_VERSION });
        }
        let Engine::Postgres(pool) = &self.engine else { return Ok(None) };
        if mode == OpenMode::Shared {
            return Ok(None);
        }
        match instance_lock::acquire(&pool.connect_options()).await {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => Err(OpenError::AnotherServe { database: self.name.clone() }),
            Err(reason) => Err(self.error(reason)),
        }
    }

    fn error(&self, reason: StoreError) -> OpenError {
        OpenError::Database { database: self.name.clone(), reason }
    }

    async fn open_file(&self, path: &Path, mode: OpenMode) -> Result<Option<File>, OpenError> {
        if mode == OpenMode::Exclusive {
            let lock = lock_with_retries(path).await?;
            self.migrate().await?;
            return Ok(Some(lock));
        }
        let state = retry_while_locked(async || with_timeout(schema::state_of(&self.engine)).await).await;
        match self.check_state(state)? {
            CURRENT_VERSION => {}
            0 => {
                let created = retry_while_locked(async || schema::migrate(&self.engine).await).await;
                self.check_state(created)?;
            }
            // A running `serve` works with the schema as it is.
            _ => {
                let _lock = lock(path)?;
                self.migrate().await?;
            }
        }
        Ok(None)
    }

    /// Migrates the schema and returns the version that it had before.
    async fn migrate(&self) -> Result<usize, OpenError> {
        let state = schema::migrate(&self.engine).await;
        self.check_state(state)
    }

    /// Returns the version of the schema, if this program can work with it or migrate it.
    fn check_state(&self, state: crate::store::Result<SchemaState>) -> Result<usize, OpenError> {
        let database = self.name.clone();
        match state {
            Ok(SchemaState::At(version)) => Ok(version),
            Ok(SchemaState::Newer(found)) => {
                Err(OpenError::NewerSchema { database, found, known: CURRENT_VERSION })
            }
            Ok(SchemaState::Altered(version)) => Err(OpenError::ForeignSchema { database, version }),
            Err(reason) => Err(self.error(reason)),
        }
    }
}

/// Retries while another process creates the schema and keeps it locked.
async fn retry_while_locked<T>(attempt: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 0..SCHEMA_RETRIES {
        match attempt().await {
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(instance_lock::RETRY_INTERVAL).await,
            result => return result,
        }
    }
    attempt().await
}

/// Locks the file of a database, and waits for a `serve` that is just ending.
async fn lock_with_retries(path: &Path) -> Result<File, OpenError> {
    let attempts = async {
        loop {
            match lock(path) {
                Err(OpenError::AnotherServe { .. }) => {
                    tokio::time::sleep(instance_lock::RETRY_INTERVAL).await
                }
                result => return result,
            }
        }
    };
    tokio::time::timeout(instance_lock::ACQUIRE_TIMEOUT, attempts).await.unwrap_or_else(|_| lock(path))
}

fn lock(path: &Path) -> Result<File, OpenError> {
    match sqlite::lock(path) {
        Ok(Some(lock)) => Ok(lock),
        Ok(None) => Err(OpenError::AnotherServe { database: path.display().to_string() }),
        Err(error) => Err(file_error(path, &error)),
    }
}

fn file_error(path: &Path, error: &std::io::Error) -> OpenError {
    OpenError::File { path: path.to_owned(), reason: error.to_string() }
}
