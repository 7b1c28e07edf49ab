//! Looking after tenants: reading, changing, testing, deleting, erasing.

mod connection_test;
mod deletion;
pub(in crate::registry) mod health;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::auth::RequestContext;
use crate::broker::TenantContext;
use crate::domain::app::{App, AppState};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::grant::Permission;
use crate::domain::id::{AppId, Name};
use crate::domain::policy::{AccessRequest, Policy};
use crate::domain::printable;
use crate::domain::tenant::{Tenant, TenantState};
use crate::registry::error::{FieldError, RegistryError, unless_expected};
use crate::registry::strict_json::{self, DecodeError, non_null};
use crate::registry::tenants::health::HealthState;
use crate::registry::{Registry, changes, on_what_stands, require, require_everywhere};
use crate::store::{
    AppRef, ChangedEntity, PageRequest, SessionSelector, StoreError, TenantFilter, TenantRef,
};

/// How many labels a tenant may bear, and how long their keys and values may be.
const LABELS: usize = 64;
const LABEL_LENGTH: usize = 128;
const DISPLAY_NAME_LENGTH: usize = 200;

/// A stretch of a list, and where the next begins.
#[derive(Debug)]
pub struct ListPage<T> {
    /// The things.
    pub items: Vec<T>,
    /// Behind which name the next stretch begins; `None` where this was the last.
    pub next: Option<Name>,
}

/// What a PATCH may change of a tenant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Changeable {
    display_name: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    policy: Policy,
    #[serde(default, deserialize_with = "non_null")]
    state: Option<RequestedState>,
}

/// The states that a PATCH can give a tenant or an app: the others come about in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestedState {
    /// In service, restored where it was deleted.
    Active,
    /// Out of service until an admin says otherwise.
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

impl Registry {
    /// One tenant.
    ///
    /// # Errors
    /// Where the caller may not read it.
    pub async fn tenant(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        Ok(self.tenant_for(context, tenant, Permission::TenantsRead).await?.1)
    }

    /// The tenants that the caller may read, in the order of their names.
    ///
    /// # Errors
    /// Where the caller may read none at all, or the store does not answer.
    pub async fn tenants(
        &self,
        context: &RequestContext,
        (filter, health): (&TenantFilter, Option<HealthState>),
        mut page: PageRequest,
    ) -> Result<ListPage<Arc<TenantContext>>, RegistryError> {
        if !context.any(|caller| caller.holds(Permission::TenantsRead)) {
            return Err(RegistryError::Forbidden("no grant gives tenants:read"));
        }
        let wanted = page.limit;
        let mut items: Vec<Arc<TenantContext>> = Vec::new();
        loop {
            // One more than is wanted tells whether there is a next stretch.
            page.limit = wanted + 1;
            let tenants = self.store.tenants(filter, &page).await?;
            let was_last = tenants.len() <= wanted;
            for tenant in tenants {
                page.after = Some(tenant.name.clone());
                if context.decide(&tenant, AccessRequest::Admin(Permission::TenantsRead)).is_err() {
                    continue;
                }
                let Some(app) = self.sound_app(&tenant.app).await? else { continue };
                let view = TenantContext { tenant, app };
                if health.is_some_and(|health| self.health(&view).state != health) {
                    continue;
                }
                // Only what the caller may see tells them that there is more.
                if items.len() == wanted {
                    return Ok(ListPage { next: items.last().map(|view| view.tenant.name.clone()), items });
                }
                items.push(Arc::new(view));
            }
            if was_last {
                return Ok(ListPage { items, next: None });
            }
        }
    }

    /// Changes a tenant as RFC 7396 says; `expected` is what `If-Match` names.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is changed then.
    pub async fn patch_tenant(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        patch: &Value,
        expected: Option<i64>,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        on_what_stands(|| self.patch_tenant_once(context, tenant, patch, expected)).await
    }

    async fn patch_tenant_once(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        patch: &Value,
        expected: Option<i64>,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        let (mut context, current, view) = self.fresh(context, tenant, Permission::TenantsWrite).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        let document = serde_json::json!({
            "display_name": current.display_name,
            "labels": current.labels,
            "policy": current.policy,
        });
        let changed = merge(document, patch)?;
        let mut next = Tenant {
            display_name: changed.display_name.unwrap_or_else(|| current.name.as_str().to_owned()),
            labels: changed.labels,
            policy: changed.policy,
            state: changed.state.map_or(Ok(current.state), |state| state_of(&current, state))?,
            ..current.clone()
        };
        check_fields(Some(&next.display_name), &next.labels)?;
        // Whoever changes something, or says it again, has mended something at Box.
        self.broker.forgive(&view);
        if next == current {
            return Ok(view);
        }
        if next.state != current.state {
            check_state(current.state)?;
            next.locked_from = None;
        }
        if next.locked_from != current.locked_from {
            context = with_lockdown(&context, &current)?;
            self.finish_tenant(current.id.clone()).await?;
        }
        if next.labels != current.labels {
            context = require_everywhere(&context, Permission::TenantsWrite)?;
        }
        if current.state == TenantState::Deleted && next.state != TenantState::Deleted {
            if current.purge_at.is_some_and(|at| at <= self.now()) {
                return Err(RegistryError::Conflict("The tenant's grace is over; it is being erased."));
            }
            next.purge_at = None;
            // Those that were open before it was deleted do not come back with it.
            let of = SessionSelector::Tenant(current.id.clone());
            self.end_sessions(of, &context.audit_context(), |_| true).await?;
        }
        let told = changes(&told(&current), &told(&next));
        let event = self.event_of(&next, &context.audit_context(), AuditAction::TenantUpdate, told);
        let next = self.replace(next, &event, expected).await?;
        Ok(Arc::new(TenantContext { tenant: next, app: view.app.clone() }))
    }

    /// An app for a list: one whose row is refused is left out, and costs its neighbours nothing.
    pub(super) async fn sound_app(&self, app: &AppId) -> Result<Option<App>, StoreError> {
        match self.store.app(&AppRef::Id(app.clone())).await {
            Err(error @ (StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })) => {
                tracing::error!(%error, "a tenant is left out of a list because of its app");
                Ok(None)
            }
            found => found,
        }
    }

    /// The tenant as it stands in the store, not as it is remembered, where this caller may treat it
    /// like this. What is judged is what is changed: by now its name may lead to another, and it may
    /// bear other labels.
    pub(super) async fn fresh(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        permission: Permission,
    ) -> Result<(RequestContext, Tenant, Arc<TenantContext>), RegistryError> {
        let (_, view) = self.tenant_for(context, tenant, permission).await?;
        let by = TenantRef::Id(view.tenant.id.clone());
        let current = self.store.tenant(&by).await?.ok_or(RegistryError::Absent)?;
        let context = require(context, &current, permission)?;
        let app = self.store.app(&AppRef::Id(current.app.clone())).await?.ok_or(RegistryError::Absent)?;
        Ok((context, current.clone(), Arc::new(TenantContext { tenant: current, app })))
    }

    pub(super) async fn replace(
        &self,
        tenant: Tenant,
        event: &AuditEvent,
        expected: Option<i64>,
    ) -> Result<Tenant, RegistryError> {
        let next = Tenant { version: tenant.version + 1, updated_at: self.now(), ..tenant };
        let updated = self.store.update_tenant(&next, event).await;
        // Whether it was written or not: what is remembered may be old.
        self.broker.forget(&ChangedEntity::Tenant(next.id.clone()));
        match updated {
            Ok(()) => Ok(next),
            Err(error) => Err(unless_expected(expected, error)),
        }
    }

    pub(super) fn event_of(
        &self,
        tenant: &Tenant,
        cause: &AuditContext,
        action: AuditAction,
        told: String,
    ) -> AuditEvent {
        AuditEvent {
            tenant: Some(tenant.id.clone()),
            app: Some(tenant.app.clone()),
            generation: Some(tenant.generation),
            detail: Some(told),
            ..cause.event(self.now(), action)
        }
    }
}

/// Finds out whether `patch` can be read, as one of a tenant without labels.
///
/// # Errors
/// [`RegistryError::Invalid`] tells what is wrong with it.
pub fn check_tenant_patch(patch: &Value) -> Result<(), RegistryError> {
    let document = serde_json::json!({ "display_name": "A", "labels": {}, "policy": Policy::default() });
    let Changeable { display_name, labels, .. } = merge(document, patch)?;
    check_fields(display_name.as_deref(), &labels)
}

/// What a tenant, of which `document` tells what can be changed, becomes under `patch`.
fn merge(mut document: Value, patch: &Value) -> Result<Changeable, RegistryError> {
    let Value::Object(fields) = patch else {
        return Err(RegistryError::invalid("", "A patch is a JSON object (RFC 7396)."));
    };
    json_patch::merge(&mut document, patch);
    // A merge takes `null` for removal, and a tenant always has a state.
    if let Some(state) = fields.get("state") {
        document["state"] = state.clone();
    }
    strict_json::decode(&document).map_err(|error| match error {
        DecodeError::Fault(fault) => RegistryError::Invalid(vec![fault]),
        DecodeError::NotJson(error) => RegistryError::invalid("", error.to_string()),
    })
}

/// What a tenant becomes where a PATCH asks for `state`. One that was never tested stays untested under
/// its lock and behind it.
fn state_of(tenant: &Tenant, state: RequestedState) -> Result<TenantState, RegistryError> {
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

/// Refuses whoever may not lift a tenant's lock.
fn with_lockdown(context: &RequestContext, tenant: &Tenant) -> Result<RequestContext, RegistryError> {
    context
        .those_allowed(tenant, AccessRequest::Admin(Permission::Lockdown))
        .map_err(|_| RegistryError::Forbidden("no grant on the tenant gives lockdown"))
}

/// Refuses a change of state that comes about in another way.
fn check_state(now: TenantState) -> Result<(), RegistryError> {
    match now {
        TenantState::Pending => Err(RegistryError::Conflict(
            "A pending tenant comes into service by itself once Box gives a token for it: see its `health`, or \
             run its test.",
        )),
        TenantState::Active | TenantState::Suspended | TenantState::Locked | TenantState::Deleted => Ok(()),
    }
}

fn told(tenant: &Tenant) -> Value {
    let Tenant { display_name, labels, policy, state, .. } = tenant;
    serde_json::json!({ "display_name": display_name, "labels": labels, "policy": policy, "state": state })
}

/// Bounds the texts that admins choose freely.
pub(super) fn check_fields(
    display_name: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> Result<(), RegistryError> {
    let mut faults = Vec::new();
    if display_name.is_some_and(|name| !printable::is_printable_line(name, DISPLAY_NAME_LENGTH)) {
        let detail = format!("A display name is 1 to {DISPLAY_NAME_LENGTH} printable characters.");
        faults.push(FieldError::at("/display_name", detail));
    }
    faults.extend(label_faults(labels, "/labels"));
    if faults.is_empty() { Ok(()) } else { Err(RegistryError::Invalid(faults)) }
}

/// What is wrong with labels, those of a tenant or those that a grant selects by.
pub(super) fn label_faults(labels: &BTreeMap<String, String>, pointer: &str) -> Vec<FieldError> {
    let mut faults = Vec::new();
    if labels.len() > LABELS {
        faults.push(FieldError::at(pointer, format!("There are at most {LABELS} labels.")));
    }
    for (key, value) in labels {
        let fits = |text: &str| printable::is_printable_line(text, LABEL_LENGTH);
        if !fits(key) || key.contains(':') || !fits(value) {
            let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let detail = format!(
                "A label's key and value are 1 to {LABEL_LENGTH} printable characters each, the key without `:`."
            );
            faults.push(FieldError::at(pointer, detail));
        }
    }
    faults
}
