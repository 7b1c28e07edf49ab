//! A tenant while it is being registered.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::app::App;
use crate::domain::id::{BoxId, Generation, Name, TenantId};
use crate::domain::policy::Policy;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};

/// The options of a registration.
#[derive(Clone, Copy)]
pub(super) struct RegistrationMode {
    /// Stores the tenant untested, as pending.
    pub verify_later: bool,
    /// Stores nothing.
    pub dry_run: bool,
}

/// The fields of a tenant that the admin chooses.
pub(super) struct TenantDraft {
    pub name: Name,
    pub display_name: String,
    pub labels: BTreeMap<String, String>,
    pub policy: Policy,
}

impl TenantDraft {
    /// Returns the tenant as it will be stored: active if its service account is known, else pending.
    pub(super) fn into_tenant(
        self,
        id: TenantId,
        app: &App,
        enterprise_id: BoxId,
        generation: Generation,
        now: Timestamp,
        service_account: Option<ServiceAccount>,
    ) -> Tenant {
        Tenant {
            id,
            name: self.name,
            display_name: self.display_name,
            labels: self.labels,
            state: if service_account.is_some() { TenantState::Active } else { TenantState::Pending },
            locked_from: None,
            app: app.id.clone(),
            enterprise_id,
            generation,
            service_account,
            policy: self.policy,
            created_at: now,
            updated_at: now,
            purge_at: None,
            version: 1,
        }
    }
}
