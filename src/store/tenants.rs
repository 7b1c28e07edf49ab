//! Tenants: how the rest of the broker finds, lists and changes them.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{NewApp, PageRequest, Result};
use crate::domain::app::App;
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{Name, TenantId};
use crate::domain::tenant::{Tenant, TenantState};

/// A reference to a tenant, as it appears in a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TenantRef {
    /// By its immutable id.
    Id(TenantId),
    /// By its name.
    Name(Name),
}

/// The tenants that a list contains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    /// Tenants that have all of these labels.
    pub labels: BTreeMap<String, String>,
    /// Tenants in this state.
    pub state: Option<TenantState>,
}

/// The tenants in the database.
#[async_trait]
pub trait TenantStore {
    /// Returns a tenant in any state, until it is purged.
    async fn tenant(&self, by: &TenantRef) -> Result<Option<Tenant>>;
    /// Lists tenants in the order of their names. A row that fails verification is left out and logged.
    async fn tenants(&self, filter: &TenantFilter, page: &PageRequest) -> Result<Vec<Tenant>>;
    /// Returns every tenant that is deleted and not purged yet.
    async fn deleted_tenants(&self) -> Result<Vec<Tenant>>;
    /// Returns every tenant that is pending.
    async fn pending_tenants(&self) -> Result<Vec<Tenant>>;
    /// Replaces the row of a pending tenant, and of its own app, with the active one. Fails with a
    /// [`Conflict`](super::Conflict) if another tenant has taken the client ID or enterprise meanwhile.
    async fn activate_tenant(&self, tenant: &Tenant, own_app: Option<&App>, event: &AuditEvent)
    -> Result<()>;
    /// Inserts a tenant, and its own app if it brings one.
    async fn insert_tenant(
        &self,
        tenant: &Tenant,
        own_app: Option<NewApp<'_>>,
        event: &AuditEvent,
    ) -> Result<()>;
    /// Replaces the row of a tenant. Its version must be one more than the stored one; otherwise this fails
    /// with [`Conflict::Version`](super::Conflict::Version).
    async fn update_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()>;
    /// Erases a tenant, its tokens, and its own app with its credentials. Nothing can be restored.
    async fn purge_tenant(&self, tenant: &TenantId, event: &AuditEvent) -> Result<()>;
    /// Erases a pending tenant as [`TenantStore::purge_tenant`] does. Fails with
    /// [`Conflict::Version`](super::Conflict::Version) if its row was changed meanwhile.
    async fn purge_pending_tenant(&self, tenant: &Tenant, event: &AuditEvent) -> Result<()>;
}
