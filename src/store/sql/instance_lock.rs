//! The lock by which a `serve` on Postgres keeps others away: it belongs to a session of its own,
//! so that it ends with the process, however that ends, and takes no place in the pool.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Executor, Row};
use tokio::task::JoinHandle;

use super::sqlx_error::failure;
use super::time_limit::bounded;
use super::{Result, StoreError};

/// The lock's number among the advisory locks of the broker's database: `btb`.
const NUMBER: i64 = 0x62_74_62;
/// How often the session is looked after.
const CHECK: Duration = Duration::from_secs(5);
/// How long to wait for a `serve` that is just ending, tried over and over.
pub(super) const ENDING: Duration = Duration::from_secs(2);
pub(super) const RETRY: Duration = Duration::from_millis(100);

/// The server forgets a client that is gone without a word after some twenty seconds.
const SESSION: &str = "SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; \
                       SET tcp_keepalives_count = 2; SET statement_timeout = '2s'";

/// Holds the lock for as long as it lives.
#[derive(Debug)]
pub(super) struct ServeLock(JoinHandle<()>);

impl Drop for ServeLock {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Takes the lock; `None` where another `serve` holds it.
pub(super) async fn take(options: &PgConnectOptions) -> Result<Option<ServeLock>> {
    let mut session = connect(options).await?;
    let tries = async {
        while !try_lock(&mut session).await? {
            tokio::time::sleep(RETRY).await;
        }
        Ok(())
    };
    match tokio::time::timeout(ENDING, tries).await {
        Ok(taken) => taken?,
        Err(_) => return Ok(None),
    }
    Ok(Some(ServeLock(tokio::spawn(keep(options.clone(), session)))))
}

/// A session that holds nothing yet.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection> {
    bounded(async {
        let mut session = options.connect().await.map_err(|error| match error {
            sqlx::Error::Io(reason) => {
                let (host, port) = (options.get_host(), options.get_port());
                StoreError::Unavailable(format!("nothing answers at {host}:{port}: {reason}"))
            }
            other => failure(other),
        })?;
        session.execute(sqlx::raw_sql(SESSION)).await.map_err(failure)?;
        Ok(session)
    })
    .await
}

async fn try_lock(session: &mut PgConnection) -> Result<bool> {
    bounded(async {
        let query = sqlx::query("SELECT pg_try_advisory_lock($1)").bind(NUMBER);
        let row = session.fetch_one(query).await.map_err(failure)?;
        row.try_get(0).map_err(failure)
    })
    .await
}

/// Looks after the session. Where it is lost, as when the server restarts, the broker goes on and
/// the lock is taken anew.
async fn keep(options: PgConnectOptions, session: PgConnection) {
    let mut held = Some(session);
    loop {
        tokio::time::sleep(CHECK).await;
        held = match held.take() {
            Some(session) => still(session).await,
            None => again(&options).await,
        };
    }
}

/// The session, if it is still there.
async fn still(mut session: PgConnection) -> Option<PgConnection> {
    match bounded(async { session.ping().await.map_err(failure) }).await {
        Ok(()) => Some(session),
        Err(error) => {
            tracing::error!(%error, "the lock that keeps a second `serve` away is lost; it is taken again");
            None
        }
    }
}

/// A new session that holds the lock, if it can be had.
async fn again(options: &PgConnectOptions) -> Option<PgConnection> {
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
