//! The composition root: the one file that names every concrete type.

mod keeper;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::keeper::Maintenance;
use crate::auth::limits::RateLimits;
use crate::auth::{Authenticator, IssuerSetupError};
use crate::box_api::{BoxClient, BoxClientError};
use crate::broker::{Broker, BrokerParts, REVOCATION_INTERVAL};
use crate::clock::Clock;
use crate::config::Settings;
use crate::crypto::key_file::KeyFileError;
use crate::crypto::{KeySetError, Vault, key_file};
use crate::entropy::Entropy;
use crate::http::{self, Api, RouteGroup, router, server};
use crate::registry::Registry;
use crate::store::change_feed::{self, ChangeFeed};
use crate::store::{self, OpenError, OpenMode, StoreError};

/// How often what was counted is written to the audit, and how often that is signed.
const COUNTING: Duration = Duration::from_secs(1);
const CHECKPOINT: Duration = Duration::from_secs(10);

/// How often what is old is swept out, and deleted tenants are wound up.
const HOUSEKEEPING: Duration = Duration::from_secs(30);

/// How long mints and revocations may go on once no request is open any more.
const FAREWELL: Duration = Duration::from_secs(6);

/// Why the broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key set's file cannot be used.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The key set lacks what the broker needs.
    #[error("{0}; `box-token-broker keys status` lists what is there")]
    KeySet(#[from] KeySetError),
    /// The database cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Box cannot be reached by these settings.
    #[error(transparent)]
    Box(#[from] BoxClientError),
    /// An issuer of the settings cannot be asked.
    #[error(transparent)]
    Issuer(#[from] IssuerSetupError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (`{setting}`): {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// Why not.
        error: io::Error,
    },
}

/// A broker that serves.
#[derive(Debug)]
pub struct RunningBroker {
    /// Where internal services call.
    pub service: SocketAddr,
    /// Where admins call.
    pub admin: SocketAddr,
    /// Where pages in browsers call.
    pub browser: SocketAddr,
    /// Where orchestrators call.
    pub operations: SocketAddr,
    keeper: Arc<Maintenance>,
    stopping: CancellationToken,
    tasks: TaskTracker,
}

impl RunningBroker {
    /// Lets the open requests finish, and ends.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let work = &self.keeper.work;
        work.close();
        if tokio::time::timeout(FAREWELL, work.wait()).await.is_err() {
            tracing::warn!(tasks = work.len(), "mints and revocations were cut off that did not end in time");
        }
        if let Err(error) = self.keeper.authenticator.record_uses().await {
            tracing::warn!(%error, "when keys were last used was not written down");
        }
        if let Err(error) = self.keeper.broker.write_counts(true).await {
            tracing::error!(%error, "the last counts of the audit were not written down");
        }
        self.keeper.make_checkpoint().await;
    }

    /// Writes down what was counted, as happens by itself every second.
    pub async fn write_counts(&self) {
        Arc::clone(&self.keeper).write_counts().await;
    }

    /// Signs how far the audit goes, as happens by itself every ten seconds.
    pub async fn make_checkpoint(&self) {
        self.keeper.make_checkpoint().await;
    }

    /// Sweeps out what is old, finishes lockdowns, revokes what waits for it, winds deleted tenants up and
    /// tries pending ones, as happens by itself every half minute.
    pub async fn keep_house(&self) {
        Arc::clone(&self.keeper).keep_house().await;
    }

    /// Renews what is due, as happens by itself every second, and waits until it is done.
    pub async fn renew_due(&self) {
        Arc::clone(&self.keeper).renew_due().await;
        self.keeper.broker.renewals_end().await;
    }

    /// Asks what others changed, as happens by itself every second.
    pub async fn hear_changes(&self) {
        Arc::clone(&self.keeper).hear_changes().await;
    }
}

/// Starts a broker: opens the key set and the database, and listens.
///
/// # Errors
/// As [`StartError`] tells, with what to do about it.
pub async fn start(
    settings: &Settings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<RunningBroker, StartError> {
    let keys = key_file::read(&settings.keys.file)?;
    let vault = Arc::new(Vault::local(&keys, Arc::clone(&entropy))?);
    let store = store::open(&settings.database, Arc::clone(&vault), OpenMode::Exclusive).await?;
    let upstream = Arc::new(BoxClient::new(&settings.box_api, Arc::clone(&clock), Arc::clone(&entropy))?);
    let change_feed = Arc::new(ChangeFeed::start(Arc::clone(&store), Arc::clone(&clock)).await?);
    let work = TaskTracker::new();
    let parts = BrokerParts {
        store: Arc::clone(&store),
        change_feed: Arc::clone(&change_feed),
        vault: Arc::clone(&vault),
        upstream,
        clock: Arc::clone(&clock),
        entropy: Arc::clone(&entropy),
        tasks: work.clone(),
    };
    let broker = Arc::new(Broker::new(parts.clone(), settings));
    let registry = Arc::new(Registry::new(parts, Arc::clone(&broker), settings));
    let max_policy_age = settings.auth.max_policy_age;
    let authenticator = Arc::new(Authenticator::new(
        Arc::clone(&store),
        Arc::clone(&change_feed),
        vault,
        Arc::clone(&clock),
        &settings.auth,
        &work,
    )?);
    let limits = Arc::new(RateLimits::new(&settings.limits, &clock));
    let stopping = CancellationToken::new();
    let api = Api::from(http::ApiParts {
        authenticator: Arc::clone(&authenticator),
        broker: Arc::clone(&broker),
        registry: Arc::clone(&registry),
        limits: Arc::clone(&limits),
        trusted_proxies: settings.http.trusted_proxies.clone(),
        change_feed: Arc::clone(&change_feed),
        max_policy_age,
        clock: Arc::clone(&clock),
        entropy,
        box_api_url: settings.box_api.api_url.clone(),
        public_url: settings.http.public_url.clone(),
        tasks: work.clone(),
        stopping: stopping.clone(),
    });
    let house = tokio::sync::Mutex::default();
    let retention = settings.audit.retention;
    let keeper = Maintenance {
        store,
        change_feed,
        broker,
        registry,
        authenticator,
        limits,
        clock,
        work,
        retention,
        house,
    };
    let keeper = Arc::new(keeper);
    listen(settings, api, keeper, stopping).await
}

async fn listen(
    settings: &Settings,
    api: Api,
    keeper: Arc<Maintenance>,
    stopping: CancellationToken,
) -> Result<RunningBroker, StartError> {
    let http = &settings.http;
    let listener = bind(http.listen, "http.listen").await?;
    let admin = bind_own(http.admin_listen, "http.admin_listen").await?;
    let browser = bind_own(http.browser_listen, "http.browser_listen").await?;
    let operations = bind(http.operations_listen, "http.operations_listen").await?;
    let address = |listener: &TcpListener, named: SocketAddr| listener.local_addr().unwrap_or(named);
    let service_address = address(&listener, http.listen);
    let own_or_service =
        |own: &Option<TcpListener>| own.as_ref().map_or(service_address, |own| address(own, service_address));
    let (admin_address, browser_address) = (own_or_service(&admin), own_or_service(&browser));
    let operations_address = address(&operations, http.operations_listen);

    let tasks = TaskTracker::new();
    // Each has places of its own: what crowds one listener keeps nobody from another.
    let serve = |listener: TcpListener, groups: &[RouteGroup], connections: usize| {
        let router = router(api.clone(), groups);
        let places = Arc::new(Semaphore::new(connections));
        tasks.spawn(server::serve(listener, router, places, stopping.clone()));
    };
    let connections = settings.limits.connections;
    let mut groups = vec![RouteGroup::Service];
    for (group, own) in [(RouteGroup::Admin, admin), (RouteGroup::Browser, browser)] {
        match own {
            Some(own) => serve(own, &[group], connections),
            None => groups.push(group),
        }
    }
    serve(listener, &groups, connections);
    // Whoever asks whether the broker is alive must hear it when every other place is taken.
    serve(operations, &[RouteGroup::Operations], 64);

    every(change_feed::POLL_INTERVAL, &tasks, &stopping, {
        let keeper = Arc::clone(&keeper);
        move || Arc::clone(&keeper).hear_changes()
    });
    every(Broker::renewal_interval(), &tasks, &stopping, {
        let keeper = Arc::clone(&keeper);
        move || Arc::clone(&keeper).renew_due()
    });
    every(COUNTING, &tasks, &stopping, {
        let keeper = Arc::clone(&keeper);
        move || Arc::clone(&keeper).write_counts()
    });
    every(CHECKPOINT, &tasks, &stopping, {
        let keeper = Arc::clone(&keeper);
        move || {
            let keeper = Arc::clone(&keeper);
            async move { keeper.make_checkpoint().await }
        }
    });
    every(REVOCATION_INTERVAL, &tasks, &stopping, {
        let keeper = Arc::clone(&keeper);
        move || {
            let keeper = Arc::clone(&keeper);
            async move { keeper.revoke_waiting(false).await }
        }
    });
    every(HOUSEKEEPING, &tasks, &stopping, {
        let keeper = Arc::clone(&keeper);
        move || Arc::clone(&keeper).keep_house()
    });
    Ok(RunningBroker {
        service: service_address,
        admin: admin_address,
        browser: browser_address,
        operations: operations_address,
        keeper,
        stopping,
        tasks,
    })
}

/// The listener of a group that has one of its own.
async fn bind_own(
    address: Option<SocketAddr>,
    setting: &'static str,
) -> Result<Option<TcpListener>, StartError> {
    match address {
        Some(address) => bind(address, setting).await.map(Some),
        None => Ok(None),
    }
}

async fn bind(address: SocketAddr, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|error| StartError::Listen { address, setting, error })
}

fn every<F>(
    interval: Duration,
    tasks: &TaskTracker,
    stopping: &CancellationToken,
    work: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let stopping = stopping.clone();
    tasks.spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    // What goes wrong once is tried again the next time.
                    if let Err(error) = tokio::spawn(work()).await {
                        tracing::error!(%error, "something that is done by itself broke off");
                    }
                }
                () = stopping.cancelled() => return,
            }
        }
    })
}
