//! The liveness of tokens that a caller reports as dead: checked at Box once, and replaced only if they are dead.
//!
//! [`LivenessChecker`] owns the checks under way and remembers the last deaths. It mints nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::cache::{AccessToken, BoundedCache, TokenCache};
use super::error::{OutageScope, TokenError};
use super::tenant_context::{TenantContext, TenantDirectory};
use super::token_store::SealedTokenStore;
use super::upstream::Upstream;
use crate::box_api::BoxError;
use crate::clock::{Clock, Monotonic};
use crate::domain::id::TokenId;
use crate::domain::token_key::TokenKey;
use crate::flight::Flights;

/// The time for which a token counts as alive after a check or its mint.
const ALIVE_TTL: Duration = Duration::from_secs(5);
/// The time for which a reported token is not checked again after a check failed.
const FAILED_CHECK_TTL: Duration = Duration::from_secs(1);
/// The longest time that a caller waits for a check if it did not report the token.
const UNREPORTED_WAIT_LIMIT: Duration = Duration::from_secs(2);
/// The time within which a second death of a subject's token is not followed by another mint until it is over:
/// the cause would kill the next token too.
const REPEATED_DEATH_INTERVAL: Duration = Duration::from_secs(30);
/// The most keys whose last death is remembered.
const MAX_DEATHS: u64 = 10_000;

/// The status of a token at Box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenStatus {
    Alive,
    Dead,
}

/// The liveness checks of tokens at Box.
#[derive(Debug)]
pub struct LivenessChecker {
    tenants: Arc<TenantDirectory>,
    cache: Arc<TokenCache>,
    tokens: Arc<SealedTokenStore>,
    upstream: Arc<Upstream>,
    clock: Arc<dyn Clock>,
    checks: Flights<TokenId, Result<TokenStatus, TokenError>>,
    deaths: BoundedCache<TokenKey, Monotonic>,
}

impl LivenessChecker {
    /// Returns a checker with no checks under way.
    pub(super) fn new(
        tenants: Arc<TenantDirectory>,
        (cache, tokens): (Arc<TokenCache>, Arc<SealedTokenStore>),
        upstream: Arc<Upstream>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Self {
        let (checks, deaths) = (Flights::new(tasks), BoundedCache::new(MAX_DEATHS));
        Self { tenants, cache, tokens, upstream, clock, checks, deaths }
    }

    /// Returns the status of a token that a caller reports as dead. All callers that report it share one check.
    ///
    /// # Errors
    /// If Box does not answer now, or did not a moment ago.
    pub(super) async fn check_reported(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        token: &Arc<AccessToken>,
    ) -> Result<TokenStatus, TokenError> {
        let clock = self.clock.as_ref();
        if token.was_alive_within(ALIVE_TTL, clock) {
            return Ok(TokenStatus::Alive);
        }
        // While Box does not answer, repeated reports cause no further checks.
        if let Some((error, retry_after)) = token.failed_check_within(FAILED_CHECK_TTL, clock) {
            let error = Box::new(error);
            return Err(TokenError::Down { scope: OutageScope::Subject, error, retry_after });
        }
        let check = self.checks.join(token.row.clone(), || {
            let (checker, tenant, token) = (Arc::clone(self), Arc::clone(tenant), Arc::clone(token));
            async move { checker.check(&tenant, &token).await }
        });
        check.await.map_err(|_| TokenError::Crashed)?
    }

    /// Returns true, and forgets the token, if Box reports it dead. For a caller that may have received a 401 and
    /// does not report it: a token that was minted or found alive recently is not checked, and a check that
    /// fails or takes too long leaves it as it is.
    pub async fn is_dead(self: &Arc<Self>, token: &Arc<AccessToken>) -> bool {
        let clock = self.clock.as_ref();
        let counts_as_alive =
            token.lifetime.age(clock) < ALIVE_TTL || token.was_alive_within(ALIVE_TTL, clock);
        if counts_as_alive || token.failed_check_within(ALIVE_TTL, clock).is_some() {
            return false;
        }
        let check = self.checks.join(token.row.clone(), || {
            let (checker, token) = (Arc::clone(self), Arc::clone(token));
            async move {
                let tenant = checker.tenants.find_by_key(&token.key).await?.ok_or(TokenError::Absent)?;
                checker.check(&tenant, &token).await
            }
        });
        matches!(tokio::time::timeout(UNREPORTED_WAIT_LIMIT, check).await, Ok(Ok(Ok(TokenStatus::Dead))))
    }

    /// Asks Box whether a token is alive, and forgets a dead one.
    async fn check(
        &self,
        tenant: &TenantContext,
        token: &Arc<AccessToken>,
    ) -> Result<TokenStatus, TokenError> {
        let (key, clock) = (&token.key, self.clock.as_ref());
        // Another check may have ended since this one was decided on. To repeat it would be one request too many,
        // and count one death as two.
        if token.was_alive_within(ALIVE_TTL, clock) {
            return Ok(TokenStatus::Alive);
        }
        if self.cache.get(key).is_none_or(|cached| cached.row != token.row) {
            return Ok(TokenStatus::Dead);
        }
        let permit = self.upstream.permit(tenant).await?;
        let is_alive = self.upstream.client().is_alive(&token.secret).await.map_err(TokenError::from);
        drop(permit);
        if is_alive.inspect_err(|error| token.note_failed_check(error, clock))? {
            token.note_alive(clock);
            return Ok(TokenStatus::Alive);
        }
        tracing::info!(tenant = %key.tenant, subject = %key.subject, token = %token.row, "a token died before its time");
        self.tokens.forget(token).await?;
        self.note_death(key);
        Ok(TokenStatus::Dead)
    }

    /// Records a death. After two within a short time, no token is minted for the rest of it.
    fn note_death(&self, key: &TokenKey) {
        let now = self.clock.monotonic();
        let before = self.deaths.get(key);
        self.deaths.insert(key.clone(), now);
        if let Some(before) = before.filter(|before| now.since(*before) < REPEATED_DEATH_INTERVAL) {
            let rest = REPEATED_DEATH_INTERVAL.saturating_sub(now.since(before));
            let reason = "Box kills this subject's tokens as soon as they are minted".to_owned();
            let error = BoxError::Unavailable { reason, retry_after: Some(rest) };
            self.upstream.hold(key, rest, &error.into());
        }
    }
}
