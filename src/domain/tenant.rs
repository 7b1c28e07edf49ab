//! A tenant: one customer's Box enterprise, served through an app.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::app::App;
use super::id::{AppId, BoxId, Generation, Name, TenantId};
use super::policy::Policy;

/// The state of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TenantState {
    /// Not tested yet: it becomes active once Box issues a token for it, and reserves nothing until then.
    Pending,
    /// In service.
    Active,
    /// Out of service until an admin reactivates it.
    Suspended,
    /// Out of service because of an incident, until a caller with `lockdown` lifts the lock.
    Locked,
    /// Out of service, and erased at `purge_at`; until then it can be restored.
    Deleted,
}

impl TenantState {
    /// Returns the state's name in the API and in the store.
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

/// The app's own user in the customer's enterprise, which the customer invites to folders.
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

/// One customer of the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The immutable id.
    pub id: TenantId,
    /// The name in API paths, unique among tenants until the tenant is purged.
    pub name: Name,
    /// The name for people.
    pub display_name: String,
    /// Free labels, by which grants and lists can select tenants.
    pub labels: BTreeMap<String, String>,
    /// The state of the tenant.
    pub state: TenantState,
    /// The state before the lock. It is kept while the lock lasts, also during a deletion: restoring the tenant does
    /// not lift the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_from: Option<TenantState>,
    /// The app that serves it.
    pub app: AppId,
    /// The customer's enterprise at Box.
    pub enterprise_id: BoxId,
    /// The generation of this tenant's credentials; see [`Tenant::effective_generation`].
    pub generation: Generation,
    /// The app's user in the enterprise, as last read from Box.
    pub service_account: Option<ServiceAccount>,
    /// The limits on the tokens that may be released.
    pub policy: Policy,
    /// The time of registration.
    pub created_at: Timestamp,
    /// The time of the row's last change.
    pub updated_at: Timestamp,
    /// The time at which a deleted tenant is erased.
    pub purge_at: Option<Timestamp>,
    /// The number of the row's version, one more with each change.
    pub version: i64,
}

impl Tenant {
    /// Returns the generation of this tenant's tokens. All numbers come from one sequence, so a change of the tenant
    /// or of its app leads to a number that was never used.
    #[must_use]
    pub fn effective_generation(&self, app: &App) -> Generation {
        self.generation.max(app.generation).max(app.fence)
    }

    /// Returns true if Box never issued a token for the tenant, so that it reserves nothing.
    #[must_use]
    pub fn is_unverified(&self) -> bool {
        match self.state {
            TenantState::Pending => true,
            TenantState::Locked => self.locked_from == Some(TenantState::Pending),
            TenantState::Active | TenantState::Suspended | TenantState::Deleted => false,
        }
    }

    /// Returns the tenant with a lock. A deleted tenant stays deleted and is locked once it is restored.
    #[must_use]
    pub fn into_locked(self) -> Self {
        let (state, before) = match self.state {
            TenantState::Deleted => (TenantState::Deleted, TenantState::Active),
            state => (TenantState::Locked, state),
        };
        Self { state, locked_from: self.locked_from.or(Some(before)), ..self }
    }
}
