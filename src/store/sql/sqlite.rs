//! SQLite: one file for one `serve`, with commands beside it.

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

/// How long a statement waits for another process that writes; within the budget of a call.
const BUSY: Duration = Duration::from_secs(1);
/// How long a call waits for its turn behind others of this process; within the same budget.
const QUEUE: Duration = Duration::from_millis(1500);
/// How many connections read.
const READERS: u32 = 4;

/// Makes the file, for its owner alone, where there is none. SQLite gives the files beside it the
/// same permissions.
pub(super) fn create(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The lock that one `serve` holds as long as it runs; `None` where another holds it.
pub(super) fn lock(path: &Path) -> io::Result<Option<File>> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(PathBuf::from(beside))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(std::fs::TryLockError::WouldBlock) => Ok(None),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Pools on the file; connections are made when they are needed.
pub(super) fn engine(path: &Path) -> Engine {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // A token leaves once its row is committed: a commit must outlive a power cut.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        // What is erased is overwritten.
        .pragma("secure_delete", "ON")
        .busy_timeout(BUSY)
        .disable_statement_logging();
    let pool = |connections: u32, options: SqliteConnectOptions| -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(QUEUE)
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
