//! PATCH of a caller.

use serde::Deserialize;
use serde_json::Value;

use super::grants::{self, GrantSpec};
use super::{CallerView, Callers};
use crate::auth::RequestContext;
use crate::domain::audit_event::AuditAction;
use crate::domain::caller::{Caller, CallerState};
use crate::domain::id::Name;
use crate::domain::rate_limit::RateLimit;
use crate::registry::audit_detail::describe_changes;
use crate::registry::error::{RegistryError, require_version};
use crate::registry::lock_enforcement::enforce_caller_lock;
use crate::registry::retry::retry_on_conflict;
use crate::registry::rows::callers::{caller_event, changeable_fields, load_managed_caller, replace_caller};
use crate::registry::strict_json::{self, non_null};
use crate::store::CallerRef;

/// The fields of a caller that a PATCH can change.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallerPatch {
    /// A new name.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = String, required = false)]
    pub name: Option<Name>,
    /// New grants, which replace all of the old ones.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = Vec<GrantSpec>, required = false)]
    pub grants: Option<Vec<GrantSpec>>,
    /// A new rate limit; `null` for that of the settings.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = Option<RateLimit>)]
    pub rate_limit: Option<Value>,
    /// `active` lifts a lock; it needs the permission to lock the caller.
    #[serde(default, deserialize_with = "non_null")]
    #[schema(value_type = RequestedCallerState, required = false)]
    pub state: Option<RequestedCallerState>,
}

/// The state that a PATCH can give to a caller. Locking has a call of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestedCallerState {
    /// Its keys are accepted.
    Active,
}

impl Callers {
    /// Changes a caller's name, grants or rate limit, or lifts its lock. Nobody can change their own rate limit:
    /// it is a restriction on them. `expected` is the version in `If-Match`.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn patch(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        patch: &CallerPatch,
        expected: Option<i64>,
    ) -> Result<CallerView, RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let (mut context, current) = load_managed_caller(deps, context, caller).await?;
            require_version(expected, current.version)?;
            let mut next = current.clone();
            if let Some(name) = &patch.name {
                next.name = name.clone();
            }
            if let Some(specs) = &patch.grants {
                let (kind, held) = (current.kind, &current.grants);
                (context, next.grants) = grants::resolve_grants(deps, &context, kind, specs, held).await?;
            }
            if let Some(patch) = &patch.rate_limit {
                next.rate_limit = merge_rate_limit(patch, &current)?;
            }
            if next.rate_limit != current.rate_limit {
                let reason = "nobody sets a limit that is on themselves";
                let is_other = |one: &Caller| one.id != current.id;
                context = context.those(is_other).ok_or(RegistryError::Forbidden(reason))?;
            }
            if patch.state.is_some() && current.state == CallerState::Locked {
                let reason = "no grant gives lockdown over all that the caller holds";
                let may_lock = |one: &Caller| one.may_lock(&current.grants);
                context = context.those(may_lock).ok_or(RegistryError::Forbidden(reason))?;
                (next.state, next.locked_at) = (CallerState::Active, None);
            }
            if next != current {
                // A lock's tokens must be revoked while the row still says which grants they came from.
                enforce_caller_lock(deps, &current).await?;
                let cause = context.audit_context();
                let detail = describe_changes(&changeable_fields(&current), &changeable_fields(&next));
                let event = caller_event(&next, &cause, deps.now(), AuditAction::CallerUpdate, detail);
                next = replace_caller(deps, next, &event, expected).await?;
            }
            self.view_with_uses(next).await
        })
        .await
    }
}

/// Returns a caller's rate limit after a JSON merge patch (RFC 7396) of it.
fn merge_rate_limit(patch: &Value, current: &Caller) -> Result<Option<RateLimit>, RegistryError> {
    /// The field in its place, so that errors have its pointer in the request.
    #[derive(Deserialize)]
    struct PatchedFields {
        rate_limit: Option<RateLimit>,
    }
    let mut document = serde_json::json!({ "rate_limit": current.rate_limit });
    json_patch::merge(&mut document["rate_limit"], patch);
    let fields: PatchedFields =
        strict_json::decode(&document).map_err(|error| error.in_field("/rate_limit"))?;
    Ok(fields.rate_limit)
}
