//! The second half of a lock: cancels the sessions and revokes the tokens that it reaches.
//!
//! It runs after a lock, again if it was interrupted, and before a lock is lifted. It never sets or lifts a lock.

use super::deps::Deps;
use super::error::RegistryError;
use super::session_cancellation::cancel_matching_sessions;
use crate::broker::LockdownScope;
use crate::domain::audit_event::AuditContext;
use crate::domain::caller::Caller;
use crate::domain::id::{AppId, TenantId};
use crate::store::SessionSelector;

/// Takes the tokens and sessions of a locked tenant out of circulation.
///
/// # Errors
/// Those of the store.
pub(super) async fn enforce_tenant_lock(deps: &Deps, tenant: TenantId) -> Result<(), RegistryError> {
    enforce_lock(deps, LockdownScope::Tenant(tenant.clone()), SessionSelector::Tenant(tenant)).await
}

/// Takes the tokens and sessions of all tenants of a locked shared app out of circulation.
///
/// # Errors
/// Those of the store.
pub(super) async fn enforce_app_lock(deps: &Deps, app: AppId) -> Result<(), RegistryError> {
    enforce_lock(deps, LockdownScope::App(app.clone()), SessionSelector::App(app)).await
}

/// Takes the tokens that a caller's grants allowed until it was locked out of circulation, and its sessions.
/// Does nothing for a caller that is not locked.
///
/// # Errors
/// Those of the store.
pub(super) async fn enforce_caller_lock(deps: &Deps, caller: &Caller) -> Result<(), RegistryError> {
    match caller.locked_at {
        None => Ok(()),
        until => {
            let scope = LockdownScope::Grants { grants: caller.grants.as_slice().into(), until };
            enforce_lock(deps, scope, SessionSelector::Caller(caller.id.clone())).await
        }
    }
}

async fn enforce_lock(
    deps: &Deps,
    scope: LockdownScope,
    sessions: SessionSelector,
) -> Result<(), RegistryError> {
    cancel_matching_sessions(deps, sessions, &AuditContext::BROKER, |_| true).await?;
    deps.broker.revocation().withdraw(&scope).await?;
    Ok(())
}
