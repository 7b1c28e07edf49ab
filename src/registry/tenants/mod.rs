//! Tenants: read, listed, changed, deleted, and tested against Box.
//!
//! New tenants are made by [`super::registration`]; their credentials are changed by [`super::credentials`].

mod connection_test;
mod deletion;
mod health;
mod patch;

use std::sync::Arc;
use std::time::Duration;

pub use self::health::{HealthState, HealthView};
pub use self::patch::{RequestedState, check_tenant_patch};

use super::deps::Deps;
use super::error::RegistryError;
use super::page::ListPage;
use super::pending_tenants::PendingTenants;
use super::retry::retry_on_conflict;
use super::rows;
use crate::auth::RequestContext;
use crate::broker::TenantContext;
use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::policy::AccessRequest;
use crate::domain::tenant::{Tenant, TenantState};
use crate::store::{PageRequest, TenantFilter, TenantRef};

/// The service of tenants.
#[derive(Debug)]
pub struct Tenants {
    deps: Arc<Deps>,
    pending: Arc<PendingTenants>,
    /// The grace period in which a deleted tenant can be restored.
    purge_after: Duration,
}

impl Tenants {
    pub(super) fn new(deps: Arc<Deps>, pending: Arc<PendingTenants>, purge_after: Duration) -> Self {
        Self { deps, pending, purge_after }
    }

    /// Returns one tenant.
    ///
    /// # Errors
    /// If there is none, or the caller may not read it.
    pub async fn get(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        Ok(rows::tenants::find_tenant(&self.deps, context, tenant, Permission::TenantsRead).await?.1)
    }

    /// Returns a page of the tenants that the caller may read, ordered by name.
    ///
    /// # Errors
    /// If the caller may read no tenant at all, or the store does not answer.
    pub async fn list(
        &self,
        context: &RequestContext,
        (filter, health): (&TenantFilter, Option<HealthState>),
        mut page: PageRequest,
    ) -> Result<ListPage<Arc<TenantContext>>, RegistryError> {
        if !context.any(|caller| caller.holds(Permission::TenantsRead)) {
            return Err(RegistryError::Forbidden("no grant gives tenants:read"));
        }
        let limit = page.limit;
        let mut items: Vec<Arc<TenantContext>> = Vec::new();
        loop {
            // One more row than the page holds shows whether there is a next page.
            page.limit = limit + 1;
            let tenants = self.deps.store.tenants(filter, &page).await?;
            let was_last = tenants.len() <= limit;
            for tenant in tenants {
                page.after = Some(tenant.name.clone());
                if context.decide(&tenant, AccessRequest::Admin(Permission::TenantsRead)).is_err() {
                    continue;
                }
                let app = rows::tenants::load_app_of_listed_tenant(&self.deps, &tenant.app).await?;
                let Some(app) = app else { continue };
                let view = TenantContext { tenant, app };
                if health.is_some_and(|health| self.health(&view).state != health) {
                    continue;
                }
                // A next page is announced only for a tenant that the caller may read.
                if items.len() == limit {
                    return Ok(ListPage { next: items.last().map(|view| view.tenant.name.clone()), items });
                }
                items.push(Arc::new(view));
            }
            if was_last {
                return Ok(ListPage { items, next: None });
            }
        }
    }

    /// Starts a new generation, so that the next requests mint new tokens: for use after access or scopes have changed
    /// in Box. Tokens that were released before stay valid.
    ///
    /// # Errors
    /// Those of [`RegistryError`]; nothing is changed then.
    pub async fn flush(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<Arc<TenantContext>, RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let (context, view) =
                rows::tenants::load_tenant(deps, context, tenant, Permission::TenantsCredentials).await?;
            if view.tenant.state == TenantState::Deleted {
                return Err(RegistryError::Conflict("The tenant is deleted; restore it first."));
            }
            let generation = deps.store.next_generation().await?;
            let next = Tenant { generation, ..view.tenant.clone() };
            let detail = format!("was {}", view.generation().0);
            let cause = context.audit_context();
            let event = rows::tenants::tenant_event(deps, &next, &cause, AuditAction::TenantFlush, detail);
            let tenant = rows::tenants::replace_tenant(deps, next, &event, None).await?;
            Ok(Arc::new(TenantContext { tenant, app: view.app.clone() }))
        })
        .await
    }
}
