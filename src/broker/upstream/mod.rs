//! The calls to Box for tokens.
//!
//! [`Upstream`] limits their concurrency, withholds them while Box refuses or fails, and records the health of
//! tenants from their results. It owns that state alone: it knows no cache, no store and no caller.

mod circuit_breaker;
mod concurrency_limiter;
mod health;
mod refusal_cache;

use std::sync::Arc;
use std::time::Duration;

pub use self::health::Health;

use self::circuit_breaker::CircuitBreaker;
use self::concurrency_limiter::{ConcurrencyLimiter, NoPermit, Permit};
use self::health::{TenantHealth, concerns_tenant};
use self::refusal_cache::RefusalCache;
use super::error::TokenError;
use super::tenant_context::TenantContext;
use crate::box_api::{BoxClient, BoxError};
use crate::clock::Clock;
use crate::domain::id::{AppId, TenantId};
use crate::domain::token_key::TokenKey;

/// The guarded way to Box.
#[derive(Debug)]
pub struct Upstream {
    client: Arc<BoxClient>,
    clock: Arc<dyn Clock>,
    limiter: ConcurrencyLimiter,
    breaker: CircuitBreaker,
    refusals: RefusalCache,
    health: TenantHealth,
}

impl Upstream {
    /// Returns the way to Box with at most `permits` concurrent requests, and with nothing refused yet.
    pub(super) fn new(client: Arc<BoxClient>, clock: Arc<dyn Clock>, permits: usize) -> Self {
        Self {
            client,
            limiter: ConcurrencyLimiter::new(permits),
            breaker: CircuitBreaker::default(),
            refusals: RefusalCache::default(),
            health: TenantHealth::new(Arc::clone(&clock)),
            clock,
        }
    }

    /// Returns the client itself, for requests that are not guarded.
    pub(super) fn client(&self) -> &BoxClient {
        &self.client
    }

    /// Succeeds if Box may be asked for this token now.
    ///
    /// # Errors
    /// Returns what Box refused, or its last failure.
    pub(super) fn check(&self, tenant: &TenantContext, key: &TokenKey) -> Result<(), TokenError> {
        let now = self.clock.monotonic();
        self.refusals.check(tenant, key, now)?;
        self.breaker.check(tenant, key, now)
    }

    /// Sends a request for this token to Box, if Box may be asked now, once the tenant has a permit.
    pub(super) async fn call<T>(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        request: impl AsyncFnOnce(&BoxClient) -> Result<T, BoxError>,
    ) -> Result<Result<T, BoxError>, TokenError> {
        let note = |error: &TokenError| self.record_health(key, Some(error));
        self.check(tenant, key).inspect_err(note)?;
        let _permit = self.permit(tenant).await?;
        // While this request waited for a permit, others may have found Box refusing or failing.
        let is_probe = self.admit(tenant, key).inspect_err(note)?;
        let result = match is_probe {
            true => request(&self.client.for_probes()).await,
            false => request(&self.client).await,
        };
        Ok(self.record_result(tenant, key, result))
    }

    /// Waits for a permit of this tenant.
    ///
    /// # Errors
    /// Returns [`TokenError::Overloaded`] if none becomes free in time.
    pub(super) async fn permit(&self, tenant: &TenantContext) -> Result<Permit, TokenError> {
        self.limiter.acquire(tenant).await.map_err(|NoPermit| TokenError::Overloaded)
    }

    /// Waits for a permit of no tenant.
    ///
    /// # Errors
    /// As [`Upstream::permit`].
    pub(super) async fn unowned_permit(&self) -> Result<Permit, TokenError> {
        self.limiter.acquire_unowned().await.map_err(|NoPermit| TokenError::Overloaded)
    }

    /// Records Box's result for the next requests and for the tenant's health, and passes it on.
    pub(super) fn record_result<T>(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        result: Result<T, BoxError>,
    ) -> Result<T, BoxError> {
        let failure = result.as_ref().err().map(|error| TokenError::from(error.clone()));
        self.note_box_outcome(tenant, key, failure.as_ref());
        self.record_health(key, failure.as_ref());
        result
    }

    /// Records the end of a request for the next ones.
    pub(super) fn note_box_outcome(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        failure: Option<&TokenError>,
    ) {
        let Some(error) = failure else { return self.breaker.record_success(tenant, key) };
        match error.refusal() {
            Some(refusal) => {
                self.refusals.insert(tenant, key, refusal, error, self.clock.monotonic());
                // Box answers, if only with a refusal.
                self.breaker.record_success(tenant, key);
            }
            None if error.is_outage() => {
                self.breaker.record_failure(tenant, key, error, self.clock.monotonic());
            }
            // A response that makes no sense for one token says nothing of others.
            None if error.is_protocol_error() => {
                self.refusals.insert_for_token(key, error, self.clock.monotonic());
            }
            None => {}
        }
    }

    /// Repeats `error` for this token, for `time`.
    pub(super) fn hold(&self, key: &TokenKey, time: Duration, error: &TokenError) {
        self.refusals.hold(key, error, self.clock.monotonic(), time);
    }

    /// Records the end of a request for the tenant's health.
    pub(super) fn record_health(&self, key: &TokenKey, failure: Option<&TokenError>) {
        match failure {
            None => self.note_success(&key.tenant),
            Some(error) if concerns_tenant(key, error, |tenant| self.breaker.is_open(tenant)) => {
                self.note_failure(&key.tenant, error);
            }
            Some(_) => {}
        }
    }

    /// Records that Box gave a token for a tenant.
    pub(super) fn note_success(&self, tenant: &TenantId) {
        self.health.note_success(tenant);
    }

    /// Records a failure that concerns a tenant as a whole.
    pub fn note_failure(&self, tenant: &TenantId, error: &TokenError) {
        self.health.note_failure(tenant, error);
    }

    /// Returns the health of a tenant, as far as it was tried.
    #[must_use]
    pub fn health(&self, tenant: &TenantContext) -> Health {
        self.health.of(tenant)
    }

    /// Returns the tenants that are failing, as far as this process knows.
    #[must_use]
    pub fn failing_tenants(&self) -> Vec<TenantId> {
        self.health.failing()
    }

    /// Forgets the health of a tenant.
    pub(super) fn forget_health(&self, tenant: &TenantId) {
        self.health.forget(tenant);
    }

    /// Forgets what Box refused to a tenant and its app, because a test succeeded.
    pub fn forget_refusals(&self, tenant: &TenantContext) {
        self.forget_refusals_of_tenant(tenant.id());
        self.forget_refusals_of_app(&tenant.app.id);
    }

    /// Forgets what Box refused to a tenant.
    pub(super) fn forget_refusals_of_tenant(&self, tenant: &TenantId) {
        self.refusals.forget_tenant(tenant);
    }

    /// Forgets what Box refused to an app.
    pub(super) fn forget_refusals_of_app(&self, app: &AppId) {
        self.refusals.forget_app(app);
    }

    fn admit(&self, tenant: &TenantContext, key: &TokenKey) -> Result<bool, TokenError> {
        let now = self.clock.monotonic();
        self.refusals.check(tenant, key, now)?;
        self.breaker.admit(tenant, key, now)
    }
}
