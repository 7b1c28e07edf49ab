//! What is known of each tenant's line to Box: whether tokens can be had, and since when.
//!
//! It follows from what callers and tests ask anyway, and where a tenant fails the keeper asks too,
//! so that nobody is told of what is long over. One success says that a tenant is well; a
//! failure counts where it concerns the tenant as a whole, and not one user or item.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::box_api::BoxError;
use crate::broker::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::broker::upstream::circuit_breaker::{CircuitBreaker, OutageScope, extent_of};
use crate::clock::Clock;
use crate::domain::id::TenantId;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;
use crate::store::StoreError;

/// Beyond so many tenants those that are well are forgotten.
const REMEMBERED: usize = 100_000;

/// How a tenant is.
#[derive(Clone, Debug)]
pub enum Health {
    /// Nothing was asked since then.
    Unknown(Timestamp),
    /// Box gives tokens, since then.
    Well(Timestamp),
    /// It does not, since then; and the last reason.
    Failing(Timestamp, TokenError),
}

/// The health of all tenants.
#[derive(Debug)]
pub(in crate::broker) struct TenantHealth {
    clock: Arc<dyn Clock>,
    began: Timestamp,
    known: Mutex<HashMap<TenantId, Health>>,
}

impl TenantHealth {
    pub(in crate::broker) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { began: clock.wall(), clock, known: Mutex::default() }
    }

    pub(in crate::broker) fn of(&self, view: &TenantContext) -> Health {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = || Health::Unknown(self.began.max(view.tenant.created_at));
        known.get(&view.tenant.id).cloned().unwrap_or_else(nothing)
    }

    /// Takes note that Box gave a token.
    pub(in crate::broker) fn note_success(&self, tenant: &TenantId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(known.get(tenant), Some(Health::Well(_))) {
            if known.len() >= REMEMBERED {
                known.retain(|_, health| matches!(health, Health::Failing(..)));
            }
            known.insert(tenant.clone(), Health::Well(self.clock.wall()));
        }
    }

    /// Takes note of what stands in the way of a tenant as a whole.
    pub(in crate::broker) fn note_failure(&self, tenant: &TenantId, error: &TokenError) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match known.get(tenant) {
            Some(Health::Failing(since, _)) => *since,
            _ => self.clock.wall(),
        };
        known.insert(tenant.clone(), Health::Failing(since, error.clone()));
    }

    /// The tenants that fail.
    pub(in crate::broker) fn failing(&self) -> Vec<TenantId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = |health: &Health| matches!(health, Health::Failing(..));
        known.iter().filter(|(_, health)| fails(health)).map(|(tenant, _)| tenant.clone()).collect()
    }

    /// Forgets a tenant.
    pub(in crate::broker) fn forget(&self, tenant: &TenantId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

/// True for a failure that concerns the tenant as a whole. What the enterprise's own full token
/// meets does; what a user, an item or a narrower token meets may be theirs alone.
pub(in crate::broker) fn concerns_the_tenant(
    gate: &CircuitBreaker,
    key: &TokenKey,
    error: &TokenError,
) -> bool {
    let is_its_own = key.subject == Subject::ENTERPRISE && key.restriction.is_none();
    if let Some(refusal) = error.refusal() {
        return is_its_own || extent_of(refusal, key) != OutageScope::Subject;
    }
    match error {
        TokenError::Box(error) => match error.as_ref() {
            BoxError::Unavailable { .. } | BoxError::RateLimited { .. } => {
                is_its_own || gate.is_down(&key.tenant)
            }
            BoxError::Protocol { .. } => is_its_own,
            _ => false,
        },
        TokenError::Down { extent, .. } => is_its_own || *extent != OutageScope::Subject,
        other => is_of_the_seals(other),
    }
}

/// True where the stored credentials cannot be opened or used.
fn is_of_the_seals(error: &TokenError) -> bool {
    matches!(
        error,
        TokenError::Sealed { .. }
            | TokenError::Corrupt(_)
            | TokenError::Store(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn a_failure_is_since_its_first_and_the_well_make_room() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let healths = TenantHealth::new(clock.clone());
        let tenant = |name: &str| TenantId::parse(&format!("ten_{name}")).unwrap();
        let sick = tenant("sick");
        healths.note_failure(&sick, &TokenError::Overloaded);
        clock.advance(Duration::from_secs(60));
        healths.note_failure(&sick, &TokenError::Pending);
        for number in 0..=REMEMBERED {
            healths.note_success(&tenant(&number.to_string()));
        }
        let known = healths.known.lock().unwrap();
        assert!(known.len() <= REMEMBERED, "{}", known.len());
        let Some(Health::Failing(since, TokenError::Pending)) = known.get(&sick) else {
            panic!("{:?}", known.get(&sick));
        };
        assert_eq!(*since, Timestamp::UNIX_EPOCH);
    }
}
