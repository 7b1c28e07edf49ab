//! The state that handlers work with.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use crate::auth::Authenticator;
use crate::auth::limits::RateLimits;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::registry::Registry;
use crate::store::change_feed::ChangeFeed;

/// The shared state of all handlers, cheap to clone.
#[derive(Clone, Debug)]
pub struct Api(Arc<ApiParts>);

/// The parts of the state.
#[derive(Debug)]
pub struct ApiParts {
    /// Authenticates callers and browser sessions.
    pub authenticator: Arc<Authenticator>,
    /// Hands out tokens.
    pub broker: Arc<Broker>,
    /// Manages tenants, apps and callers.
    pub registry: Arc<Registry>,
    /// The rate limits of callers, tenants and addresses.
    pub limits: Arc<RateLimits>,
    /// The networks of the proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// The feed of changes to callers, tenants and policies.
    pub change_feed: Arc<ChangeFeed>,
    /// The greatest age of what is known from the feed at which the broker is still ready.
    pub max_policy_age: Duration,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub entropy: Arc<dyn Entropy>,
    /// The base URL of Box's API.
    pub box_api_url: Url,
    /// The base URL under which clients reach the broker, if it is known.
    pub public_url: Option<Url>,
    /// The tasks that outlive their request; the process waits for them when it stops.
    pub tasks: TaskTracker,
    /// Cancelled once the process begins to stop.
    pub stopping: CancellationToken,
}

impl From<ApiParts> for Api {
    fn from(parts: ApiParts) -> Self {
        Self(Arc::new(parts))
    }
}

impl Deref for Api {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0
    }
}
