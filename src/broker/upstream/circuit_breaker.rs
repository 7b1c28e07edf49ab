//! The circuit breaker: while Box does not answer, it is probed once a second and not asked otherwise.
//!
//! Every call for a token concerns a subject, a tenant, an app and Box as a whole. Each of these is a scope with
//! a circuit of its own. A subject's circuit opens with its first failure, a tenant's with its second failing
//! subject, an app's with its second failing tenant, and Box's with the third. A scope counts once in the scope
//! above until it works again, so that a long outage of one does not open the circuits of its neighbours. One
//! success closes the circuits of all scopes of the call.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::broker::error::{OutageScope, TokenError};
use crate::broker::tenant_context::TenantContext;
use crate::clock::Monotonic;
use crate::domain::id::{AppId, TenantId};
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// The interval of probes while a circuit is open.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// The longest `Retry-After` that is followed, by the subject that received it and by all others. It was sent to
/// one request, and only further requests show whether it still holds.
const LONGEST_SUBJECT_PAUSE: Duration = Duration::from_mins(1);
const LONGEST_WIDE_PAUSE: Duration = Duration::from_secs(3);
/// The number of failing subjects that open their tenant's circuit, of tenants that open their app's, and of
/// tenants that open Box's.
const SUBJECTS_PER_TENANT: u32 = 2;
const TENANTS_PER_APP: u32 = 2;
const TENANTS_FOR_BOX: u32 = 3;
/// The number of circuits beyond which those are dropped that were not used for `IDLE_LIMIT`.
const MAX_CIRCUITS: usize = 50_000;
const IDLE_LIMIT: Duration = Duration::from_mins(10);

/// The scope of a circuit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum BreakerScope {
    Subject(TenantId, Subject),
    Tenant(TenantId),
    App(AppId),
    Box,
}

/// The circuit of one scope that failed since it last worked.
#[derive(Debug)]
struct Circuit {
    /// The number of scopes below that failed since this one last worked.
    failed_below: u32,
    /// True once it was counted in the scopes above.
    is_counted: bool,
    /// The open state; `None` while the circuit is closed.
    open: Option<OpenCircuit>,
    used: Monotonic,
}

#[derive(Clone, Debug)]
struct OpenCircuit {
    /// The last failure.
    error: TokenError,
    /// The time from which the next probe is admitted.
    probe_at: Monotonic,
    /// The tenant that probed last, and the time until which other tenants go first.
    last_probe: Option<(TenantId, Monotonic)>,
}

/// The circuits of all scopes.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker(Mutex<HashMap<BreakerScope, Circuit>>);

impl CircuitBreaker {
    /// Succeeds if a call for this token would be admitted now. It does not use up the next probe.
    ///
    /// # Errors
    /// Returns [`TokenError::Down`] with the last failure.
    pub(super) fn check(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        now: Monotonic,
    ) -> Result<(), TokenError> {
        check(&self.lock(), tenant, key, now)
    }

    /// Admits a call for this token, and returns true if it is the probe of an open circuit.
    ///
    /// # Errors
    /// As [`CircuitBreaker::check`].
    pub(super) fn admit(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        now: Monotonic,
    ) -> Result<bool, TokenError> {
        let mut circuits = self.lock();
        check(&circuits, tenant, key, now)?;
        let mut is_probe = false;
        for (scope, extent) in &scopes(tenant, key) {
            let Some(circuit) = circuits.get_mut(scope) else { continue };
            circuit.used = now;
            let Some(open) = &mut circuit.open else { continue };
            is_probe = true;
            open.probe_at = now.plus(PROBE_INTERVAL);
            if matches!(extent, OutageScope::App | OutageScope::Box) {
                open.last_probe = Some((key.tenant.clone(), now.plus(2 * PROBE_INTERVAL)));
            }
        }
        Ok(is_probe)
    }

    /// Closes the circuits of a call to which Box answered.
    pub(super) fn record_success(&self, tenant: &TenantContext, key: &TokenKey) {
        let mut circuits = self.lock();
        if circuits.is_empty() {
            return;
        }
        for (scope, _) in scopes(tenant, key) {
            circuits.remove(&scope);
        }
    }

    /// Counts a failure, and opens the circuits that it is the last straw for.
    pub(super) fn record_failure(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        error: &TokenError,
        now: Monotonic,
    ) {
        let pause = error.retry_after().unwrap_or(PROBE_INTERVAL).max(PROBE_INTERVAL);
        let mut circuits = self.lock();
        if circuits.len() > MAX_CIRCUITS {
            circuits.retain(|_, circuit| now.since(circuit.used) < IDLE_LIMIT);
        }
        let open = |longest, last_probe| OpenCircuit {
            error: error.clone(),
            probe_at: now.plus(pause.min(longest)),
            last_probe,
        };
        let [(box_scope, _), (app, _), (tenant, _), (subject, _)] = scopes(tenant, key);

        let is_new_subject = {
            let circuit = circuit_of(&mut circuits, subject, now);
            let was_closed = circuit.open.is_none();
            circuit.open = Some(open(LONGEST_SUBJECT_PAUSE, None));
            was_closed
        };
        let is_new_tenant = {
            let circuit = circuit_of(&mut circuits, tenant, now);
            circuit.failed_below += u32::from(is_new_subject);
            if circuit.open.is_some() || circuit.failed_below >= SUBJECTS_PER_TENANT {
                circuit.open = Some(open(LONGEST_WIDE_PAUSE, None));
            }
            !std::mem::replace(&mut circuit.is_counted, true)
        };
        for (scope, threshold) in [(app, TENANTS_PER_APP), (box_scope, TENANTS_FOR_BOX)] {
            let circuit = circuit_of(&mut circuits, scope, now);
            circuit.failed_below += u32::from(is_new_tenant);
            if circuit.open.is_some() || circuit.failed_below >= threshold {
                let last_probe = circuit.open.take().and_then(|before| before.last_probe);
                circuit.open = Some(open(LONGEST_WIDE_PAUSE, last_probe));
            }
        }
    }

    /// Returns true if the tenant's own circuit is open.
    pub(super) fn is_open(&self, tenant: &TenantId) -> bool {
        let circuits = self.lock();
        circuits.get(&BreakerScope::Tenant(tenant.clone())).is_some_and(|circuit| circuit.open.is_some())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BreakerScope, Circuit>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(
    circuits: &HashMap<BreakerScope, Circuit>,
    tenant: &TenantContext,
    key: &TokenKey,
    now: Monotonic,
) -> Result<(), TokenError> {
    for (scope, extent) in &scopes(tenant, key) {
        let Some(open) = circuits.get(scope).and_then(|circuit| circuit.open.as_ref()) else { continue };
        let others_first = open.last_probe.as_ref().filter(|(tenant, _)| *tenant == key.tenant);
        let from = others_first.map_or(open.probe_at, |(_, until)| open.probe_at.max(*until));
        if now < from {
            let error = Box::new(open.error.clone());
            return Err(TokenError::Down { scope: *extent, error, retry_after: from.since(now) });
        }
    }
    Ok(())
}

/// Returns the circuit of a scope, closed if it is new.
fn circuit_of(
    circuits: &mut HashMap<BreakerScope, Circuit>,
    scope: BreakerScope,
    now: Monotonic,
) -> &mut Circuit {
    let closed = Circuit { failed_below: 0, is_counted: false, open: None, used: now };
    let circuit = circuits.entry(scope).or_insert(closed);
    circuit.used = now;
    circuit
}

/// Returns the scopes of a call, the widest first.
fn scopes(tenant: &TenantContext, key: &TokenKey) -> [(BreakerScope, OutageScope); 4] {
    [
        (BreakerScope::Box, OutageScope::Box),
        (BreakerScope::App(tenant.app.id.clone()), OutageScope::App),
        (BreakerScope::Tenant(key.tenant.clone()), OutageScope::Tenant),
        (BreakerScope::Subject(key.tenant.clone(), key.subject.clone()), OutageScope::Subject),
    ]
}
