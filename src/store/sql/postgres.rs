//! Postgres: one server for many replicas.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor};

use super::engine::Engine;
use crate::secret::SecretString;

/// How many connections one process holds at most.
const CONNECTIONS: u32 = 16;
/// How long a call waits for a connection.
const ACQUIRE: Duration = Duration::from_secs(1);
/// A connection that was idle for so long is tried before it is used.
const FRESH: Duration = Duration::from_secs(1);
/// How long that trial may take.
const TRIAL: Duration = Duration::from_millis(300);

/// The server gives up what the client has given up: a statement at the end of a call's budget, and
/// a transaction whose replica died in the middle of it.
const BOUNDS: &str = "SET statement_timeout = '2s'; SET idle_in_transaction_session_timeout = '5s'";

/// A pool on the server, whose connections are made when they are needed, and the database's name
/// without user and password.
///
/// # Errors
/// Where the URL is none that the driver understands. The error may repeat parts of it.
pub(super) fn engine(url: &SecretString) -> sqlx::Result<(Engine, String)> {
    let options = PgConnectOptions::from_str(url.expose())?
        .application_name("box-token-broker")
        .disable_statement_logging();
    let database = options.get_database().unwrap_or(options.get_username());
    let name = format!("postgres://{}:{}/{database}", options.get_host(), options.get_port());
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, usage| {
            Box::pin(async move {
                if usage.idle_for < FRESH {
                    return Ok(true);
                }
                match tokio::time::timeout(TRIAL, connection.ping()).await {
                    Ok(alive) => alive.map(|()| true),
                    Err(_) => Err(sqlx::Error::PoolTimedOut),
                }
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move { connection.execute(sqlx::raw_sql(BOUNDS)).await.map(drop) })
        })
        .connect_lazy_with(options);
    Ok((Engine::Postgres(pool), name))
}
