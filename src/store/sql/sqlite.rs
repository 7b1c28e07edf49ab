//! SQLite: a file for one `serve`, with commands beside it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::engine::Engine;

/// The time that a statement waits for another process that writes; less than a call may take.
const BUSY_TIMEOUT: Duration = Duration::from_secs(1);
/// The time that a call waits for a connection of the pool; less than a call may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(1500);
/// The number of connections that read.
const READERS: u32 = 4;

/// Creates the file, accessible to its owner alone, if there is none. SQLite gives the files beside it the same
/// permissions.
pub(super) fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Acquires the lock that one `serve` holds for as long as it runs; returns `None` if another holds it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut lock_path = path.as_os_str().to_owned();
    lock_path.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(PathBuf::from(lock_path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Returns pools on the file; connections are opened when they are needed.
pub(super) fn open_pools(path: &Path) -> Engine {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // A token is released once its row is committed: a commit must survive a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // Erased rows are overwritten.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging();
    let pool = |connections: u32, options: SqliteConnectOptions| -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options)
    };
    Engine::Sqlite {
        writer: pool(1, options.clone()),
        readers: pool(READERS, options.pragma("query_only", "ON")),
    }
}
