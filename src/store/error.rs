//! The errors of the store. It owns what can go wrong, in terms that a caller can act on; it must not carry
//! values from the database, because the texts go to the operator's log.

use std::path::PathBuf;

/// A result of the store.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A conflict of an insertion or update with a stored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// The name is taken.
    Name,
    /// The app already serves that enterprise for another tenant.
    EnterpriseHeld,
    /// The client ID belongs to an app that is already registered.
    ClientIdHeld,
    /// The row was changed or deleted meanwhile.
    Version,
    /// Tenants still use the app.
    InUse,
}

/// Why the store could not do what was requested. The texts are for the operator's log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The database does not answer, or not in time; a retry may help.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// The change conflicts with what is stored; nothing was changed.
    #[error("the change collides with what is stored: {0:?}")]
    Conflict(Conflict),
    /// A row was altered, moved or inserted from outside.
    #[error(
        "row {id} of {table} is not what the broker wrote; it was altered, moved or put there from outside"
    )]
    Tampered {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
    },
    /// The key that a row needs is not in the key set.
    #[error("row {row} of {table} needs key {key}, which is not in the key set")]
    KeyUnavailable {
        /// The table.
        table: &'static str,
        /// The row.
        row: String,
        /// The id of the key.
        key: String,
    },
    /// The database refuses for a reason that a retry does not change.
    #[error("the database refused: {0}")]
    Unexpected(String),
}

/// Why a database could not be opened: the problem, the database and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The file could not be created or locked.
    #[error(
        "{path}: cannot make or open the database file: {reason}; make its folder and give it to this user"
    )]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        reason: String,
    },
    /// The service is already running.
    #[error("{database}: another `serve` works on this database; stop it first")]
    AnotherServe {
        /// The database.
        database: String,
    },
    /// The path is that of a folder.
    #[error("{path}: this is a folder; name a file in it, as in `sqlite:{path}/broker.db`")]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The schema has not been migrated yet.
    #[error(
        "{database}: the schema is at version {found} and must be at {needed}; run `box-token-broker migrate`"
    )]
    OldSchema {
        /// The database.
        database: String,
        /// The version of its schema.
        found: usize,
        /// The version that this program works with.
        needed: usize,
    },
    /// A newer program migrated the schema.
    #[error(
        "{database}: the schema is at version {found} and this program knows {known}; run the newer program"
    )]
    NewerSchema {
        /// The database.
        database: String,
        /// The version of its schema.
        found: usize,
        /// The version that this program works with.
        known: usize,
    },
    /// The schema does not come from this program's migrations.
    #[error(
        "{database}: version {version} of the schema was made by another program; use a database of its own"
    )]
    ForeignSchema {
        /// The database.
        database: String,
        /// The first version that differs.
        version: usize,
    },
    /// The driver does not understand the URL.
    #[error(
        "`database.url` is not a Postgres URL that can be used; write `postgres://USER:PASSWORD@HOST/DATABASE`"
    )]
    Url,
    /// The database cannot be used.
    #[error("{database}: {reason}; check `database.url`, and that the database runs and lets this user in")]
    Database {
        /// The database.
        database: String,
        /// The error of the database.
        reason: StoreError,
    },
}
