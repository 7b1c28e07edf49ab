//! Lockdown of a tenant, a shared app or a caller in an incident: no token is released any more, and every live token
//! is revoked at Box or queued for revocation.
//!
//! The lock is written into the locked row before anything else. If the process dies after that, the next one
//! revokes the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::access::require_everywhere;
use super::deps::Deps;
use super::error::RegistryError;
use super::lock_enforcement::{enforce_app_lock, enforce_caller_lock, enforce_tenant_lock};
use super::retry::retry_lock;
use super::rows;
use super::session_cancellation::cancel_matching_sessions;
use crate::auth::RequestContext;
use crate::broker::{LockdownReport, LockdownScope};
use crate::domain::app::{App, AppState};
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::caller::{Caller, CallerState};
use crate::domain::grant::Permission;
use crate::domain::id::Name;
use crate::domain::tenant::{Tenant, TenantState};
use crate::store::{AppRef, CallerRef, PageRequest, SessionSelector, TenantFilter, TenantRef};

/// The number of rows that are read at a time.
const PAGE_SIZE: usize = 200;

/// The outcome of a lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockdownOutcome {
    /// The numbers of tokens that it reached.
    pub report: LockdownReport,
    /// The number of browser sessions that it cancelled.
    pub sessions: usize,
}

/// The service of lockdowns.
#[derive(Debug)]
pub struct Lockdowns {
    deps: Arc<Deps>,
    /// True if a locked row may still have tokens in circulation; so at the start of the process.
    unfinished: AtomicBool,
}

impl Lockdowns {
    pub(super) fn new(deps: Arc<Deps>) -> Self {
        Self { deps, unfinished: AtomicBool::new(true) }
    }

    /// Locks a tenant and revokes its tokens. A deleted tenant stays deleted, and is locked if it is restored. Locking
    /// a locked tenant revokes the tokens that are left.
    ///
    /// # Errors
    /// Those of [`RegistryError`]. If the store fails after the lock was written, the lock stays.
    pub async fn lock_tenant(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<LockdownOutcome, RegistryError> {
        let deps = &*self.deps;
        let (id, cause) = retry_lock(|| async move {
            let (context, view) =
                rows::tenants::load_tenant(deps, context, tenant, Permission::Lockdown).await?;
            let current = view.tenant.clone();
            let (id, cause) = (current.id.clone(), context.audit_context());
            let detail = format!("was {}", current.state.as_str());
            let action = AuditAction::TenantLockdown;
            if current.locked_from.is_some() {
                let event = rows::tenants::tenant_event(deps, &current, &cause, action, detail);
                deps.store.record_events(std::slice::from_ref(&event), event.at).await?;
                return Ok((id, cause));
            }
            // Without a new generation, lifting the lock would bring old tokens back.
            let next = Tenant { generation: deps.store.next_generation().await?, ..current }.into_locked();
            let event = rows::tenants::tenant_event(deps, &next, &cause, action, detail);
            rows::tenants::replace_tenant(deps, next, &event, None).await?;
            Ok((id, cause))
        })
        .await?;
        self.revoke(LockdownScope::Tenant(id.clone()), SessionSelector::Tenant(id), &cause).await
    }

    /// Locks a shared app and thereby all of its tenants, and revokes their tokens.
    ///
    /// # Errors
    /// Those of [`Lockdowns::lock_tenant`].
    pub async fn lock_app(
        &self,
        context: &RequestContext,
        app: &AppRef,
    ) -> Result<LockdownOutcome, RegistryError> {
        let deps = &*self.deps;
        let cause = &require_everywhere(context, Permission::Lockdown)?.audit_context();
        let id = retry_lock(|| async move {
            let current = rows::apps::load_shared_app(deps, app).await?;
            let detail = Some(format!("state was {:?}", current.state));
            let action = AuditAction::AppLockdown;
            if current.state == AppState::Locked {
                let event = rows::apps::app_event(deps, cause, &current, action, detail);
                deps.store.record_events(std::slice::from_ref(&event), event.at).await?;
                return Ok(current.id);
            }
            let fence = deps.store.next_generation().await?;
            let version = current.version + 1;
            let next = App { state: AppState::Locked, fence, version, updated_at: deps.now(), ..current };
            let event = rows::apps::app_event(deps, cause, &next, action, detail);
            rows::apps::replace_app(deps, &next, &event, None).await?;
            Ok(next.id)
        })
        .await?;
        self.revoke(LockdownScope::App(id.clone()), SessionSelector::App(id), cause).await
    }

    /// Locks a caller: its credentials are refused, and every live token that its grants allow is revoked, also those
    /// that other callers received.
    ///
    /// # Errors
    /// Those of [`Lockdowns::lock_tenant`]; [`RegistryError::Absent`] if the admin may not lock the caller.
    pub async fn lock_caller(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
    ) -> Result<LockdownOutcome, RegistryError> {
        let deps = &*self.deps;
        let (locked, cause) = retry_lock(|| async move {
            if !context.any(|one| one.holds(Permission::Lockdown)) {
                return Err(RegistryError::Forbidden("no grant gives lockdown"));
            }
            let current = rows::callers::load_caller(deps, context, caller, Permission::Lockdown).await?;
            let current = current.ok_or(RegistryError::Absent)?;
            let context = context.those(|one| one.may_lock(&current.grants)).ok_or(RegistryError::Absent)?;
            let now = deps.now();
            let next = Caller { state: CallerState::Locked, locked_at: Some(now), ..current };
            let (cause, detail) = (context.audit_context(), rows::callers::describe_caller(&next));
            let event = rows::callers::caller_event(&next, &cause, now, AuditAction::CallerLockdown, detail);
            Ok((rows::callers::replace_caller(deps, next, &event, None).await?, cause))
        })
        .await?;
        let scope = LockdownScope::Grants { grants: locked.grants.into(), until: None };
        self.revoke(scope, SessionSelector::Caller(locked.id), &cause).await
    }

    async fn revoke(
        &self,
        scope: LockdownScope,
        of: SessionSelector,
        cause: &AuditContext,
    ) -> Result<LockdownOutcome, RegistryError> {
        let sessions = cancel_matching_sessions(&self.deps, of, cause, |_| true)
            .await
            .inspect_err(|_| self.mark_unfinished())?;
        let report =
            self.deps.broker.revocation().lock_down(scope).await.inspect_err(|_| self.mark_unfinished())?;
        Ok(LockdownOutcome { report, sessions })
    }

    fn mark_unfinished(&self) {
        self.unfinished.store(true, Ordering::Release);
    }

    /// Revokes the tokens of all locked rows, if an earlier process or a failure may have left some.
    ///
    /// # Errors
    /// If the store does not answer; the next call tries again.
    pub async fn finish(&self) -> Result<(), RegistryError> {
        if !self.unfinished.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.enforce_all_locks().await.inspect_err(|_| self.mark_unfinished())
    }

    async fn enforce_all_locks(&self) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        let filter = TenantFilter { state: Some(TenantState::Locked), ..TenantFilter::default() };
        let mut page = Some(FIRST_PAGE);
        while let Some(request) = page {
            let tenants = deps.store.tenants(&filter, &request).await?;
            page = next_page(tenants.last().map(|tenant| &tenant.name), tenants.len());
            for tenant in tenants {
                enforce_tenant_lock(deps, tenant.id).await?;
            }
        }
        let mut page = Some(FIRST_PAGE);
        while let Some(request) = page {
            let apps = deps.store.shared_apps(&request).await?;
            page = next_page(apps.last().and_then(rows::apps::shared_app_name), apps.len());
            for app in apps.into_iter().filter(|app| app.state == AppState::Locked) {
                enforce_app_lock(deps, app.id).await?;
            }
        }
        let mut page = Some(FIRST_PAGE);
        while let Some(request) = page {
            let callers = deps.store.callers(&request).await?;
            page = next_page(callers.last().map(|caller| &caller.name), callers.len());
            for caller in &callers {
                enforce_caller_lock(deps, caller).await?;
            }
        }
        Ok(())
    }
}

const FIRST_PAGE: PageRequest = PageRequest { after: None, limit: PAGE_SIZE };

/// Returns the request for the page after `last`; `None` if this page was not full.
fn next_page(last: Option<&Name>, items: usize) -> Option<PageRequest> {
    (items == PAGE_SIZE).then(|| PageRequest { after: last.cloned(), limit: PAGE_SIZE })
}
