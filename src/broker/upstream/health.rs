//! The health of tenants: whether Box gives tokens for them, and since when.
//!
//! It follows from the requests of callers and tests; failing tenants are also tried by the maintenance task, so
//! that no failure is reported long after its end. One success makes a tenant healthy. A failure counts only if
//! it concerns the tenant as a whole, rather than one user or item.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::refusal_cache::scope_of_refusal;
use crate::box_api::BoxError;
use crate::broker::error::{OutageScope, TokenError};
use crate::broker::tenant_context::TenantContext;
use crate::clock::Clock;
use crate::domain::id::TenantId;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;
use crate::store::StoreError;

/// The number of tenants beyond which the healthy ones are forgotten.
const MAX_TENANTS: usize = 100_000;

/// The health of one tenant.
#[derive(Clone, Debug)]
pub enum Health {
    /// No request was made since then.
    Unknown(Timestamp),
    /// Box gives tokens since then.
    Healthy(Timestamp),
    /// Box gives no tokens since then; with the last error.
    Failing(Timestamp, TokenError),
}

/// The health of all tenants.
#[derive(Debug)]
pub(super) struct TenantHealth {
    clock: Arc<dyn Clock>,
    began: Timestamp,
    known: Mutex<HashMap<TenantId, Health>>,
}

impl TenantHealth {
    /// Returns a record in which every tenant is unknown.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { began: clock.wall(), clock, known: Mutex::default() }
    }

    /// Returns the health of a tenant.
    pub(super) fn of(&self, tenant: &TenantContext) -> Health {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown = || Health::Unknown(self.began.max(tenant.tenant.created_at));
        known.get(tenant.id()).cloned().unwrap_or_else(unknown)
    }

    /// Records that Box gave a token.
    pub(super) fn note_success(&self, tenant: &TenantId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(known.get(tenant), Some(Health::Healthy(_))) {
            if known.len() >= MAX_TENANTS {
                known.retain(|_, health| matches!(health, Health::Failing(..)));
            }
            known.insert(tenant.clone(), Health::Healthy(self.clock.wall()));
        }
    }

    /// Records a failure that concerns a tenant as a whole.
    pub(super) fn note_failure(&self, tenant: &TenantId, error: &TokenError) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let since = match known.get(tenant) {
            Some(Health::Failing(since, _)) => *since,
            _ => self.clock.wall(),
        };
        known.insert(tenant.clone(), Health::Failing(since, error.clone()));
    }

    /// Returns the tenants that are failing.
    pub(super) fn failing(&self) -> Vec<TenantId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = |health: &Health| matches!(health, Health::Failing(..));
        known.iter().filter(|(_, health)| fails(health)).map(|(tenant, _)| tenant.clone()).collect()
    }

    /// Forgets a tenant.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(tenant);
    }
}

/// Returns true for a failure that concerns the tenant as a whole. A failure of the enterprise's own full token
/// does; a failure of a user's, an item's or a restricted token may be theirs alone.
pub(super) fn concerns_tenant(
    key: &TokenKey,
    error: &TokenError,
    is_circuit_open: impl FnOnce(&TenantId) -> bool,
) -> bool {
    let is_its_own = key.subject == Subject::ENTERPRISE && key.restriction.is_none();
    if let Some(refusal) = error.refusal() {
        return is_its_own || scope_of_refusal(refusal, key) != OutageScope::Subject;
    }
    match error {
        TokenError::Box(error) => match error.as_ref() {
            BoxError::Unavailable { .. } | BoxError::RateLimited { .. } => {
                is_its_own || is_circuit_open(&key.tenant)
            }
            BoxError::Protocol { .. } => is_its_own,
            _ => false,
        },
        TokenError::Down { scope, .. } => is_its_own || *scope != OutageScope::Subject,
        other => concerns_credentials(other),
    }
}

/// Returns true if the stored credentials cannot be opened or used.
fn concerns_credentials(error: &TokenError) -> bool {
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
    fn a_failure_keeps_its_first_time_and_healthy_tenants_make_room() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let healths = TenantHealth::new(clock.clone());
        let tenant = |name: &str| TenantId::parse(&format!("ten_{name}")).unwrap();
        let failing = tenant("failing");
        healths.note_failure(&failing, &TokenError::Overloaded);
        clock.advance(Duration::from_secs(60));
        healths.note_failure(&failing, &TokenError::Pending);
        for number in 0..=MAX_TENANTS {
            healths.note_success(&tenant(&number.to_string()));
        }
        let known = healths.known.lock().unwrap();
        assert!(known.len() <= MAX_TENANTS, "{}", known.len());
        let Some(Health::Failing(since, TokenError::Pending)) = known.get(&failing) else {
            panic!("{:?}", known.get(&failing));
        };
        assert_eq!(*since, Timestamp::UNIX_EPOCH);
    }
}
