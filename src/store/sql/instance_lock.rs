//! The lock that allows only one `serve` on a database.
//!
//! On Postgres it belongs to a session of its own, so that it ends with the process, however the process ends,
//! and takes no place in the pool.

use std::fs::File;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};
use tokio::task::JoinHandle;

use super::sqlx_error::store_error;
use super::timeout::with_timeout;
use crate::store::{Result, StoreError};

/// The number of the lock among the advisory locks of the broker's database: `btb`.
const NUMBER: i64 = 0x62_74_62;
/// The time between two checks that the session still exists.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// The time to wait for a `serve` that is just ending.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// The time between two attempts.
pub(super) const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The settings of the session. The server notices after about twenty seconds that a client has vanished.
const SESSION_SETTINGS: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
                                SET tcp_keepalives_count = 2; SET statement_timeout = '2s'";

/// The lock that keeps a second `serve` away for as long as this value exists.
#[derive(Debug)]
pub(super) enum InstanceLock {
    /// A lock on a file beside that of the database.
    #[expect(dead_code, reason = "held, not looked at")]
    File(File),
    /// A lock of a session on the server.
    #[expect(dead_code, reason = "held, not looked at")]
    Session(SessionLock),
}

/// The task that keeps the lock of a session, until this value is dropped.
#[derive(Debug)]
pub(super) struct SessionLock(JoinHandle<()>);

impl Drop for SessionLock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Acquires the lock on the server; returns `None` if another `serve` holds it.
pub(super) async fn acquire(options: &PgConnectOptions) -> Result<Option<SessionLock>> {
    let mut session = connect(options).await?;
    let attempts = async {
        while !try_lock(&mut session).await? {
            tokio::time::sleep(RETRY_INTERVAL).await;
        }
        Ok(())
    };
    match tokio::time::timeout(ACQUIRE_TIMEOUT, attempts).await {
        Ok(acquired) => acquired?,
        Err(_) => return Ok(None),
    }
    Ok(Some(SessionLock(tokio::spawn(keep_locked(options.clone(), session)))))
}

/// Opens a session that holds no lock yet.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    with_timeout(async {
        let mut session = options.connect().await.map_err(|error| match error {
            sqlx::Error::Io(reason) => {
                let (host, port) = (options.get_host(), options.get_port());
                StoreError::Unavailable(format!("nothing answers at {host}:{port}: {reason}"))
            }
            other => store_error(other),
        })?;
        session.execute(sqlx::raw_sql(SESSION_SETTINGS)).await.map_err(store_error)?;
        Ok(session)
    })
    .await
}

async fn try_lock(session: &mut PgConnection) -> Result<bool> {
    with_timeout(async {
        let query = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(NUMBER);
        let row = session.fetch_one(query).await.map_err(store_error)?;
        row.try_get(0).map_err(store_error)
    })
    .await
}

/// Checks the session regularly. If it is lost, as when the server restarts, the broker goes on and the lock is
/// acquired again.
async fn keep_locked(options: PgConnectOptions, session: PgConnection) {
    let mut held = Some(session);
    loop {
        tokio::time::sleep(CHECK_INTERVAL).await;
        held = match held.take() {
            Some(session) => check(session).await,
            None => reacquire(&options).await,
        };
    }
}

/// Returns the session if it still exists.
async fn check(mut session: PgConnection) -> Option<PgConnection> {
    match with_timeout(async { session.ping().await.map_err(store_error) }).await {
        Ok(()) => Some(session),
        Err(error) => {
            tracing::error!(%error, "the lock that keeps a second `serve` away is lost; it is taken again");
            None
        }
    }
}

/// Returns a new session that holds the lock, if the lock is free.
async fn reacquire(options: &PgConnectOptions) -> Option<PgConnection> {
    let mut session = connect(options).await.ok()?;
    match try_lock(&mut session).await {
        Ok(true) => {
            tracing::info!("the lock that keeps a second `serve` away is held again");
            Some(session)
        }
        Ok(false) => {
            tracing::error!("another `serve` works on this database: stop one of them");
            None
        }
        Err(_) => None,
    }
}
