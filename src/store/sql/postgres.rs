//! Postgres: a server for several replicas.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};

use super::engine::Engine;
use crate::secret::SecretString;

/// The maximum number of connections of one process.
const MAX_CONNECTIONS: u32 = 16;
/// The time that a call waits for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that was idle for this time is tested before it is used.
const TEST_AFTER_IDLE: Duration = Duration::from_secs(1);
/// The time that the test may take.
const TEST_TIMEOUT: Duration = Duration::from_millis(300);

/// The time limits on the server: it cancels a statement whose call has timed out, and a transaction whose
/// replica died.
const SERVER_TIMEOUTS: &str = "SET statement_timeout = '2s'; SET idle_in_transaction_session_timeout = '5s'";

/// Returns a pool on the server, whose connections are opened when they are needed, and the name of the database
/// without user and password.
///
/// # Errors
/// If the driver does not understand the URL. The error may contain parts of it.
pub(super) fn open_pool(url: &SecretString) -> sqlx::Result<(Engine, String)> {
    let options = PgConnectOptions::from_str(url.expose())?
        .application_name("box-token-broker")
        .disable_statement_logging();
    let database = options.get_database().unwrap_or(options.get_username());
    let name = format!("postgres://{}:{}/{database}", options.get_host(), options.get_port());
    let pool = PgPoolOptions::new()
        .max_connections(MAX_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, usage| {
            Box::pin(async move {
                if usage.idle_for < TEST_AFTER_IDLE {
                    return Ok(true);
                }
                match tokio::time::timeout(TEST_TIMEOUT, connection.ping()).await {
                    Ok(alive) => alive.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(SERVER_TIMEOUTS)).await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok((Engine::Postgres(pool), name))
}
