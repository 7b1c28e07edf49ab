//! Rows of apps.

use crate::domain::app::{App, AppOwner};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::id::{Name, TenantId};
use crate::registry::deps::Deps;
use crate::registry::error::{CLIENT_ID_HELD, RegistryError, conflict_error};
use crate::store::{AppRef, ChangedEntity};

/// Loads a shared app. A tenant's own app is visible through its tenant alone.
///
/// # Errors
/// [`RegistryError::Absent`] if there is no such shared app.
pub(in crate::registry) async fn load_shared_app(deps: &Deps, app: &AppRef) -> Result<App, RegistryError> {
    let found = deps.store.app(app).await?;
    found.filter(App::is_shared).ok_or(RegistryError::Absent)
}

/// Writes an app's row, whose version is the next one already. `expected` is the version in `If-Match`.
///
/// # Errors
/// [`RegistryError::Precondition`] or [`RegistryError::Overtaken`] if the row has changed meanwhile.
pub(in crate::registry) async fn replace_app(
    deps: &Deps,
    next: &App,
    event: &AuditEvent,
    expected: Option<i64>,
) -> Result<(), RegistryError> {
    let updated = deps.store.update_app(next, event).await;
    // After an error too: the write may have taken effect.
    deps.broker.forget(&ChangedEntity::App(next.id.clone()));
    updated.map_err(|error| conflict_error(expected, error))
}

/// Refuses an app whose client ID belongs to another app.
///
/// # Errors
/// [`RegistryError::Conflict`].
pub(in crate::registry) async fn require_free_client_id(deps: &Deps, app: &App) -> Result<(), RegistryError> {
    let holder = deps.store.app(&AppRef::ClientId(app.client_id.clone())).await?;
    match holder.is_none_or(|holder| holder.id == app.id) {
        true => Ok(()),
        false => Err(RegistryError::Conflict(CLIENT_ID_HELD)),
    }
}

/// Returns the audit event of an action on a shared app; its detail is the app's name if none is given.
pub(in crate::registry) fn app_event(
    deps: &Deps,
    cause: &AuditContext,
    app: &App,
    action: AuditAction,
    detail: Option<String>,
) -> AuditEvent {
    AuditEvent {
        app: Some(app.id.clone()),
        generation: Some(app.generation),
        detail: detail.or_else(|| shared_app_name(app).map(ToString::to_string)),
        ..cause.event(deps.now(), action)
    }
}

/// Returns the name of a shared app; `None` for a tenant's own app.
#[must_use]
pub fn shared_app_name(app: &App) -> Option<&Name> {
    match &app.owner {
        AppOwner::Shared { name } => Some(name),
        AppOwner::Tenant { .. } => None,
    }
}

/// Returns the tenant that owns an app; `None` for a shared app.
pub(in crate::registry) fn owning_tenant(app: &App) -> Option<&TenantId> {
    match &app.owner {
        AppOwner::Tenant { id } => Some(id),
        AppOwner::Shared { .. } => None,
    }
}
