//! Renewal ahead: tokens in use are renewed before anybody has to wait for Box.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use super::{Broker, TokenError, TtlRequirement};
use crate::broker::cache::renewal_schedule::INTERVAL;
use crate::broker::cache::token::AccessToken;
use crate::domain::app::AppState;
use crate::domain::audit_event::AuditContext;
use crate::domain::tenant::TenantState;
use crate::domain::token_key::TokenKey;
use crate::store::TenantRef;

/// How long a renewal that failed is not tried again, where nothing better is known.
const PAUSE: Duration = Duration::from_secs(5);

impl Broker {
    /// How often [`Broker::renew_due`] is to be called.
    #[must_use]
    pub fn renewal_interval() -> Duration {
        INTERVAL
    }

    /// True once the time of its renewal has come.
    pub(super) fn is_due(&self, token: &AccessToken) -> bool {
        token.renewal < self.clock.monotonic().plus(INTERVAL)
    }

    /// Begins to renew what is due by now, a bounded number at a time, and returns once the last has
    /// begun. Tokens that nobody had since they were minted are let go.
    pub async fn renew_due(self: &Arc<Self>) {
        // Whoever comes while another is at it finds everything begun.
        let _one = self.renewing.lock().await;
        let now = self.clock.monotonic();
        for key in self.schedule.due(now) {
            let Some(token) = self.memory.token(&key) else { continue };
            // A younger token has a later entry of its own.
            if !self.is_due(&token) || !token.is_in_use() {
                continue;
            }
            let Ok(place) = Arc::clone(&self.renewals).acquire_owned().await else { return };
            let broker = Arc::clone(self);
            self.tasks.spawn(async move { broker.renew(key, place).await });
        }
    }

    /// Waits until no renewal is under way.
    pub async fn renewals_end(&self) {
        let all = u32::try_from(self.renewal_places).unwrap_or(u32::MAX);
        // Nobody closes the semaphore.
        drop(self.renewals.acquire_many(all).await);
    }

    async fn renew(self: Arc<Self>, key: TokenKey, place: OwnedSemaphorePermit) {
        let renewed = self.renewed(&key).await;
        drop(place);
        let Err(error) = renewed else { return };
        // While it lives it is served, and worth another try.
        if self.memory.token(&key).is_some_and(|token| self.meets(&token, TtlRequirement::Serve(None))) {
            tracing::debug!(tenant = %key.tenant, subject = %key.subject, %error, "a token is renewed later");
            let pause = error.retry_after().unwrap_or(PAUSE);
            self.schedule.plan(key, self.clock.monotonic().plus(pause));
        }
    }

    async fn renewed(self: &Arc<Self>, key: &TokenKey) -> Result<(), TokenError> {
        let Some(view) = self.view(&TenantRef::Id(key.tenant.clone())).await? else { return Ok(()) };
        let in_service = view.tenant.state == TenantState::Active && view.app.state == AppState::Active;
        if !in_service || view.generation() != key.generation {
            return Ok(());
        }
        // Where Box cannot be asked anyway, the store is not asked either.
        self.gate.check(&view, key)?;
        let flight = self
            .flights
            .join(key.clone(), || self.fly(&view, key, TtlRequirement::Renew, AuditContext::BROKER));
        match flight.await {
            Ok(landed) => landed.map(drop),
            Err(_) => Err(TokenError::Crashed),
        }
    }
}
