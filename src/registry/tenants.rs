//! Looking after tenants: reading, changing, testing, deleting, erasing.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::diagnosis::{self, Check, Finding, Ledger};
use super::document::{self, Unreadable, given};
use super::error::{Fault, RegistryError, unless_expected};
use super::health::HealthState;
use super::{LONGEST_REVOCATION, Registry, decide, on_what_stands, require_everywhere};
use crate::auth::Identity;
use crate::box_api::BoxError;
use crate::broker::{TokenError, View};
use crate::domain::app::{App, AppState};
use crate::domain::caller::Permission;
use crate::domain::event::{Action, Actor, Cause, Event};
use crate::domain::id::{AppId, BoxId, Name};
use crate::domain::policy::{Decision, Policy};
use crate::domain::subject::Subject;
use crate::domain::tenant::{Tenant, TenantState};
use crate::domain::text;
use crate::store::{AppRef, Changed, Page, StoreError, TenantFilter, TenantRef};

/// How many labels a tenant may bear, and how long their keys and values may be.
const LABELS: usize = 64;
const LABEL_LENGTH: usize = 128;
const DISPLAY_NAME_LENGTH: usize = 200;

/// A stretch of a list, and where the next begins.
#[derive(Debug)]
pub struct Listing<T> {
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
    #[serde(default, deserialize_with = "given")]
    state: Option<NewState>,
}

/// The states that a PATCH can give a tenant or an app: the others come about in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewState {
    /// In service, restored where it was deleted.
    Active,
    /// Out of service until an admin says otherwise.
    Suspended,
}

impl From<NewState> for TenantState {
    fn from(state: NewState) -> Self {
        match state {
            NewState::Active => Self::Active,
            NewState::Suspended => Self::Suspended,
        }
    }
}

impl From<NewState> for AppState {
    fn from(state: NewState) -> Self {
        match state {
            NewState::Active => Self::Active,
            NewState::Suspended => Self::Suspended,
        }
    }
}

impl Registry {
    /// One tenant.
    ///
    /// # Errors
    /// Where the caller may not read it.
    pub async fn tenant(&self, identity: &Identity, tenant: &TenantRef) -> Result<Arc<View>, RegistryError> {
        self.tenant_for(identity, tenant, Permission::TenantsRead).await
    }

    /// The tenants that the caller may read, in the order of their names.
    ///
    /// # Errors
    /// Where the caller may read none at all, or the store does not answer.
    pub async fn tenants(
        &self,
        identity: &Identity,
        (filter, health): (&TenantFilter, Option<HealthState>),
        mut page: Page,
    ) -> Result<Listing<Arc<View>>, RegistryError> {
        if !identity.caller.holds(Permission::TenantsRead) {
            return Err(RegistryError::Forbidden("no grant gives tenants:read"));
        }
        let wanted = page.limit;
        let mut items: Vec<Arc<View>> = Vec::new();
        loop {
            // One more than is wanted tells whether there is a next stretch.
            page.limit = wanted + 1;
            let tenants = self.store.tenants(filter, &page).await?;
            let was_last = tenants.len() <= wanted;
            for tenant in tenants {
                if items.len() == wanted {
                    return Ok(Listing { next: items.last().map(|view| view.tenant.name.clone()), items });
                }
                page.after = Some(tenant.name.clone());
                if !matches!(decide(identity, &tenant, Permission::TenantsRead), Decision::Allowed(_)) {
                    continue;
                }
                let Some(app) = self.sound_app(&tenant.app).await? else { continue };
                let view = View { tenant, app };
                if health.is_none_or(|health| self.health(&view).state == health) {
                    items.push(Arc::new(view));
                }
            }
            if was_last {
                return Ok(Listing { items, next: None });
            }
        }
    }

    /// Changes a tenant as RFC 7396 says; `expected` is what `If-Match` names.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is changed then.
    pub async fn patch_tenant(
        &self,
        identity: &Identity,
        request_id: &str,
        tenant: &TenantRef,
        patch: &Value,
        expected: Option<i64>,
    ) -> Result<Arc<View>, RegistryError> {
        on_what_stands(|| self.patch_tenant_once(identity, request_id, tenant, patch, expected)).await
    }

    async fn patch_tenant_once(
        &self,
        identity: &Identity,
        request_id: &str,
        tenant: &TenantRef,
        patch: &Value,
        expected: Option<i64>,
    ) -> Result<Arc<View>, RegistryError> {
        self.tenant_for(identity, tenant, Permission::TenantsWrite).await?;
        let (current, view) = self.fresh(tenant).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        let changed = merge(&current, patch)?;
        let mut next = Tenant {
            display_name: changed.display_name.unwrap_or_else(|| current.name.as_str().to_owned()),
            labels: changed.labels,
            policy: changed.policy,
            state: changed.state.map_or(current.state, TenantState::from),
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
        }
        if next.labels != current.labels {
            require_everywhere(identity, Permission::TenantsWrite)?;
        }
        if current.state == TenantState::Deleted && next.state != TenantState::Deleted {
            if current.purge_at.is_some_and(|at| at <= self.now()) {
                return Err(RegistryError::Conflict("The tenant's grace is over; it is being erased."));
            }
            next.purge_at = None;
        }
        let told = format!("{}, {}", differences(&current, &next).join(", "), next.state.as_str());
        let event = self.event_of(&next, &identity.cause(request_id), Action::TenantUpdate, told);
        let next = self.replace(next, &event, expected).await?;
        Ok(Arc::new(View { tenant: next, app: view.app.clone() }))
    }

    /// Takes a tenant out of service at once and has its tokens revoked. It is erased when its
    /// grace is over, or `now`.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn delete_tenant(
        &self,
        identity: &Identity,
        request_id: &str,
        tenant: &TenantRef,
        now: bool,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.delete_tenant_once(identity, request_id, tenant, now, expected)).await
    }

    async fn delete_tenant_once(
        &self,
        identity: &Identity,
        request_id: &str,
        tenant: &TenantRef,
        now: bool,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let permission = if now { Permission::TenantsPurge } else { Permission::TenantsDelete };
        self.tenant_for(identity, tenant, permission).await?;
        if now {
            require_everywhere(identity, Permission::TenantsPurge)?;
        }
        let (current, view) = self.fresh(tenant).await?;
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        if current.state == TenantState::Pending {
            // It never served: nothing is to be revoked, and it reserves nothing for a restoration.
            let event = self.event_of(
                &current,
                &identity.cause(request_id),
                Action::TenantPurge,
                "erased".to_owned(),
            );
            // It may come into service in this very moment: then it is not erased like this.
            let erased = self.store.purge_pending(&current, &event).await;
            self.forget_erased(&view);
            return Ok(erased?);
        }
        let grace = if now { SignedDuration::ZERO } else { signed(self.purge_after) };
        let purge_at = self.now().checked_add(grace).unwrap_or(jiff::Timestamp::MAX);
        let is_deleted = current.state == TenantState::Deleted;
        if is_deleted && !now {
            return Ok(());
        }
        let mut next = Tenant { state: TenantState::Deleted, purge_at: Some(purge_at), ..current };
        if !is_deleted {
            // Should it be restored, none of the tokens that are revoked now may be served again.
            next.generation = self.store.next_generation().await?;
        }
        let cause = identity.cause(request_id);
        let told = format!("to be erased at {purge_at}");
        let event = self.event_of(&next, &cause, Action::TenantDelete, told);
        let next = self.replace(next, &event, expected).await?;
        let view = View { tenant: next, app: view.app.clone() };
        if let Err(error) = self.wind_up(&view, &cause).await {
            tracing::warn!(tenant = %view.tenant.id, %error, "a deleted tenant is wound up later");
        }
        Ok(())
    }

    /// Checks what works between a tenant and Box, with fresh tokens that are revoked afterwards.
    ///
    /// # Errors
    /// Where the caller may not, the tenant is deleted, or the store does not answer.
    pub async fn test_tenant(
        self: &Arc<Self>,
        identity: &Identity,
        request_id: &str,
        tenant: &TenantRef,
        user: Option<&BoxId>,
    ) -> Result<Vec<Finding>, RegistryError> {
        let view = self.tenant_for(identity, tenant, Permission::TenantsTest).await?;
        if view.tenant.state == TenantState::Deleted {
            return Err(RegistryError::Conflict("The tenant is deleted; restore it first."));
        }
        let cause = identity.cause(request_id);
        if view.app.awaits_its_key() {
            return Ok(without_key(&view, &self.upstream));
        }
        let (probe, credentials) = match self.broker.probe(&view, &Subject::ENTERPRISE).await {
            Ok(probe) => probe,
            Err(TokenError::Store(error @ StoreError::Unavailable(_))) => return Err(error.into()),
            Err(error) => return Ok(without_assertion(&view, &error, &self.upstream)),
        };
        self.broker.forgive(&view);
        let mut findings = vec![
            diagnosis::of_key(&view.app),
            Finding::pass(Check::Assertion, "Box gave a token for the enterprise."),
        ];
        findings.push(match self.upstream.service_account(&probe.token).await {
            Ok(account) => {
                let detail = format!("{}: invite it as a collaborator to what it should see.", account.login);
                self.note_service_account(&view, account, &cause).await;
                Finding::pass(Check::ServiceAccount, detail)
            }
            Err(error) => Finding::failure(Check::ServiceAccount, &error.into()),
        });
        findings.push(self.test_user(&view, user, &cause).await);
        let ledger = Ledger { broker: &self.broker, view: Some(&view), cause: &cause };
        findings.extend(diagnosis::of_token(&self.upstream, &credentials, &probe.token, user, ledger).await);
        self.broker.write_off(&view, &Subject::ENTERPRISE, None, &credentials, probe, &cause).await?;
        if view.tenant.state == TenantState::Pending
            && let Err(error) = self.verify(&TenantRef::Id(view.tenant.id.clone())).await
        {
            tracing::info!(tenant = %view.tenant.id, %error, "a tenant stays pending");
        }
        Ok(findings)
    }

    async fn test_user(&self, view: &View, user: Option<&BoxId>, cause: &Cause) -> Finding {
        let Some(user) = user else {
            return Finding::skipped(Check::UserToken, "Name a `user` to have this checked.");
        };
        let subject = Subject::User { id: user.clone() };
        let (probe, credentials) = match self.broker.probe(view, &subject).await {
            Ok(probe) => probe,
            Err(error) => return Finding::failure(Check::UserToken, &error),
        };
        let enterprise = match view.app.is_shared() {
            false => Ok(Some(view.tenant.enterprise_id.clone())),
            true => self.upstream.enterprise_of(&probe.token).await,
        };
        let finding = match enterprise {
            Ok(Some(enterprise)) if enterprise == view.tenant.enterprise_id => {
                Finding::pass(Check::UserToken, format!("Box gave a token for user {user}."))
            }
            Ok(_) => Finding::failure(Check::UserToken, &crate::broker::TokenError::ForeignUser),
            Err(error) => Finding::failure(Check::UserToken, &BoxError::into(error)),
        };
        match self.broker.write_off(view, &subject, None, &credentials, probe, cause).await {
            Ok(()) => finding,
            Err(error) => Finding::failure(Check::UserToken, &error),
        }
    }

    /// Revokes what deleted tenants left behind, and erases those whose grace is over.
    ///
    /// # Errors
    /// Where the store does not answer. What fails for one tenant is told to the operator and tried
    /// again the next time.
    pub async fn wind_up_deleted(&self) -> Result<(), StoreError> {
        let cause = Cause { actor: Actor::Broker, request_id: None };
        for tenant in self.store.deleted_tenants().await? {
            let Some(app) = self.sound_app(&tenant.app).await? else { continue };
            let view = View { tenant, app };
            if let Err(error) = self.wind_up(&view, &cause).await {
                tracing::warn!(tenant = %view.tenant.id, %error, "a deleted tenant could not be wound up");
            }
        }
        Ok(())
    }

    async fn wind_up(&self, view: &View, cause: &Cause) -> Result<(), RegistryError> {
        let tenant = &view.tenant;
        let left = self.broker.revoke_all(view).await;
        let Some(purge_at) = tenant.purge_at.filter(|at| *at <= self.now()) else {
            left?;
            return Ok(());
        };
        let waited_enough = self.now().duration_since(purge_at) >= LONGEST_REVOCATION;
        if !waited_enough && left? > 0 {
            return Ok(());
        }
        let event = self.event_of(tenant, cause, Action::TenantPurge, "erased".to_owned());
        self.store.purge_tenant(&tenant.id, &event).await?;
        self.forget_erased(view);
        Ok(())
    }

    fn forget_erased(&self, view: &View) {
        self.broker.forget_erased(&view.tenant.id);
        if !view.app.is_shared() {
            self.broker.forget(&Changed::App(view.app.id.clone()));
        }
    }

    /// An app for a list: one whose row is refused is left out, and costs its neighbours nothing.
    async fn sound_app(&self, app: &AppId) -> Result<Option<App>, StoreError> {
        match self.store.app(&AppRef::Id(app.clone())).await {
            Err(error @ (StoreError::Refused { .. } | StoreError::KeyUnavailable { .. })) => {
                tracing::error!(%error, "a tenant is left out of a list because of its app");
                Ok(None)
            }
            found => found,
        }
    }

    /// The tenant as it stands in the store, not as it is remembered.
    pub(super) async fn fresh(&self, tenant: &TenantRef) -> Result<(Tenant, Arc<View>), RegistryError> {
        let current = self.store.tenant(tenant).await?.ok_or(RegistryError::Absent)?;
        let app = self.store.app(&AppRef::Id(current.app.clone())).await?.ok_or(RegistryError::Absent)?;
        Ok((current.clone(), Arc::new(View { tenant: current, app })))
    }

    pub(super) async fn replace(
        &self,
        tenant: Tenant,
        event: &Event,
        expected: Option<i64>,
    ) -> Result<Tenant, RegistryError> {
        let next = Tenant { version: tenant.version + 1, updated_at: self.now(), ..tenant };
        let updated = self.store.update_tenant(&next, event).await;
        // Whether it was written or not: what is remembered may be old.
        self.broker.forget(&Changed::Tenant(next.id.clone()));
        match updated {
            Ok(()) => Ok(next),
            Err(error) => Err(unless_expected(expected, error)),
        }
    }

    /// Keeps the service account as Box shows it now; a test reports, so nothing hangs on it.
    async fn note_service_account(
        &self,
        view: &View,
        account: crate::domain::tenant::ServiceAccount,
        cause: &Cause,
    ) {
        if view.tenant.service_account.as_ref() == Some(&account) {
            return;
        }
        let next = Tenant { service_account: Some(account), ..view.tenant.clone() };
        let event = self.event_of(&next, cause, Action::TenantUpdate, "service_account".to_owned());
        if let Err(error) = self.replace(next, &event, None).await {
            tracing::warn!(tenant = %view.tenant.id, %error, "the service account was not written down");
        }
    }

    pub(super) fn event_of(&self, tenant: &Tenant, cause: &Cause, action: Action, told: String) -> Event {
        Event {
            tenant: Some(tenant.id.clone()),
            app: Some(tenant.app.clone()),
            generation: Some(tenant.generation),
            detail: Some(told),
            ..cause.event(self.now(), action)
        }
    }
}

/// The diagnosis of an app whose key is still to be activated.
fn without_key(view: &View, upstream: &crate::box_api::BoxClient) -> Vec<Finding> {
    let needs = "Needs the keypair to be activated first.";
    let checks =
        [Check::Assertion, Check::ServiceAccount, Check::UserToken, Check::AsUserHeader, Check::Downscope];
    let mut findings = vec![diagnosis::of_key(&view.app)];
    findings.extend(checks.map(|check| Finding::skipped(check, needs)));
    findings.push(diagnosis::of_clock(upstream));
    findings
}

/// The diagnosis where Box gives no token at all.
fn without_assertion(
    view: &View,
    error: &crate::broker::TokenError,
    upstream: &crate::box_api::BoxClient,
) -> Vec<Finding> {
    let needs = "Needs a token, which Box does not give.";
    // What cannot be opened here was never shown to Box.
    let of_key_and_assertion = match error {
        TokenError::Sealed { .. } | TokenError::Corrupt(_) | TokenError::Store(_) => [
            Finding::failure(Check::Key, error),
            Finding::skipped(Check::Assertion, "Needs the stored credentials, which cannot be used."),
        ],
        _ => [diagnosis::of_key(&view.app), Finding::failure(Check::Assertion, error)],
    };
    let [of_key, of_assertion] = of_key_and_assertion;
    vec![
        of_key,
        of_assertion,
        Finding::skipped(Check::ServiceAccount, needs),
        Finding::skipped(Check::UserToken, needs),
        Finding::skipped(Check::AsUserHeader, needs),
        Finding::skipped(Check::Downscope, needs),
        diagnosis::of_clock(upstream),
    ]
}

/// What `current` becomes under `patch`.
fn merge(current: &Tenant, patch: &Value) -> Result<Changeable, RegistryError> {
    let Value::Object(fields) = patch else {
        return Err(RegistryError::invalid("", "A patch is a JSON object (RFC 7396)."));
    };
    let mut document = serde_json::json!({
        "display_name": current.display_name,
        "labels": current.labels,
        "policy": current.policy,
    });
    json_patch::merge(&mut document, patch);
    // A merge takes `null` for removal, and a tenant always has a state.
    if let Some(state) = fields.get("state") {
        document["state"] = state.clone();
    }
    document::read(&document).map_err(|error| match error {
        Unreadable::Fault(fault) => RegistryError::Invalid(vec![fault]),
        Unreadable::NotJson(error) => RegistryError::invalid("", error.to_string()),
    })
}

/// Refuses a change of state that comes about in another way.
fn check_state(now: TenantState) -> Result<(), RegistryError> {
    match now {
        TenantState::Pending => Err(RegistryError::Conflict(
            "A pending tenant comes into service by itself once Box gives a token for it: see its `health`, or \
             run its test.",
        )),
        TenantState::Active | TenantState::Suspended | TenantState::Deleted => Ok(()),
    }
}

fn differences(old: &Tenant, new: &Tenant) -> Vec<&'static str> {
    [
        ("display_name", old.display_name != new.display_name),
        ("labels", old.labels != new.labels),
        ("policy", old.policy != new.policy),
        ("state", old.state != new.state),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// Bounds the texts that admins choose freely.
pub(super) fn check_fields(
    display_name: Option<&str>,
    labels: &BTreeMap<String, String>,
) -> Result<(), RegistryError> {
    let mut faults = Vec::new();
    if display_name.is_some_and(|name| !text::is_printable_line(name, DISPLAY_NAME_LENGTH)) {
        let detail = format!("A display name is 1 to {DISPLAY_NAME_LENGTH} printable characters.");
        faults.push(Fault::at("/display_name", detail));
    }
    faults.extend(label_faults(labels, "/labels"));
    if faults.is_empty() { Ok(()) } else { Err(RegistryError::Invalid(faults)) }
}

/// What is wrong with labels, those of a tenant or those that a grant selects by.
pub(super) fn label_faults(labels: &BTreeMap<String, String>, pointer: &str) -> Vec<Fault> {
    let mut faults = Vec::new();
    if labels.len() > LABELS {
        faults.push(Fault::at(pointer, format!("There are at most {LABELS} labels.")));
    }
    for (key, value) in labels {
        let fits = |text: &str| text::is_printable_line(text, LABEL_LENGTH);
        if !fits(key) || key.contains(':') || !fits(value) {
            let pointer = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
            let detail = format!(
                "A label's key and value are 1 to {LABEL_LENGTH} printable characters each, the key without `:`."
            );
            faults.push(Fault::at(pointer, detail));
        }
    }
    faults
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
