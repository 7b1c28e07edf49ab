//! Rows of callers, and which of them an admin can see.
//!
//! An admin can see exactly the callers that they could have created: those whose grants lie within their own.

use jiff::Timestamp;
use serde_json::Value;

use crate::auth::RequestContext;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::caller::Caller;
use crate::domain::grant::Permission;
use crate::registry::audit_detail::truncate;
use crate::registry::deps::Deps;
use crate::registry::error::{RegistryError, conflict_error};
use crate::store::{CallerRef, ChangedEntity, StoreError};

/// Returns the context of the callers that may manage callers.
///
/// # Errors
/// [`RegistryError::Forbidden`] if there are none.
pub(in crate::registry) fn require_callers_write(
    context: &RequestContext,
) -> Result<RequestContext, RegistryError> {
    let allowed = context.those(|caller| caller.holds(Permission::CallersWrite));
    allowed.ok_or(RegistryError::Forbidden("no grant gives callers:write"))
}

/// Loads a caller that this admin may manage, with the context of the callers that may.
///
/// # Errors
/// [`RegistryError::Absent`] if this admin cannot see such a caller.
pub(in crate::registry) async fn load_managed_caller(
    deps: &Deps,
    context: &RequestContext,
    caller: &CallerRef,
) -> Result<(RequestContext, Caller), RegistryError> {
    let context = require_callers_write(context)?;
    load_visible_caller(deps, &context, caller).await?.ok_or(RegistryError::Absent)
}

/// Loads a caller if this admin can see it, with the context of the callers that can.
///
/// # Errors
/// Those of the store.
pub(in crate::registry) async fn load_visible_caller(
    deps: &Deps,
    context: &RequestContext,
    caller: &CallerRef,
) -> Result<Option<(RequestContext, Caller)>, RegistryError> {
    let found = load_caller(deps, context, caller, Permission::CallersWrite).await?;
    Ok(found.and_then(|found| Some((context.those(|held| held.may_grant(&found.grants))?, found))))
}

/// Loads a caller without checking whether the admin can see it.
///
/// A row that fails authentication no longer shows what the caller holds, so only those who have `permission`
/// over all callers receive the error; for the others there is no such caller.
///
/// # Errors
/// Those of the store.
pub(in crate::registry) async fn load_caller(
    deps: &Deps,
    context: &RequestContext,
    caller: &CallerRef,
    permission: Permission,
) -> Result<Option<Caller>, StoreError> {
    match deps.store.caller(caller).await {
        Err(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })
            if !context.any(|held| held.holds_everywhere(permission)) =>
        {
            Ok(None)
        }
        found => found,
    }
}

/// Writes the next version of a caller's row and returns it. `expected` is the version in `If-Match`.
///
/// # Errors
/// [`RegistryError::Precondition`] or [`RegistryError::Overtaken`] if the row has changed meanwhile.
pub(in crate::registry) async fn replace_caller(
    deps: &Deps,
    caller: Caller,
    event: &AuditEvent,
    expected: Option<i64>,
) -> Result<Caller, RegistryError> {
    let next = Caller { version: caller.version + 1, ..caller };
    let updated = deps.store.update_caller(&next, event).await;
    deps.broker.forget(&ChangedEntity::Caller(next.id.clone()));
    match updated {
        Ok(()) => Ok(next),
        Err(error) => Err(conflict_error(expected, error)),
    }
}

/// Returns the audit event of an action on a caller.
pub(in crate::registry) fn caller_event(
    caller: &Caller,
    cause: &AuditContext,
    now: Timestamp,
    action: AuditAction,
    detail: String,
) -> AuditEvent {
    AuditEvent { caller: Some(caller.id.clone()), detail: Some(detail), ..cause.event(now, action) }
}

/// Describes a whole caller for the audit.
pub(in crate::registry) fn describe_caller(caller: &Caller) -> String {
    truncate(format!("{}, {} keys: {}", caller.name, caller.keys.len(), changeable_fields(caller)))
}

/// Returns the fields of a caller that a PATCH can change.
pub(in crate::registry) fn changeable_fields(caller: &Caller) -> Value {
    let Caller { name, grants, rate_limit, state, .. } = caller;
    serde_json::json!({ "name": name, "grants": grants, "rate_limit": rate_limit, "state": state })
}
