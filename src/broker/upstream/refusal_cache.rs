//! The memory of Box's refusals.
//!
//! A refusal is repeated for a while without asking Box again. It is not an outage: Box answers, and the circuit
//! breaker stays closed.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::broker::error::{OutageScope, TokenError};
use crate::broker::tenant_context::TenantContext;
use crate::clock::Monotonic;
use crate::domain::box_refusal::BoxRefusal;
use crate::domain::id::{AppId, Generation, TenantId};
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// The time for which the refusal of one subject or resource is repeated.
const SUBJECT_REFUSAL_TTL: Duration = Duration::from_secs(10);
/// The time for which the refusal of a tenant or an app is repeated.
const WIDE_REFUSAL_TTL: Duration = Duration::from_secs(60);
/// The number of refusals beyond which those that ended are dropped.
const MAX_REFUSALS: usize = 50_000;

/// The scope of a refusal. A change of credentials makes a new generation, for which nothing was refused.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum RefusalScope {
    Token(TokenKey),
    Tenant(TenantId, Generation),
    App(AppId, Generation),
}

/// A refusal and the time until which it is repeated.
type Refusal = (TokenError, Monotonic);

/// The refusals that are repeated without asking Box.
#[derive(Debug, Default)]
pub(super) struct RefusalCache(Mutex<HashMap<RefusalScope, Refusal>>);

impl RefusalCache {
    /// Succeeds if nothing that concerns this token was refused recently.
    ///
    /// # Errors
    /// Returns the refusal.
    pub(super) fn check(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        now: Monotonic,
    ) -> Result<(), TokenError> {
        let mut refusals = self.lock();
        let scopes = [
            RefusalScope::App(tenant.app.id.clone(), tenant.app.generation),
            RefusalScope::Tenant(key.tenant.clone(), key.generation),
            RefusalScope::Token(key.clone()),
        ];
        for scope in scopes {
            match refusals.get(&scope) {
                Some((error, until)) if now < *until => return Err(cached_error(error, until.since(now))),
                Some(_) => drop(refusals.remove(&scope)),
                None => {}
            }
        }
        Ok(())
    }

    /// Remembers a refusal for the scope that it concerns.
    pub(super) fn insert(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        refusal: BoxRefusal,
        error: &TokenError,
        now: Monotonic,
    ) {
        let (scope, ttl) = match scope_of_refusal(refusal, key) {
            OutageScope::Subject => (RefusalScope::Token(key.clone()), SUBJECT_REFUSAL_TTL),
            OutageScope::Tenant => {
                (RefusalScope::Tenant(key.tenant.clone(), key.generation), WIDE_REFUSAL_TTL)
            }
            OutageScope::App | OutageScope::Box => {
                (RefusalScope::App(tenant.app.id.clone(), tenant.app.generation), WIDE_REFUSAL_TTL)
            }
        };
        self.put(scope, error, now, ttl);
    }

    /// Remembers an error of one token that is no refusal, such as a response of Box that makes no sense.
    pub(super) fn insert_for_token(&self, key: &TokenKey, error: &TokenError, now: Monotonic) {
        self.hold(key, error, now, SUBJECT_REFUSAL_TTL);
    }

    /// Repeats `error` for one token, for `time`.
    pub(super) fn hold(&self, key: &TokenKey, error: &TokenError, now: Monotonic, time: Duration) {
        self.put(RefusalScope::Token(key.clone()), error, now, time);
    }

    /// Forgets the refusals of a tenant.
    pub(super) fn forget_tenant(&self, tenant: &TenantId) {
        self.lock().retain(|scope, _| match scope {
            RefusalScope::Token(key) => key.tenant != *tenant,
            RefusalScope::Tenant(id, _) => id != tenant,
            RefusalScope::App(..) => true,
        });
    }

    /// Forgets the refusals of an app.
    pub(super) fn forget_app(&self, app: &AppId) {
        self.lock().retain(|scope, _| !matches!(scope, RefusalScope::App(id, _) if id == app));
    }

    fn put(&self, scope: RefusalScope, error: &TokenError, now: Monotonic, ttl: Duration) {
        let mut refusals = self.lock();
        if refusals.len() > MAX_REFUSALS {
            refusals.retain(|_, (_, until)| now < *until);
        }
        refusals.insert(scope, (error.clone(), now.plus(ttl)));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RefusalScope, Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the scope of a refusal. A refusal of one user's request concerns that user alone, who can even belong
/// to another enterprise: it never counts for the tenant.
pub(super) fn scope_of_refusal(refusal: BoxRefusal, key: &TokenKey) -> OutageScope {
    match refusal {
        _ if refusal.concerns_the_app() => OutageScope::App,
        BoxRefusal::AppNotAuthorized | BoxRefusal::CcgNotAuthorized if key.subject == Subject::ENTERPRISE => {
            OutageScope::Tenant
        }
        _ => OutageScope::Subject,
    }
}

/// Returns the error that is reported for a remembered one, `left` before it ends.
fn cached_error(error: &TokenError, left: Duration) -> TokenError {
    match error.is_outage() {
        true => TokenError::Down {
            scope: OutageScope::Subject,
            error: Box::new(error.clone()),
            retry_after: left,
        },
        false => error.clone(),
    }
}
