//! The renewal of tokens in use before a caller has to wait for Box.
//!
//! [`RenewalWorker`] begins what the cache's schedule says is due, a bounded number at a time. It mints through
//! [`Minter`] alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::TokenError;
use super::cache::{TokenCache, TtlPolicy};
use super::minter::Minter;
use super::request::TtlRequirement;
use super::tenant_context::TenantDirectory;
use super::upstream::Upstream;
use crate::clock::Clock;
use crate::domain::app::AppState;
use crate::domain::tenant::TenantState;
use crate::domain::token_key::TokenKey;

/// The time until a failed renewal is tried again, if Box named none.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The share of the permits for Box that renewals take at most.
const RENEWAL_SHARE: usize = 2;

/// The renewal of tokens that are in use.
#[derive(Debug)]
pub struct RenewalWorker {
    tenants: Arc<TenantDirectory>,
    cache: Arc<TokenCache>,
    ttl: Arc<TtlPolicy>,
    upstream: Arc<Upstream>,
    minter: Arc<Minter>,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    /// Held while due renewals are begun, so that one task does it at a time.
    beginning: tokio::sync::Mutex<()>,
    slots: Arc<Semaphore>,
    slot_count: usize,
}

/// The parts that a [`RenewalWorker`] works with.
#[derive(Debug)]
pub(super) struct RenewalParts {
    pub(super) tenants: Arc<TenantDirectory>,
    pub(super) cache: Arc<TokenCache>,
    pub(super) ttl: Arc<TtlPolicy>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) minter: Arc<Minter>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: TaskTracker,
}

impl RenewalWorker {
    /// Returns a worker that renews at most half as many tokens at a time as there are `permits` for Box.
    pub(super) fn new(parts: RenewalParts, permits: usize) -> Self {
        let RenewalParts { tenants, cache, ttl, upstream, minter, clock, tasks } = parts;
        let slot_count = permits.div_ceil(RENEWAL_SHARE);
        let (beginning, slots) = (tokio::sync::Mutex::default(), Arc::new(Semaphore::new(slot_count)));
        Self { tenants, cache, ttl, upstream, minter, clock, tasks, beginning, slots, slot_count }
    }

    /// Begins to renew the tokens that are due, and returns once the last renewal has begun. Tokens that nobody
    /// used since they were minted are left to expire.
    pub async fn renew_due(self: &Arc<Self>) {
        // A second call finds everything begun.
        let _alone = self.beginning.lock().await;
        for key in self.cache.take_due_renewals() {
            let Some(token) = self.cache.get(&key) else { continue };
            // A newer token has a later entry of its own.
            if !self.ttl.is_due(&token) || !token.is_in_use() {
                continue;
            }
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            let worker = Arc::clone(self);
            self.tasks.spawn(async move { worker.renew_or_reschedule(key, slot).await });
        }
    }

    /// Waits until no renewal is under way.
    pub async fn wait_until_idle(&self) {
        let all = u32::try_from(self.slot_count).unwrap_or(u32::MAX);
        // Nobody closes the semaphore.
        drop(self.slots.acquire_many(all).await);
    }

    async fn renew_or_reschedule(self: Arc<Self>, key: TokenKey, slot: OwnedSemaphorePermit) {
        let renewed = self.renew(&key).await;
        drop(slot);
        let Err(error) = renewed else { return };
        // As long as the token can be served, another attempt is worth it.
        let is_served = |token: &_| self.ttl.meets(token, TtlRequirement::Serve(None));
        if self.cache.get(&key).is_some_and(|token| is_served(&token)) {
            tracing::debug!(tenant = %key.tenant, subject = %key.subject, %error, "a token is renewed later");
            let pause = error.retry_after().unwrap_or(RETRY_PAUSE);
            self.cache.schedule_renewal(key, self.clock.monotonic().plus(pause));
        }
    }

    async fn renew(&self, key: &TokenKey) -> Result<(), TokenError> {
        let Some(tenant) = self.tenants.find_by_key(key).await? else { return Ok(()) };
        let in_service = tenant.tenant.state == TenantState::Active && tenant.app.state == AppState::Active;
        if !in_service || tenant.generation() != key.generation {
            return Ok(());
        }
        // If Box cannot be asked anyway, the store is not asked either.
        self.upstream.check(&tenant, key)?;
        self.minter.renew(&tenant, key).await
    }
}
