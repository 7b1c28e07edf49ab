//! Rate limits of callers, tenants, sessions and unauthenticated addresses.
//!
//! Authenticated callers are counted by who they are and never by address: an ingress is one address for
//! everybody. Only requests that fail authentication are counted by address.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use super::buckets::Buckets;
use crate::clock::Clock;
use crate::config;
use crate::domain::caller::Caller;
use crate::domain::id::{CallerId, SessionId, TenantId, TokenId};
use crate::domain::rate_limit::RateLimit;
use crate::domain::tenant::Tenant;

/// The maximum number of callers, of tenants and of addresses that have a bucket of their own.
const TOLD_APART: usize = 100_000;

/// The rate limit of one browser session. The browser module makes one request in several minutes.
const PER_SESSION: RateLimit = RateLimit::new(20, 100);
/// The rate limit of look-ups of an item's folders at Box, for one session.
const LOOKS_PER_SESSION: RateLimit = RateLimit::new(10, 1000);

/// The rate limits and how much of each is used.
#[derive(Debug)]
pub struct RateLimits {
    per_caller: Option<RateLimit>,
    per_tenant: Option<RateLimit>,
    per_peer: RateLimit,
    callers: Buckets<CallerId>,
    tenants: Buckets<TenantId>,
    peers: Buckets<IpAddr>,
    sessions: Buckets<SessionId>,
    looks: Buckets<SessionId>,
    shown: Buckets<(TokenId, CallerId, IpAddr)>,
}

/// The refusal of a request above its rate limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitExceeded {
    /// The time until the next request is allowed.
    pub retry_after: Duration,
}

impl RateLimits {
    /// Creates the limits of the settings, all unused.
    #[must_use]
    pub fn new(settings: &config::LimitSettings, clock: &Arc<dyn Clock>) -> Self {
        Self {
            per_caller: settings.requests_per_caller.map(RateLimit::without_burst),
            per_tenant: settings.requests_per_tenant.map(RateLimit::without_burst),
            per_peer: RateLimit::without_burst(settings.unauthenticated_per_peer),
            callers: Buckets::new(TOLD_APART, Arc::clone(clock)),
            tenants: Buckets::new(TOLD_APART, Arc::clone(clock)),
            peers: Buckets::new(TOLD_APART, Arc::clone(clock)),
            sessions: Buckets::new(TOLD_APART, Arc::clone(clock)),
            looks: Buckets::new(TOLD_APART, Arc::clone(clock)),
            shown: Buckets::new(TOLD_APART, Arc::clone(clock)),
        }
    }

    /// Counts a request of a caller, whichever of its credentials it used.
    ///
    /// # Errors
    /// If the caller has a limit and exceeded it.
    pub fn count_caller(&self, caller: &Caller) -> Result<(), RateLimitExceeded> {
        take(&self.callers, &caller.id, caller.rate_limit.or(self.per_caller))
    }

    /// Counts a request that shows a token which a caller received, without credentials. It may be made as
    /// often as the caller's own requests, but uses up nothing of the caller's limit: others may have the
    /// token too.
    ///
    /// # Errors
    /// If the caller has a limit and such requests from this address exceeded it.
    pub fn count_shown(
        &self,
        token: &TokenId,
        caller: &Caller,
        peer: Option<IpAddr>,
    ) -> Result<(), RateLimitExceeded> {
        let key = (token.clone(), caller.id.clone(), known_as(peer));
        take(&self.shown, &key, caller.rate_limit.or(self.per_caller))
    }

    /// Counts a request about a tenant, by a caller with a grant on it.
    ///
    /// # Errors
    /// If the tenant has a limit and it is exceeded.
    pub fn count_tenant(&self, tenant: &Tenant) -> Result<(), RateLimitExceeded> {
        take(&self.tenants, &tenant.id, tenant.policy.rate_limit.or(self.per_tenant))
    }

    /// Counts a request of a browser session, valid or ended.
    ///
    /// # Errors
    /// If the session exceeded its limit.
    pub fn count_session(&self, session: &SessionId) -> Result<(), RateLimitExceeded> {
        take(&self.sessions, session, Some(PER_SESSION))
    }

    /// Counts a look-up of an item's folders at Box, for a browser session.
    ///
    /// # Errors
    /// If the session exceeded its limit of look-ups.
    pub fn count_look(&self, session: &SessionId) -> Result<(), RateLimitExceeded> {
        take(&self.looks, session, Some(LOOKS_PER_SESSION))
    }

    /// Counts a request without a valid credential. Requests from unknown addresses are counted together.
    ///
    /// # Errors
    /// If this address exceeded its limit.
    pub fn count_stranger(&self, peer: Option<IpAddr>) -> Result<(), RateLimitExceeded> {
        take(&self.peers, &known_as(peer), Some(self.per_peer))
    }

    /// Drops the buckets that are full again.
    pub fn sweep(&self) {
        self.callers.sweep();
        self.tenants.sweep();
        self.peers.sweep();
        self.sessions.sweep();
        self.looks.sweep();
        self.shown.sweep();
    }
}

fn take<K: Clone + Eq + std::hash::Hash>(
    buckets: &Buckets<K>,
    key: &K,
    limit: Option<RateLimit>,
) -> Result<(), RateLimitExceeded> {
    let Some(limit) = limit else { return Ok(()) };
    buckets.take(key, limit).map_err(|retry_after| RateLimitExceeded { retry_after })
}

/// Returns the key under which an address is counted; unknown addresses share one.
fn known_as(peer: Option<IpAddr>) -> IpAddr {
    peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), neighbourhood)
}

/// Returns the network that counts as one address: an IPv4 address itself, or the /64 of an IPv6 subscriber.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}
