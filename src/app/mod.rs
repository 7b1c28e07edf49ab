//! The composition root: the only module that names every concrete type. It builds the parts in order, binds the
//! listeners, and starts the periodic jobs. It holds no logic of its own.

mod maintenance;
mod running;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::running::RunningBroker;

use self::maintenance::Maintenance;
use crate::auth::limits::RateLimits;
use crate::auth::{Authenticator, IssuerSetupError};
use crate::box_api::{BoxClient, BoxClientError};
use crate::broker::{Broker, BrokerParts};
use crate::clock::Clock;
use crate::config::Settings;
use crate::crypto::key_file::KeyFileError;
use crate::crypto::{KeySetError, Vault, key_file};
use crate::entropy::Entropy;
use crate::http::{self, Api, RouteGroup, router, server};
use crate::registry::Registry;
use crate::store::change_feed::ChangeFeed;
use crate::store::{self, OpenError, OpenMode, StoreError};

/// The connections that the operations listener accepts at once. They are its own, so that health checks are
/// answered when every other connection is taken.
const OPERATIONS_CONNECTIONS: usize = 64;

/// An error that keeps the broker from starting.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key set's file cannot be read.
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
    /// No client for Box can be built from these settings.
    #[error(transparent)]
    Box(#[from] BoxClientError),
    /// No client for an issuer can be built from these settings.
    #[error(transparent)]
    Issuer(#[from] IssuerSetupError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address} (`{setting}`): {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        setting: &'static str,
        /// The cause.
        error: io::Error,
    },
}

/// Starts a broker: opens the key set and the database, listens, and starts the periodic jobs.
///
/// # Errors
/// [`StartError`], each with its remedy.
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
    let maintenance = Arc::new(Maintenance {
        store,
        change_feed,
        broker,
        registry,
        authenticator,
        limits,
        clock,
        work,
        retention: settings.audit.retention,
        housekeeping: tokio::sync::Mutex::default(),
    });
    let listeners = Listeners::bind(settings).await?;
    Ok(listeners.serve(&api, maintenance, stopping))
}

/// The bound listeners. The admin and browser routes are served by the service listener unless they have their own.
struct Listeners {
    service: TcpListener,
    admin: Option<TcpListener>,
    browser: Option<TcpListener>,
    operations: TcpListener,
    /// The connections that each listener accepts at once.
    connections: usize,
}

impl Listeners {
    async fn bind(settings: &Settings) -> Result<Self, StartError> {
        let http = &settings.http;
        Ok(Self {
            service: bind(http.listen, "http.listen").await?,
            admin: bind_if_set(http.admin_listen, "http.admin_listen").await?,
            browser: bind_if_set(http.browser_listen, "http.browser_listen").await?,
            operations: bind(http.operations_listen, "http.operations_listen").await?,
            connections: settings.limits.connections,
        })
    }

    /// Serves every route group on its listener, and starts the periodic jobs.
    fn serve(self, api: &Api, maintenance: Arc<Maintenance>, stopping: CancellationToken) -> RunningBroker {
        let service = address(&self.service);
        let tasks = TaskTracker::new();
        // Each listener has a limit of its own, so that a crowded one leaves the others free.
        let serve = |listener: TcpListener, groups: &[RouteGroup], connections: usize| {
            let connections = Arc::new(Semaphore::new(connections));
            tasks.spawn(server::serve(listener, router(api.clone(), groups), connections, stopping.clone()));
        };
        let mut shared = vec![RouteGroup::Service];
        let mut serve_group = |group: RouteGroup, own: Option<TcpListener>| {
            let Some(own) = own else {
                shared.push(group);
                return service;
            };
            let bound = address(&own);
            serve(own, &[group], self.connections);
            bound
        };
        let admin = serve_group(RouteGroup::Admin, self.admin);
        let browser = serve_group(RouteGroup::Browser, self.browser);
        serve(self.service, &shared, self.connections);
        let operations = address(&self.operations);
        serve(self.operations, &[RouteGroup::Operations], OPERATIONS_CONNECTIONS);
        maintenance.start(&tasks, &stopping);
        RunningBroker { service, admin, browser, operations, maintenance, stopping, tasks }
    }
}

/// Returns the address that a listener is bound to; the unspecified one if the system cannot tell.
fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)))
}

async fn bind_if_set(
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
