//! Lockdown in an incident: no release any more, every live token revoked at Box or waiting for it. The
//! lock stands in the row of what is locked, before anything else is done; whatever is cut off behind
//! it is done by the next process.

use std::sync::atomic::Ordering;

use crate::auth::RequestContext;
use crate::broker::{LockdownReport, LockdownScope};
use crate::domain::app::{App, AppState};
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::caller::{Caller, CallerState};
use crate::domain::grant::Permission;
use crate::domain::id::{AppId, Name, TenantId};
use crate::domain::tenant::{Tenant, TenantState};
use crate::registry::callers::{event_of, told};
use crate::registry::error::RegistryError;
use crate::registry::{Registry, against_all, name_of, require_everywhere};
use crate::store::{AppRef, CallerRef, ChangedEntity, PageRequest, SessionSelector, TenantFilter, TenantRef};

/// How many rows are read at once.
const PAGE: usize = 200;

/// What a lockdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lockdown {
    /// The tokens that it reached.
    pub toll: LockdownReport,
    /// How many browser sessions it ended.
    pub sessions: usize,
}

impl Registry {
    /// Locks a tenant: no token of it leaves, and all that live are revoked. One that is deleted stays
    /// deleted, and is locked when it is restored. Again, it revokes what lives still.
    ///
    /// # Errors
    /// As [`RegistryError`] tells. Where the store went away behind the lock, the lock stands.
    pub async fn lock_tenant(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<Lockdown, RegistryError> {
        let (id, cause) = against_all(|| self.lock_tenant_once(context, tenant)).await?;
        self.take_down(LockdownScope::Tenant(id.clone()), SessionSelector::Tenant(id), &cause).await
    }

    async fn lock_tenant_once(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<(TenantId, AuditContext), RegistryError> {
        let (context, current, _) = self.fresh(context, tenant, Permission::Lockdown).await?;
        let (id, cause) = (current.id.clone(), context.audit_context());
        let told = format!("was {}", current.state.as_str());
        if current.locked_from.is_some() {
            let event = self.event_of(&current, &cause, AuditAction::TenantLockdown, told);
            self.store.record_events(std::slice::from_ref(&event), event.at).await?;
            return Ok((id, cause));
        }
        // Whoever lifts the lock brings no old token back.
        let next = Tenant { generation: self.store.next_generation().await?, ..current }.into_locked();
        let event = self.event_of(&next, &cause, AuditAction::TenantLockdown, told);
        self.replace(next, &event, None).await?;
        Ok((id, cause))
    }

    /// Locks a shared app, and with it every tenant that it serves.
    ///
    /// # Errors
    /// As [`Registry::lock_tenant`].
    pub async fn lock_app(&self, context: &RequestContext, app: &AppRef) -> Result<Lockdown, RegistryError> {
        let context = require_everywhere(context, Permission::Lockdown)?;
        let id = against_all(|| self.lock_app_once(&context, app)).await?;
        self.take_down(LockdownScope::App(id.clone()), SessionSelector::App(id), &context.audit_context())
            .await
    }

    async fn lock_app_once(&self, context: &RequestContext, app: &AppRef) -> Result<AppId, RegistryError> {
        let current = self.shared_app(app).await?;
        let told = Some(format!("state was {:?}", current.state));
        if current.state == AppState::Locked {
            let event = self.app_event(context, &current, AuditAction::AppLockdown, told);
            self.store.record_events(std::slice::from_ref(&event), event.at).await?;
            return Ok(current.id);
        }
        let fence = self.store.next_generation().await?;
        let version = current.version + 1;
        let next = App { state: AppState::Locked, fence, version, updated_at: self.now(), ..current };
        let event = self.app_event(context, &next, AuditAction::AppLockdown, told);
        let updated = self.store.update_app(&next, &event).await;
        self.broker.forget(&ChangedEntity::App(next.id.clone()));
        updated?;
        Ok(next.id)
    }

    /// Locks a caller: its keys open nothing, and every live token that its grants give is revoked,
    /// whoever else has it.
    ///
    /// # Errors
    /// As [`Registry::lock_tenant`]; [`RegistryError::Absent`] for one whom this caller may not lock.
    pub async fn lock_caller(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
    ) -> Result<Lockdown, RegistryError> {
        let (locked, cause) = against_all(|| self.lock_caller_once(context, caller)).await?;
        let reach = LockdownScope::Grants { grants: locked.grants.into(), until: None };
        self.take_down(reach, SessionSelector::Caller(locked.id), &cause).await
    }

    async fn lock_caller_once(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
    ) -> Result<(Caller, AuditContext), RegistryError> {
        if !context.any(|one| one.holds(Permission::Lockdown)) {
            return Err(RegistryError::Forbidden("no grant gives lockdown"));
        }
        let current = self.stored_caller(context, caller, Permission::Lockdown).await?;
        let current = current.ok_or(RegistryError::Absent)?;
        let context = context.those(|one| one.may_lock(&current.grants)).ok_or(RegistryError::Absent)?;
        let now = self.now();
        let next = Caller { state: CallerState::Locked, locked_at: Some(now), ..current };
        let cause = context.audit_context();
        let event = event_of(&next, &cause, now, AuditAction::CallerLockdown, told(&next));
        Ok((self.replace_caller(next, &event, None).await?, cause))
    }

    async fn take_down(
        &self,
        reach: LockdownScope,
        of: SessionSelector,
        cause: &AuditContext,
    ) -> Result<Lockdown, RegistryError> {
        let sessions =
            self.end_sessions(of, cause, |_| true).await.inspect_err(|_| self.note_unfinished())?;
        let toll = self.broker.lock_down(reach).await.inspect_err(|_| self.note_unfinished())?;
        Ok(Lockdown { toll, sessions })
    }

    fn note_unfinished(&self) {
        self.unfinished.store(true, Ordering::Release);
    }

    /// Takes out of circulation what an earlier process locked and did not come to, or this one where
    /// the store went away.
    ///
    /// # Errors
    /// Where the store does not answer; it is tried again the next time.
    pub async fn finish_lockdowns(&self) -> Result<(), RegistryError> {
        if !self.unfinished.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        self.finish_all().await.inspect_err(|_| self.note_unfinished())
    }

    async fn finish_all(&self) -> Result<(), RegistryError> {
        self.finish_tenants().await?;
        self.finish_apps().await?;
        self.finish_callers().await
    }

    async fn finish_tenants(&self) -> Result<(), RegistryError> {
        let filter = TenantFilter { state: Some(TenantState::Locked), ..TenantFilter::default() };
        let mut page = Some(PageRequest { after: None, limit: PAGE });
        while let Some(this) = page {
            let tenants = self.store.tenants(&filter, &this).await?;
            page = next_page(tenants.last().map(|tenant| &tenant.name), tenants.len());
            for tenant in tenants {
                self.finish_tenant(tenant.id).await?;
            }
        }
        Ok(())
    }

    async fn finish_apps(&self) -> Result<(), RegistryError> {
        let mut page = Some(PageRequest { after: None, limit: PAGE });
        while let Some(this) = page {
            let apps = self.store.shared_apps(&this).await?;
            page = next_page(apps.last().and_then(name_of), apps.len());
            for app in apps.into_iter().filter(|app| app.state == AppState::Locked) {
                self.finish_app(app.id).await?;
            }
        }
        Ok(())
    }

    async fn finish_callers(&self) -> Result<(), RegistryError> {
        let mut page = Some(PageRequest { after: None, limit: PAGE });
        while let Some(this) = page {
            let callers = self.store.callers(&this).await?;
            page = next_page(callers.last().map(|caller| &caller.name), callers.len());
            for caller in &callers {
                self.finish_caller(caller).await?;
            }
        }
        Ok(())
    }

    /// Takes out of circulation what a lock reaches.
    async fn finish(&self, reach: LockdownScope, of: SessionSelector) -> Result<(), RegistryError> {
        self.end_sessions(of, &AuditContext::BROKER, |_| true).await?;
        self.broker.put_out(&reach).await?;
        Ok(())
    }

    /// The same for a tenant that is locked.
    pub(super) async fn finish_tenant(&self, tenant: TenantId) -> Result<(), RegistryError> {
        self.finish(LockdownScope::Tenant(tenant.clone()), SessionSelector::Tenant(tenant)).await
    }

    /// The same for a shared app that is locked.
    pub(super) async fn finish_app(&self, app: AppId) -> Result<(), RegistryError> {
        self.finish(LockdownScope::App(app.clone()), SessionSelector::App(app)).await
    }

    /// The same for a caller, where it is locked: what its grants gave until it was.
    pub(super) async fn finish_caller(&self, caller: &Caller) -> Result<(), RegistryError> {
        match caller.locked_at {
            None => Ok(()),
            until => {
                let reach = LockdownScope::Grants { grants: caller.grants.as_slice().into(), until };
                self.finish(reach, SessionSelector::Caller(caller.id.clone())).await
            }
        }
    }
}

/// The stretch behind one of so many items; `None` where that was the last.
fn next_page(last: Option<&Name>, items: usize) -> Option<PageRequest> {
    (items == PAGE).then(|| PageRequest { after: last.cloned(), limit: PAGE })
}
