//! PATCH of a tenant.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Tenants;
use crate::auth::RequestContext;
use crate::broker::TenantContext;
use crate::domain::app::AppState;
use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::policy::{AccessRequest, Policy};
use crate::domain::tenant::{Tenant, TenantState};
use crate::registry::access::require_everywhere;
use crate::registry::audit_detail::describe_changes;
use crate::registry::deps::Deps;
use crate::registry::error::{RegistryError, require_none, require_version};
use crate::registry::lock_enforcement::enforce_tenant_lock;
use crate::registry::retry::retry_on_conflict;
use crate::registry::rows;
use crate::registry::session_cancellation::cancel_matching_sessions;
use crate::registry::strict_json::{self, non_null};
use crate::registry::tenant_fields::check_fields;
use crate::store::{SessionSelector, TenantRef};

/// The fields of a tenant that a PATCH can change, after it was merged into the tenant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PatchedFields {
    display_name: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    policy: Policy,
    #[serde(default, deserialize_with = "non_null")]
    state: Option<RequestedState>,
}

/// The states that a PATCH can give to a tenant or an app. The other states have calls of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestedState {
    /// In service; a deleted tenant is restored.
    Active,
    /// Out of service until an admin sets `active`.
    Suspended,
}

impl From<RequestedState> for TenantState {
    fn from(state: RequestedState) -> Self {
        match state {
            RequestedState::Active => Self::Active,
            RequestedState::Suspended => Self::Suspended,
        }
    }
}

impl From<RequestedState> for AppState {
    fn from(state: RequestedState) -> Self {
        match state {
            RequestedState::Active => Self::Active,
            RequestedState::Suspended => Self::Suspended,
        }
    }
}

impl Tenants {
    /// Changes a tenant by a JSON merge patch (RFC 7396). `expected` is the version in `If-Match`.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn patch(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        patch: &Value,
        expected: Option<i64>,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let (mut context, view) =
                rows::tenants::load_tenant(deps, context, tenant, Permission::TenantsWrite).await?;
            let current = &view.tenant;
            require_version(expected, current.version)?;
            let mut next = apply_patch(current, patch)?;
            // A PATCH, even without a change, means that an admin repaired something: Box is asked again.
            deps.broker.upstream().forget_refusals(&view);
            if next == *current {
                return Ok(view);
            }
            if next.state != current.state {
                require_patchable_state(current.state)?;
                next.locked_from = None;
            }
            if next.locked_from != current.locked_from {
                context = require_lockdown(&context, current)?;
                enforce_tenant_lock(deps, current.id.clone()).await?;
            }
            if next.labels != current.labels {
                context = require_everywhere(&context, Permission::TenantsWrite)?;
            }
            if current.state == TenantState::Deleted && next.state != TenantState::Deleted {
                next.purge_at = None;
                prepare_restoration(deps, &context, current).await?;
            }
            let detail = describe_changes(&audited_fields(current), &audited_fields(&next));
            let cause = context.audit_context();
            let event = rows::tenants::tenant_event(deps, &next, &cause, AuditAction::TenantUpdate, detail);
            let next = rows::tenants::replace_tenant(deps, next, &event, expected).await?;
            Ok(Arc::new(TenantContext { tenant: next, app: view.app.clone() }))
        })
        .await
    }
}

/// Cancels the sessions that were open when a tenant was deleted: they do not come back with it.
async fn prepare_restoration(
    deps: &Deps,
    context: &RequestContext,
    tenant: &Tenant,
) -> Result<(), RegistryError> {
    if tenant.purge_at.is_some_and(|at| at <= deps.now()) {
        return Err(RegistryError::Conflict("The tenant's grace is over; it is being erased."));
    }
    let of = SessionSelector::Tenant(tenant.id.clone());
    cancel_matching_sessions(deps, of, &context.audit_context(), |_| true).await.map(drop)
}

/// Checks whether a patch can be parsed, as a patch of a tenant without labels.
///
/// # Errors
/// [`RegistryError::Invalid`] with the errors of its fields.
pub fn check_tenant_patch(patch: &Value) -> Result<(), RegistryError> {
    let document = serde_json::json!({ "display_name": "A", "labels": {}, "policy": Policy::default() });
    let PatchedFields { display_name, labels, .. } = merge_patch(document, patch)?;
    require_none(check_fields(display_name.as_deref(), &labels))
}

/// Returns the tenant with the patch applied.
fn apply_patch(current: &Tenant, patch: &Value) -> Result<Tenant, RegistryError> {
    let document = serde_json::json!({
        "display_name": current.display_name,
        "labels": current.labels,
        "policy": current.policy,
    });
    let fields = merge_patch(document, patch)?;
    let next = Tenant {
        display_name: fields.display_name.unwrap_or_else(|| current.name.as_str().to_owned()),
        labels: fields.labels,
        policy: fields.policy,
        state: fields.state.map_or(Ok(current.state), |state| requested_state(current, state))?,
        ..current.clone()
    };
    require_none(check_fields(Some(&next.display_name), &next.labels))?;
    Ok(next)
}

/// Merges a patch into the document of a tenant's changeable fields, and parses the result.
fn merge_patch(mut document: Value, patch: &Value) -> Result<PatchedFields, RegistryError> {
    let Value::Object(fields) = patch else {
        return Err(RegistryError::invalid("", "A patch is a JSON object (RFC 7396)."));
    };
    json_patch::merge(&mut document, patch);
    // A merge patch removes a field that is `null`, but a state cannot be removed: `null` must be refused.
    if let Some(state) = fields.get("state") {
        document["state"] = state.clone();
    }
    strict_json::decode(&document).map_err(|error| error.in_field(""))
}

/// Returns the state that a tenant gets by a PATCH. A tenant that was pending when it was locked becomes pending again.
fn requested_state(tenant: &Tenant, state: RequestedState) -> Result<TenantState, RegistryError> {
    match state {
        RequestedState::Active if tenant.is_unverified() && tenant.state == TenantState::Locked => {
            Ok(TenantState::Pending)
        }
        RequestedState::Suspended if tenant.is_unverified() && tenant.state == TenantState::Locked => Err(
            RegistryError::Conflict("The tenant was pending when it was locked: `active` lifts the lock."),
        ),
        state => Ok(state.into()),
    }
}

/// Refuses callers that may not lift a tenant's lock.
fn require_lockdown(context: &RequestContext, tenant: &Tenant) -> Result<RequestContext, RegistryError> {
    context
        .those_allowed(tenant, AccessRequest::Admin(Permission::Lockdown))
        .map_err(|_| RegistryError::Forbidden("no grant on the tenant gives lockdown"))
}

/// Refuses to change the state of a pending tenant, which only a successful test changes.
fn require_patchable_state(state: TenantState) -> Result<(), RegistryError> {
    match state {
        TenantState::Pending => Err(RegistryError::Conflict(
            "A pending tenant comes into service by itself once Box gives a token for it: see its `health`, or \
             run its test.",
        )),
        TenantState::Active | TenantState::Suspended | TenantState::Locked | TenantState::Deleted => Ok(()),
    }
}

fn audited_fields(tenant: &Tenant) -> Value {
    let Tenant { display_name, labels, policy, state, .. } = tenant;
    serde_json::json!({ "display_name": display_name, "labels": labels, "policy": policy, "state": state })
}
