//! A tenant: one customer's Box enterprise, served through an app.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::app::App;
use super::id::{AppId, BoxId, Generation, Name, TenantId};
use super::policy::Policy;

/// Where a tenant stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Not tested yet: it comes into service by itself once Box gives a token for it, and reserves
    /// nothing until then.
    Pending,
    /// In service.
    Active,
    /// Out of service until an admin says otherwise.
    Suspended,
    /// Out of service because of an incident, until somebody with `lockdown` lifts it.
    Locked,
    /// Out of service, to be erased at `purge_at`; until then it can be restored.
    Deleted,
}

impl TenantState {
    /// The state's name in the API and in the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Locked => "locked",
            Self::Deleted => "deleted",
        }
    }
}

/// The app's own user in the customer's enterprise, whom the customer invites to folders.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ServiceAccount {
    /// Box's id of it.
    #[schema(value_type = String, example = "17301986457")]
    pub id: BoxId,
    /// Its login, such as `AutomationUser_…@boxdevedition.com`.
    pub login: String,
    /// Its name.
    pub name: String,
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The immutable id.
    pub id: TenantId,
    /// The name callers use, unique among tenants until purged.
    pub name: Name,
    /// The name people read.
    pub display_name: String,
    /// Free labels, by which grants and lists can select.
    pub labels: BTreeMap<String, String>,
    /// In service or not.
    pub state: TenantState,
    /// What the tenant was before it was locked. It stands for as long as the lock does, and through a
    /// deletion too: whoever restores the tenant lifts no lock by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_from: Option<TenantState>,
    /// The app that serves it.
    pub app: AppId,
    /// The customer's enterprise at Box.
    pub enterprise_id: BoxId,
    /// Which state of this tenant's credentials is in use; see [`Tenant::effective_generation`].
    pub generation: Generation,
    /// The app's user in the enterprise, as Box last showed it.
    pub service_account: Option<ServiceAccount>,
    /// What tokens may leave.
    pub policy: Policy,
    /// When the tenant was registered.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// When a deleted tenant is erased.
    pub purge_at: Option<Timestamp>,
    /// Counts the row's changes.
    pub version: i64,
}

impl Tenant {
    /// The generation that this tenant's tokens belong to. All numbers come from one sequence, so
    /// a change of the tenant or of its app makes one that was never used.
    #[must_use]
    pub fn effective_generation(&self, app: &App) -> Generation {
        self.generation.max(app.generation).max(app.fence)
    }

    /// True while Box never gave a token for it: the tenant reserves nothing.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        match self.state {
            TenantState::Pending => true,
            TenantState::Locked => self.locked_from == Some(TenantState::Pending),
            TenantState::Active | TenantState::Suspended | TenantState::Deleted => false,
        }
    }

    /// The tenant under a lock; a deleted one stays deleted, and is locked once it is restored.
    #[must_use]
    pub fn into_locked(self) -> Self {
        let (state, before) = match self.state {
            TenantState::Deleted => (TenantState::Deleted, TenantState::Active),
            state => (TenantState::Locked, state),
        };
        Self { state, locked_from: self.locked_from.or(Some(before)), ..self }
    }
}
