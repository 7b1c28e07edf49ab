//! How often callers, tenants and strangers may ask.
//!
//! Known callers are counted by who they are, never by where they come from: an ingress is one peer
//! for everybody. By address only those are counted who could not say who they are.

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

/// How many callers, tenants and peers are told apart, each.
const TOLD_APART: usize = 100_000;

/// How often a page may ask by one browser session; with the module it does so once in some minutes.
const PER_SESSION: RateLimit = RateLimit::new(20, 100);
/// How many items' folders Box is asked about for one session.
const LOOKS_PER_SESSION: RateLimit = RateLimit::new(10, 1000);

/// The limits on requests, and how much of each is used.
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

/// Too many requests came; after so long the next one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitExceeded {
    /// How long to wait.
    pub retry_after: Duration,
}

impl RateLimits {
    /// The limits of the settings, of which nothing is used yet.
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

    /// Counts a request of a caller, whichever of its credentials it came with.
    ///
    /// # Errors
    /// Where the caller has a limit and asked too often.
    pub fn count_caller(&self, caller: &Caller) -> Result<(), RateLimitExceeded> {
        take(&self.callers, &caller.id, caller.rate_limit.or(self.per_caller))
    }

    /// Counts a request of somebody who shows a token that a caller was given, and no credentials: as often as the
    /// caller may ask, but out of nothing of the caller's, for others may have the token too.
    ///
    /// # Errors
    /// Where the caller has a limit and such requests came too often from there.
    pub fn count_shown(
        &self,
        token: &TokenId,
        caller: &Caller,
        peer: Option<IpAddr>,
    ) -> Result<(), RateLimitExceeded> {
        let key = (token.clone(), caller.id.clone(), known_as(peer));
        take(&self.shown, &key, caller.rate_limit.or(self.per_caller))
    }

    /// Counts a request about a tenant, by a caller who may know of it.
    ///
    /// # Errors
    /// Where the tenant has a limit and was asked about too often.
    pub fn count_tenant(&self, tenant: &Tenant) -> Result<(), RateLimitExceeded> {
        take(&self.tenants, &tenant.id, tenant.policy.rate_limit.or(self.per_tenant))
    }

    /// Counts a request by a browser session, be it good or over.
    ///
    /// # Errors
    /// Where too many came by it.
    pub fn count_session(&self, session: &SessionId) -> Result<(), RateLimitExceeded> {
        take(&self.sessions, session, Some(PER_SESSION))
    }

    /// Counts an item whose folders Box is asked about for a browser session.
    ///
    /// # Errors
    /// Where Box was asked too often for it.
    pub fn count_look(&self, session: &SessionId) -> Result<(), RateLimitExceeded> {
        take(&self.looks, session, Some(LOOKS_PER_SESSION))
    }

    /// Counts a request whose credential opens nothing, or that carries none; those whose address is
    /// not known count together.
    ///
    /// # Errors
    /// Where too many came from there.
    pub fn count_stranger(&self, peer: Option<IpAddr>) -> Result<(), RateLimitExceeded> {
        take(&self.peers, &known_as(peer), Some(self.per_peer))
    }

    /// Forgets those who have not asked for a while.
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

/// What counts as one peer; those whose address is not known are one.
fn known_as(peer: Option<IpAddr>) -> IpAddr {
    peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), neighbourhood)
}

/// What counts as one peer: an IPv4 address, and with IPv6 the /64 that one subscriber has to itself.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(network.into())
        }
    }
}
