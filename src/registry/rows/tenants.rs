//! Rows of tenants.

use std::sync::Arc;

use crate::auth::RequestContext;
use crate::broker::TenantContext;
use crate::domain::app::App;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::grant::Permission;
use crate::domain::id::AppId;
use crate::domain::tenant::Tenant;
use crate::registry::access::require;
use crate::registry::deps::Deps;
use crate::registry::error::{RegistryError, conflict_error};
use crate::store::{AppRef, ChangedEntity, StoreError, TenantRef};

/// Returns a tenant from the broker's cache, and the context of the callers that hold `permission` on it.
///
/// # Errors
/// [`RegistryError::Absent`] if there is no such tenant, or none that the caller has a grant on.
pub(in crate::registry) async fn find_tenant(
    deps: &Deps,
    context: &RequestContext,
    tenant: &TenantRef,
    permission: Permission,
) -> Result<(RequestContext, Arc<TenantContext>), RegistryError> {
    let view = deps.broker.tenants().find_for(context, tenant).await?.ok_or(RegistryError::Absent)?;
    let context = require(context, &view.tenant, permission)?;
    Ok((context, view))
}

/// Returns a tenant and its app from the store, and the context of the callers that hold `permission` on it.
///
/// A change is checked against the stored row: since the row was cached, its name may have passed to another
/// tenant, and its labels may have changed.
///
/// # Errors
/// Those of [`find_tenant`].
pub(in crate::registry) async fn load_tenant(
    deps: &Deps,
    context: &RequestContext,
    tenant: &TenantRef,
    permission: Permission,
) -> Result<(RequestContext, Arc<TenantContext>), RegistryError> {
    let (_, cached) = find_tenant(deps, context, tenant, permission).await?;
    let id = TenantRef::Id(cached.tenant.id.clone());
    let tenant = deps.store.tenant(&id).await?.ok_or(RegistryError::Absent)?;
    let context = require(context, &tenant, permission)?;
    let app = deps.store.app(&AppRef::Id(tenant.app.clone())).await?.ok_or(RegistryError::Absent)?;
    Ok((context, Arc::new(TenantContext { tenant, app })))
}

/// Returns the app of a tenant in a list, or `None` if its row fails authentication.
///
/// A list leaves such a tenant out, so that one manipulated row does not hide all others.
///
/// # Errors
/// All other errors of the store.
pub(in crate::registry) async fn load_app_of_listed_tenant(
    deps: &Deps,
    app: &AppId,
) -> Result<Option<App>, StoreError> {
    match deps.store.app(&AppRef::Id(app.clone())).await {
        Err(error @ (StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })) => {
            tracing::error!(%error, "a tenant is left out of a list because of its app");
            Ok(None)
        }
        found => found,
    }
}

/// Writes the next version of a tenant's row and returns it. `expected` is the version in `If-Match`.
///
/// # Errors
/// [`RegistryError::Precondition`] or [`RegistryError::Overtaken`] if the row has changed meanwhile.
pub(in crate::registry) async fn replace_tenant(
    deps: &Deps,
    tenant: Tenant,
    event: &AuditEvent,
    expected: Option<i64>,
) -> Result<Tenant, RegistryError> {
    let next = Tenant { version: tenant.version + 1, updated_at: deps.now(), ..tenant };
    let updated = deps.store.update_tenant(&next, event).await;
    // After an error too: the write may have taken effect.
    deps.broker.forget(&ChangedEntity::Tenant(next.id.clone()));
    match updated {
        Ok(()) => Ok(next),
        Err(error) => Err(conflict_error(expected, error)),
    }
}

/// Returns the audit event of an action on a tenant.
pub(in crate::registry) fn tenant_event(
    deps: &Deps,
    tenant: &Tenant,
    cause: &AuditContext,
    action: AuditAction,
    detail: String,
) -> AuditEvent {
    AuditEvent {
        tenant: Some(tenant.id.clone()),
        app: Some(tenant.app.clone()),
        generation: Some(tenant.generation),
        detail: Some(detail),
        ..cause.event(deps.now(), action)
    }
}
