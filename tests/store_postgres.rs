//! The store on Postgres: the conformance suite, and tests that concern a server only.
//! `BTB_TEST_POSTGRES_URL` names a server on which the tests create databases of their own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the suite serves the other engine too")]
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use box_token_broker::clock::{Clock, ManualClock, SystemClock};
use box_token_broker::config::DatabaseUrl;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::secret::SecretString;
use box_token_broker::store::change_feed::{ChangeFeed, POLL_INTERVAL};
use box_token_broker::store::{
    MigrationReport, OpenError, OpenMode, Store, StoreError, TenantRef, migrate, open,
};
use sqlx::{AssertSqlSafe, Executor};
use store::database::{new_postgres_database, postgres_url, server};
use store::harness::{Harness, vault};
use store::sample_rows::{event, next};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

store::conformance!(Harness::postgres);

#[tokio::test]
async fn an_old_schema_is_refused_with_a_hint() {
    let url = new_postgres_database().await;
    let vault = vault(&box_token_broker::crypto::KeySet::generate(&box_token_broker::entropy::SystemEntropy));
    let old = open(&url, Arc::clone(&vault), OpenMode::Exclusive).await.unwrap_err();
    assert!(matches!(old, OpenError::OldSchema { found: 0, needed: 6, .. }), "{old}");
    assert!(old.to_string().contains("run `box-token-broker migrate`"));
    // Two concurrent migrations run only once.
    let (one, other) = futures::join!(migrate(&url), migrate(&url));
    let both = [one.unwrap(), other.unwrap()];
    assert!(
        both.contains(&MigrationReport { from: 0, to: 6 })
            && both.contains(&MigrationReport { from: 6, to: 6 }),
        "{both:?}"
    );
    open(&url, Arc::clone(&vault), OpenMode::Exclusive).await.unwrap().ping().await.unwrap();

    let hand = sqlx::PgPool::connect(postgres_url(&url)).await.unwrap();
    hand.execute("INSERT INTO schema_versions (version, checksum) VALUES (7, 'x')").await.unwrap();
    let newer = open(&url, Arc::clone(&vault), OpenMode::Shared).await.unwrap_err();
    assert!(matches!(newer, OpenError::NewerSchema { found: 7, known: 6, .. }), "{newer}");
    assert!(matches!(migrate(&url).await, Err(OpenError::NewerSchema { .. })));
    hand.execute("UPDATE schema_versions SET checksum = 'x'").await.unwrap();
    let foreign = open(&url, vault, OpenMode::Shared).await.unwrap_err();
    assert!(matches!(foreign, OpenError::ForeignSchema { version: 1, .. }), "{foreign}");
    hand.close().await;
    let name = url::Url::parse(postgres_url(&url)).unwrap().path()[1..].to_owned();
    let drop = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
    server().await.execute(sqlx::raw_sql(drop)).await.unwrap();
}

#[tokio::test]
async fn no_message_contains_the_password() {
    let url = |text: &str| DatabaseUrl::Postgres(SecretString::new(text.to_owned()));
    let vault = vault(&box_token_broker::crypto::KeySet::generate(&box_token_broker::entropy::SystemEntropy));
    // Nothing listens on port 1; the second is not the URL of a database.
    for text in
        ["postgres://broker:hunter2@127.0.0.1:1/tokens", "postgres://broker:hunter2@h/d?sslmode=hunter2"]
    {
        let error = open(&url(text), Arc::clone(&vault), OpenMode::Exclusive).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    let error = migrate(&url("postgres://broker:hunter2@127.0.0.1:1/tokens")).await.unwrap_err();
    assert!(error.to_string().starts_with("postgres://127.0.0.1:1/tokens: "), "{error}");
    assert!(error.to_string().contains("nothing answers at 127.0.0.1:1: "), "{error}");
}

/// The sessions that hold the lock of a `serve`.
const LOCKS: &str = "SELECT pid::text FROM pg_locks JOIN pg_database ON pg_database.oid = database
                     WHERE locktype = 'advisory' AND granted AND datname = current_database()";

#[tokio::test]
async fn only_one_serve_runs_at_a_time_with_commands_beside_it() {
    let harness = Harness::postgres().await;
    let another = || open(&harness.url, Arc::clone(&harness.vault), OpenMode::Exclusive);
    let second = another().await.unwrap_err();
    assert!(matches!(second, OpenError::AnotherServe { .. }), "{second}");
    assert!(second.to_string().contains("another `serve` works on this database"), "{second}");
    harness.reopened(&harness.keys).await.ping().await.unwrap();
    // Another database of the same server has its own lock.
    Harness::postgres().await.end().await;

    // A restarted server drops every session; the store continues, and the lock is acquired again.
    let before = harness.database.hand.reads(LOCKS).await;
    assert_eq!(before.len(), 1);
    let others = "SELECT count(pg_terminate_backend(pid))::text FROM pg_stat_activity
                  WHERE datname = current_database() AND pid <> pg_backend_pid()";
    harness.database.hand.reads(others).await;
    recovery(&*harness.store).await;
    let retaken = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        while harness.database.hand.reads(LOCKS).await.first().is_none_or(|pid| *pid == before[0]) {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), retaken).await.expect("the lock is taken again");
    assert!(matches!(another().await, Err(OpenError::AnotherServe { .. })));

    let Harness { store, url, vault, database, .. } = harness;
    drop(store);
    open(&url, vault, OpenMode::Exclusive).await.unwrap().ping().await.unwrap();
    database.end().await;
}

/// A proxy to the server that can freeze: connections stay open, but no data passes.
struct Wire {
    url: DatabaseUrl,
    frozen: watch::Sender<bool>,
}

impl Wire {
    async fn to(url: &DatabaseUrl) -> Self {
        let mut url = url::Url::parse(postgres_url(url)).unwrap();
        let server = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let (frozen, watched) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(pass(from_client, to_server, watched.clone()));
                tokio::spawn(pass(from_server, to_client, watched.clone()));
            }
        });
        Self { url: DatabaseUrl::Postgres(SecretString::new(url.into())), frozen }
    }
}

async fn pass(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    mut frozen: watch::Receiver<bool>,
) {
    let mut bytes = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if frozen.wait_for(|frozen| !frozen).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "measures real time, as a client would")]
fn now() -> Instant {
    Instant::now()
}

/// Waits until the store answers and returns the time that this took.
async fn recovery(store: &dyn Store) -> Duration {
    let begin = now();
    while let Err(error) = store.next_generation().await {
        assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        assert!(begin.elapsed() < Duration::from_secs(10), "no recovery: {error}");
    }
    begin.elapsed()
}

#[tokio::test]
async fn a_frozen_server_blocks_no_call_past_its_timeout() {
    let harness = Harness::postgres().await;
    let (tenant, _) = harness.own_tenant("acme").await;
    let wire = Wire::to(&harness.url).await;
    let store = open(&wire.url, Arc::clone(&harness.vault), OpenMode::Shared).await.unwrap();
    // The pool is full, so that some calls freeze in the middle and others wait for a connection.
    for pinged in futures::future::join_all((0..40).map(|_| store.ping())).await {
        pinged.unwrap();
    }
    wire.frozen.send(true).unwrap();
    let begin = now();
    let calls = (0..60).map(|number| {
        let (store, tenant) = (&store, &tenant);
        async move {
            match number % 3 {
                0 => store.ping().await,
                1 => store.tenant(&TenantRef::Id(tenant.id.clone())).await.map(drop),
                _ => {
                    let later = next(tenant, |tenant| tenant.display_name = "frozen".to_owned());
                    store.update_tenant(&later, &event(AuditAction::TenantUpdate)).await
                }
            }
        }
    });
    for done in futures::future::join_all(calls).await {
        assert!(matches!(done, Err(StoreError::Unavailable(_))), "{done:?}");
    }
    let waited = begin.elapsed();
    assert!(waited < 2 * Duration::from_secs(2), "{waited:?}");
    wire.frozen.send(false).unwrap();
    let recovered = recovery(&*store).await;
    assert!(recovered < Duration::from_secs(5), "{recovered:?}");
    drop(store);
    harness.end().await;
}

#[tokio::test]
async fn concurrent_requests_poll_a_frozen_server_once() {
    let harness = Harness::postgres().await;
    let wire = Wire::to(&harness.url).await;
    let store = open(&wire.url, Arc::clone(&harness.vault), OpenMode::Shared).await.unwrap();
    let clock = Arc::new(ManualClock::new(SystemClock::new().wall()));
    let change_feed =
        ChangeFeed::start(Arc::clone(&store), Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
    clock.advance(3 * POLL_INTERVAL);
    wire.frozen.send(true).unwrap();
    let begin = now();
    futures::future::join_all((0..40).map(|_| change_feed.catch_up())).await;
    let waited = begin.elapsed();
    assert!(waited < 2 * Duration::from_secs(2), "{waited:?}");
    wire.frozen.send(false).unwrap();
    recovery(&*store).await;
    change_feed.poll().await.unwrap();
    assert_eq!(change_feed.staleness(), Duration::ZERO);
    drop((change_feed, store));
    harness.end().await;
}

#[tokio::test]
async fn a_connection_to_a_read_only_server_is_closed() {
    let harness = Harness::postgres().await;
    let name = url::Url::parse(postgres_url(&harness.url)).unwrap().path()[1..].to_owned();
    let read_only = async |on: &str| {
        harness
            .database
            .hand
            .does(&format!("ALTER DATABASE {name} SET default_transaction_read_only = {on}"))
            .await;
    };
    read_only("on").await;
    let store = harness.reopened(&harness.keys).await;
    assert!(matches!(store.next_generation().await, Err(StoreError::Unavailable(_))));
    harness.database.hand.does("SET default_transaction_read_only = off").await;
    read_only("off").await;
    let recovered = recovery(&*store).await;
    assert!(recovered < Duration::from_secs(5), "{recovered:?}");
    drop(store);
    harness.end().await;
}

#[tokio::test]
async fn connections_that_the_server_closed_are_replaced() {
    let harness = Harness::postgres().await;
    for pinged in futures::future::join_all((0..8).map(|_| harness.store.ping())).await {
        pinged.unwrap();
    }
    harness
        .database
        .hand
        .reads(
            "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    let recovered = recovery(&*harness.store).await;
    assert!(recovered < Duration::from_secs(5), "{recovered:?}");
    harness.end().await;
}
