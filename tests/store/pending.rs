//! Pending tenants: they reserve nothing until they are activated.

use box_token_broker::domain::app::{App, AppOwner, AppState};
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::tenant::{Tenant, TenantState};
use box_token_broker::store::{AppRef, Conflict, NewApp, StoreError, TenantRef};

use super::harness::Harness;
use super::sample_rows::{self, event, next};

const LATE: Result<(), StoreError> = Err(StoreError::Conflict(Conflict::Version));

impl Harness {
    /// Inserts a pending tenant with an app of its own, whose client ID others may have too.
    async fn pending_tenant(&self, text: &str, client_of: Option<&App>) -> (Tenant, App) {
        let generation = self.store.next_generation().await.unwrap();
        let mut app = sample_rows::app(AppOwner::Shared { name: sample_rows::name("x") }, generation);
        let mut tenant = sample_rows::tenant(text, &app.id, generation);
        (app.state, tenant.state) = (AppState::Pending, TenantState::Pending);
        app.owner = AppOwner::Tenant { id: tenant.id.clone() };
        if let Some(other) = client_of {
            app.client_id = other.client_id.clone();
        }
        let sealed = self.sealed(&app).await;
        let new = NewApp { app: &app, sealed: &sealed };
        self.store.insert_tenant(&tenant, Some(new), &event(AuditAction::TenantCreate)).await.unwrap();
        (tenant, app)
    }

    /// Inserts a pending tenant of a shared app.
    async fn pending_tenant_of(&self, app: &App, text: &str, enterprise_of: Option<&Tenant>) -> Tenant {
        let mut tenant = sample_rows::tenant(text, &app.id, self.store.next_generation().await.unwrap());
        tenant.state = TenantState::Pending;
        if let Some(other) = enterprise_of {
            tenant.enterprise_id = other.enterprise_id.clone();
        }
        self.store.insert_tenant(&tenant, None, &event(AuditAction::TenantCreate)).await.unwrap();
        tenant
    }

    async fn admits(&self, tenant: &Tenant, own_app: Option<&App>) -> Result<(), StoreError> {
        self.store.activate_tenant(tenant, own_app, &event(AuditAction::TenantActivate)).await
    }

    async fn purges_pending(&self, tenant: &Tenant) -> Result<(), StoreError> {
        self.store.purge_pending_tenant(tenant, &event(AuditAction::TenantPurge)).await
    }

    /// Asserts that the store has exactly this tenant and app.
    async fn holds(&self, tenant: &Tenant, app: &App) {
        let by = TenantRef::Id(tenant.id.clone());
        assert_eq!(self.store.tenant(&by).await, Ok(Some(tenant.clone())));
        assert_eq!(self.store.app(&AppRef::Id(app.id.clone())).await, Ok(Some(app.clone())));
    }
}

fn in_service(tenant: &Tenant) -> Tenant {
    next(tenant, |tenant| tenant.state = TenantState::Active)
}

fn app_in_service(app: &App) -> App {
    next(app, |app| app.state = AppState::Active)
}

pub(crate) async fn the_first_tenant_to_become_active_holds_the_client_id(harness: &Harness) {
    let (second, second_app) = harness.pending_tenant("second", None).await;
    let (first, first_app) = harness.pending_tenant("first", Some(&second_app)).await;
    assert_eq!(harness.store.pending_tenants().await, Ok(vec![first.clone(), second.clone()]));
    let by_client = AppRef::ClientId(first_app.client_id.clone());
    assert_eq!(harness.store.app(&by_client).await, Ok(None), "nobody holds it yet");

    let (served, served_app) = (in_service(&first), app_in_service(&first_app));
    harness.admits(&served, Some(&served_app)).await.unwrap();
    harness.holds(&served, &served_app).await;
    assert_eq!(harness.store.app(&by_client).await, Ok(Some(served_app.clone())));
    assert_eq!(harness.store.pending_tenants().await, Ok(vec![second.clone()]));
    let before = harness.actions().await;
    assert_eq!(before.last().unwrap(), "tenant.activate");

    let held = harness.admits(&in_service(&second), Some(&app_in_service(&second_app))).await;
    assert_eq!(held, Err(StoreError::Conflict(Conflict::ClientIdHeld)));
    harness.holds(&second, &second_app).await;
    assert_eq!(harness.actions().await, before);
    // Once it is free again, the other tenant can take it.
    harness.store.purge_tenant(&first.id, &event(AuditAction::TenantPurge)).await.unwrap();
    harness.admits(&in_service(&second), Some(&app_in_service(&second_app))).await.unwrap();
}

pub(crate) async fn the_first_tenant_to_become_active_holds_the_enterprise(harness: &Harness) {
    let vendor = harness.shared_app("vendor").await;
    let first = harness.pending_tenant_of(&vendor, "first", None).await;
    let second = harness.pending_tenant_of(&vendor, "second", Some(&first)).await;
    harness.admits(&in_service(&first), None).await.unwrap();
    let held = harness.admits(&in_service(&second), None).await;
    assert_eq!(held, Err(StoreError::Conflict(Conflict::EnterpriseHeld)));
    harness.holds(&in_service(&first), &vendor).await;
    harness.holds(&second, &vendor).await;
}

pub(crate) async fn an_outdated_pending_tenant_is_not_activated(harness: &Harness) {
    let (tenant, app) = harness.pending_tenant("acme", None).await;
    let (served, served_app) = (in_service(&tenant), app_in_service(&app));
    let stale_app = next(&served_app, |_| ());
    let stale = next(&served, |_| ());
    assert_eq!(harness.admits(&stale, Some(&served_app)).await, LATE);
    assert_eq!(harness.admits(&served, Some(&stale_app)).await, LATE);
    harness.holds(&tenant, &app).await;
    harness.admits(&served, Some(&served_app)).await.unwrap();
    assert_eq!(harness.admits(&served, Some(&served_app)).await, LATE);
    harness.holds(&served, &served_app).await;
}

pub(crate) async fn a_pending_tenant_is_purged_only_at_its_current_version(harness: &Harness) {
    let (tenant, app) = harness.pending_tenant("acme", None).await;
    let (served, served_app) = (in_service(&tenant), app_in_service(&app));
    harness.admits(&served, Some(&served_app)).await.unwrap();
    let before = harness.actions().await;
    assert_eq!(harness.purges_pending(&tenant).await, LATE);
    harness.holds(&served, &served_app).await;
    assert_eq!(harness.actions().await, before);

    let (other, other_app) = harness.pending_tenant("other", None).await;
    harness.purges_pending(&other).await.unwrap();
    assert_eq!(harness.store.tenant(&TenantRef::Id(other.id.clone())).await, Ok(None));
    assert_eq!(harness.store.app(&AppRef::Id(other_app.id.clone())).await, Ok(None));
    assert_eq!(harness.store.credentials(&other_app.id, other_app.generation).await, Ok(None));
    assert_eq!(harness.purges_pending(&other).await, LATE);
    harness.holds(&served, &served_app).await;
}
