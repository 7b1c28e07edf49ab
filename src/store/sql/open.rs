//! Opening a database, and what can be wrong with it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::engine::Engine;
use super::instance_lock::{self, ServeLock};
use super::schema::{CURRENT, MigrationReport, SchemaState};
use super::SqlStore;
use super::time_limit::bounded;
use super::{Store, StoreError, postgres, schema, sqlite};
use crate::config::DatabaseUrl;
use crate::crypto::Vault;

/// Who opens a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The service. There can be one at a time.
    Exclusive,
    /// A command, which may work while the service does.
    Shared,
}

/// Why a database could not be opened: what is wrong, where, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The file could not be made or locked.
    #[error(
        "{path}: cannot make or open the database file: {reason}; make its folder and give it to this user"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The service runs already.
    #[error("{database}: another `serve` works on this database; stop it first")]
    AnotherServe {
        /// Which database.
        database: String,
    },
    /// The path is a folder's.
    #[error("{path}: this is a folder; name a file in it, as in `sqlite:{path}/broker.db`")]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The schema was not migrated yet.
    #[error(
        "{database}: the schema is at version {found} and must be at {needed}; run `box-token-broker migrate`"
    )]
    OldSchema {
        /// Which database.
        database: String,
        /// Its schema's version.
        found: usize,
        /// The version this program works with.
        needed: usize,
    },
    /// A newer program has been here.
    #[error(
        "{database}: the schema is at version {found} and this program knows {known}; run the newer program"
    )]
    NewerSchema {
        /// Which database.
        database: String,
        /// Its schema's version.
        found: usize,
        /// The version this program works with.
        known: usize,
    },
    /// The schema does not come from this program's migrations.
    #[error(
        "{database}: version {version} of the schema was made by another program; use a database of its own"
    )]
    ForeignSchema {
        /// Which database.
        database: String,
        /// The first version that differs.
        version: usize,
    },
    /// The URL is not one that the driver understands.
    #[error(
        "`database.url` is not a Postgres URL that can be used; write `postgres://USER:PASSWORD@HOST/DATABASE`"
    )]
    Url,
    /// The database does not let itself be used.
    #[error("{database}: {reason}; check `database.url`, and that the database runs and lets this user in")]
    Database {
        /// Which database.
        database: String,
        /// What it says.
        reason: StoreError,
    },
}

/// Opens a database for use. An SQLite file is made and migrated where needed; Postgres must have
/// been migrated.
///
/// # Errors
/// Where the database does not answer, is at another schema, or belongs to another `serve`.
pub async fn open(url: &DatabaseUrl, vault: Arc<Vault>, how: OpenMode) -> Result<Arc<dyn Store>, OpenError> {
    let database = DisplayUrl::new(url)?;
    let lock = match url {
        DatabaseUrl::Sqlite(path) => database.open_file(path, how).await?.map(InstanceLock::File),
        DatabaseUrl::Postgres(_) => database.open_server(how).await?.map(InstanceLock::Session),
    };
    Ok(Arc::new(SqlStore::new(database.engine, vault, lock)))
}

/// Brings a database's schema to the version that this program works with; an SQLite file is made
/// where there is none.
///
/// # Errors
/// Where the database does not answer, is newer than the program, or a `serve` works on the file.
pub async fn migrate(url: &DatabaseUrl) -> Result<MigrationReport, OpenError> {
    let database = DisplayUrl::new(url)?;
    let _lock = match url {
        DatabaseUrl::Sqlite(path) => Some(lock(path)?),
        DatabaseUrl::Postgres(_) => {
            database.reach().await?;
            None
        }
    };
    let from = database.migrate().await?;
    Ok(MigrationReport { from, to: CURRENT })
}

/// How often a file is asked again whose schema others are making; each time waits for about a second.
const MAKING: usize = 5;

/// What keeps a second `serve` away, for as long as it lives.
#[derive(Debug)]
pub(super) enum InstanceLock {
    /// On a file beside the database's.
    #[expect(dead_code, reason = "held, not looked at")]
    File(File),
    /// Of a session at the server.
    #[expect(dead_code, reason = "held, not looked at")]
    Session(ServeLock),
}

/// A database under a name that can be shown: without user and password.
struct DisplayUrl {
    engine: Engine,
    name: String,
}

impl DisplayUrl {
    fn new(url: &DatabaseUrl) -> Result<Self, OpenError> {
        match url {
            DatabaseUrl::Sqlite(path) if path.is_dir() => Err(OpenError::Folder { path: path.clone() }),
            DatabaseUrl::Sqlite(path) => {
                sqlite::create(path).map_err(|error| file_error(path, &error))?;
                Ok(Self { engine: sqlite::engine(path), name: path.display().to_string() })
            }
            DatabaseUrl::Postgres(url) => {
                let (engine, name) = postgres::engine(url).map_err(|_| OpenError::Url)?;
                Ok(Self { engine, name })
            }
        }
    }

    /// Finds out whether the server lets itself be used: a pool would only say that it waited.
    async fn reach(&self) -> Result<(), OpenError> {
        let Engine::Postgres(pool) = &self.engine else { return Ok(()) };
        let session = instance_lock::connect(&pool.connect_options()).await;
        session.map(drop).map_err(|reason| self.error(reason))
    }

    async fn open_server(&self, how: OpenMode) -> Result<Option<ServeLock>, OpenError> {
        self.reach().await?;
        let standing = bounded(schema::standing(&self.engine)).await;
        let found = self.check(standing)?;
        if found < CURRENT {
            let database = self.name.clone();
            return Err(OpenError::OldSchema { database, found, needed: CURRENT });
        }
        let Engine::Postgres(pool) = &self.engine else { return Ok(None) };
        if how == OpenMode::Shared {
            return Ok(None);
        }
        match instance_lock::take(&pool.connect_options()).await {
            Ok(Some(lock)) => Ok(Some(lock)),
            Ok(None) => Err(OpenError::AnotherServe { database: self.name.clone() }),
            Err(reason) => Err(self.error(reason)),
        }
    }

    fn error(&self, reason: StoreError) -> OpenError {
        OpenError::Database { database: self.name.clone(), reason }
    }

    async fn open_file(&self, path: &Path, how: OpenMode) -> Result<Option<File>, OpenError> {
        if how == OpenMode::Exclusive {
            let lock = lock_in_time(path).await?;
            self.migrate().await?;
            return Ok(Some(lock));
        }
        let standing = patiently(async || bounded(schema::standing(&self.engine)).await).await;
        match self.check(standing)? {
            CURRENT => {}
            0 => {
                let made = patiently(async || schema::migrate(&self.engine).await).await;
                self.check(made)?;
            }
            // A running `serve` works with the schema as it stands.
            _ => {
                let _lock = lock(path)?;
                self.migrate().await?;
            }
        }
        Ok(None)
    }

    /// Migrates, and tells where the schema stood before.
    async fn migrate(&self) -> Result<usize, OpenError> {
        let standing = schema::migrate(&self.engine).await;
        self.check(standing)
    }

    /// The version at which the schema stands, if it is one to work with or to migrate.
    fn check(&self, standing: super::Result<SchemaState>) -> Result<usize, OpenError> {
        let database = self.name.clone();
        match standing {
            Ok(SchemaState::At(version)) => Ok(version),
            Ok(SchemaState::Newer(found)) => Err(OpenError::NewerSchema { database, found, known: CURRENT }),
            Ok(SchemaState::Altered(version)) => Err(OpenError::ForeignSchema { database, version }),
            Err(reason) => Err(self.error(reason)),
        }
    }
}

/// What another process keeps locked while it makes the schema is asked for again.
async fn patiently<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    for _ in 0..MAKING {
        match ask().await {
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(instance_lock::RETRY).await,
            answer => return answer,
        }
    }
    ask().await
}

/// Waits for a `serve` that is just ending.
async fn lock_in_time(path: &Path) -> Result<File, OpenError> {
    let tries = async {
        loop {
            match lock(path) {
                Err(OpenError::AnotherServe { .. }) => tokio::time::sleep(instance_lock::RETRY).await,
                tried => return tried,
            }
        }
    };
    tokio::time::timeout(instance_lock::ENDING, tries).await.unwrap_or_else(|_| lock(path))
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
