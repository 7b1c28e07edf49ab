//! The end of tenants: out of service at once, erased when their grace is over.

use jiff::SignedDuration;

use crate::auth::RequestContext;
use crate::broker::TenantContext;
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::grant::Permission;
use crate::domain::tenant::{Tenant, TenantState};
use crate::registry::error::RegistryError;
use crate::registry::{LONGEST_REVOCATION, Registry, on_what_stands, require_everywhere};
use crate::store::{ChangedEntity, SessionSelector, StoreError, TenantRef};

impl Registry {
    /// Takes a tenant out of service at once and has its tokens revoked. It is erased when its
    /// grace is over, or `now`.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn delete_tenant(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        now: bool,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.delete_tenant_once(context, tenant, now, expected)).await
    }

    async fn delete_tenant_once(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        now: bool,
        expected: Option<i64>,
    ) -> Result<(), RegistryError> {
        let permission = if now { Permission::TenantsPurge } else { Permission::TenantsDelete };
        let (mut context, current, view) = self.fresh(context, tenant, permission).await?;
        if now {
            context = require_everywhere(&context, Permission::TenantsPurge)?;
        }
        if expected.is_some_and(|version| version != current.version) {
            return Err(RegistryError::Precondition);
        }
        if current.is_unverified() {
            // It never served: nothing is to be revoked, and it reserves nothing for a restoration.
            let event = self.event_of(
                &current,
                &context.audit_context(),
                AuditAction::TenantPurge,
                "erased".to_owned(),
            );
            // It may come into service in this very moment: then it is not erased like this.
            let erased = self.store.purge_pending_tenant(&current, &event).await;
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
        let cause = context.audit_context();
        let told = format!("to be erased at {purge_at}");
        let event = self.event_of(&next, &cause, AuditAction::TenantDelete, told);
        let next = self.replace(next, &event, expected).await?;
        let view = TenantContext { tenant: next, app: view.app.clone() };
        if let Err(error) = self.wind_up(&view, &cause).await {
            tracing::warn!(tenant = %view.tenant.id, %error, "a deleted tenant is wound up later");
        }
        Ok(())
    }

    /// Revokes what deleted tenants left behind, and erases those whose grace is over.
    ///
    /// # Errors
    /// Where the store does not answer. What fails for one tenant is told to the operator and tried
    /// again the next time.
    pub async fn wind_up_deleted(&self) -> Result<(), StoreError> {
        for tenant in self.store.deleted_tenants().await? {
            let Some(app) = self.sound_app(&tenant.app).await? else { continue };
            let view = TenantContext { tenant, app };
            if let Err(error) = self.wind_up(&view, &AuditContext::BROKER).await {
                tracing::warn!(tenant = %view.tenant.id, %error, "a deleted tenant could not be wound up");
            }
        }
        Ok(())
    }

    async fn wind_up(&self, view: &TenantContext, cause: &AuditContext) -> Result<(), RegistryError> {
        let tenant = &view.tenant;
        self.end_sessions(SessionSelector::Tenant(tenant.id.clone()), cause, |_| true).await?;
        let left = self.broker.revoke_all(view).await;
        let Some(purge_at) = tenant.purge_at.filter(|at| *at <= self.now()) else {
            left?;
            return Ok(());
        };
        let waited_enough = self.now().duration_since(purge_at) >= LONGEST_REVOCATION;
        if !waited_enough && left? > 0 {
            return Ok(());
        }
        let event = self.event_of(tenant, cause, AuditAction::TenantPurge, "erased".to_owned());
        self.store.purge_tenant(&tenant.id, &event).await?;
        self.forget_erased(view);
        Ok(())
    }

    fn forget_erased(&self, view: &TenantContext) {
        self.broker.forget_erased(&view.tenant.id);
        if !view.app.is_shared() {
            self.broker.forget(&ChangedEntity::App(view.app.id.clone()));
        }
    }
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
