//! The deletion of tenants: out of service at once, erased when the grace period is over.

use jiff::{SignedDuration, Timestamp};

use super::Tenants;
use crate::auth::RequestContext;
use crate::broker::TenantContext;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::grant::Permission;
use crate::domain::tenant::{Tenant, TenantState};
use crate::registry::access::require_everywhere;
use crate::registry::deps::Deps;
use crate::registry::error::{RegistryError, require_version};
use crate::registry::retry::retry_on_conflict;
use crate::registry::rows;
use crate::registry::session_cancellation::cancel_matching_sessions;
use crate::store::{ChangedEntity, SessionSelector, StoreError, TenantRef};

/// The longest time that the purge of a tenant waits for tokens that Box has not confirmed revoked. It is the longest
/// life of a token, after which they have expired anyway.
const MAX_REVOCATION_WAIT: SignedDuration = SignedDuration::from_mins(75);

impl Tenants {
    /// Takes a tenant out of service at once and revokes its tokens. It is erased when its grace period is over,
    /// or immediately if `now` is set.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn delete(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        now: bool,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        let grace = if now { SignedDuration::ZERO } else { to_signed(self.purge_after) };
        retry_on_conflict(|| async move {
            let permission = if now { Permission::TenantsPurge } else { Permission::TenantsDelete };
            let (mut context, view) = rows::tenants::load_tenant(deps, context, tenant, permission).await?;
            if now {
                context = require_everywhere(&context, Permission::TenantsPurge)?;
            }
            let current = &view.tenant;
            require_version(expected, current.version)?;
            let cause = context.audit_context();
            if current.is_unverified() {
                return purge_pending(deps, &view, &cause).await;
            }
            let is_deleted = current.state == TenantState::Deleted;
            if is_deleted && !now {
                return Ok(());
            }
            let purge_at = deps.now().checked_add(grace).unwrap_or(Timestamp::MAX);
            let mut next =
                Tenant { state: TenantState::Deleted, purge_at: Some(purge_at), ..current.clone() };
            if !is_deleted {
                // If the tenant is restored, tokens that are revoked now must not be released again.
                next.generation = deps.store.next_generation().await?;
            }
            let detail = format!("to be erased at {purge_at}");
            let event = rows::tenants::tenant_event(deps, &next, &cause, AuditAction::TenantDelete, detail);
            let tenant = rows::tenants::replace_tenant(deps, next, &event, expected).await?;
            let view = TenantContext { tenant, app: view.app.clone() };
            if let Err(error) = revoke_and_purge(deps, &view, &cause).await {
                tracing::warn!(tenant = %view.tenant.id, %error, "a deleted tenant is wound up later");
            }
            Ok(())
        })
        .await
    }

    /// Revokes the remaining tokens of deleted tenants, and erases the tenants whose grace period is over.
    ///
    /// # Errors
    /// If the store does not answer. The failure of one tenant is logged and retried the next time.
    pub async fn purge_due(&self) -> Result<(), StoreError> {
        let deps = &*self.deps;
        for tenant in deps.store.deleted_tenants().await? {
            let Some(app) = rows::tenants::load_app_of_listed_tenant(deps, &tenant.app).await? else {
                continue;
            };
            let view = TenantContext { tenant, app };
            if let Err(error) = revoke_and_purge(deps, &view, &AuditContext::BROKER).await {
                tracing::warn!(tenant = %view.tenant.id, %error, "a deleted tenant could not be wound up");
            }
        }
        Ok(())
    }
}

/// Erases a tenant that was never active: it has no tokens to revoke, and it is not kept for restoration.
///
/// The store refuses with a version conflict if the tenant is activated at the same time.
async fn purge_pending(deps: &Deps, view: &TenantContext, cause: &AuditContext) -> Result<(), RegistryError> {
    let event = purge_event(deps, &view.tenant, cause);
    let purged = deps.store.purge_pending_tenant(&view.tenant, &event).await;
    forget_purged(deps, view);
    Ok(purged?)
}

/// Cancels the sessions and revokes the tokens of a deleted tenant, and erases it once its grace period is over.
async fn revoke_and_purge(
    deps: &Deps,
    view: &TenantContext,
    cause: &AuditContext,
) -> Result<(), RegistryError> {
    let tenant = &view.tenant;
    cancel_matching_sessions(deps, SessionSelector::Tenant(tenant.id.clone()), cause, |_| true).await?;
    let unrevoked = deps.broker.revocation().revoke_tenant(view).await;
    let Some(purge_at) = tenant.purge_at.filter(|at| *at <= deps.now()) else {
        unrevoked?;
        return Ok(());
    };
    let waited_enough = deps.now().duration_since(purge_at) >= MAX_REVOCATION_WAIT;
    if !waited_enough && unrevoked? > 0 {
        return Ok(());
    }
    let event = purge_event(deps, tenant, cause);
    deps.store.purge_tenant(&tenant.id, &event).await?;
    forget_purged(deps, view);
    Ok(())
}

fn purge_event(deps: &Deps, tenant: &Tenant, cause: &AuditContext) -> AuditEvent {
    rows::tenants::tenant_event(deps, tenant, cause, AuditAction::TenantPurge, "erased".to_owned())
}

fn forget_purged(deps: &Deps, view: &TenantContext) {
    deps.broker.forget_erased(&view.tenant.id);
    if !view.app.is_shared() {
        deps.broker.forget(&ChangedEntity::App(view.app.id.clone()));
    }
}

fn to_signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
