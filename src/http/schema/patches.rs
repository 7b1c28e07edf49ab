//! The merge patches of tenants and apps.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::http::schema::policy::PolicySchema;
use crate::registry::RequestedState;

/// The fields that a PATCH may change.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TenantPatch)]
pub(crate) struct TenantPatchSchema {
    /// The name shown to people; `null` resets it to the tenant's name.
    display_name: Option<String>,
    /// Labels; needs `tenants:write` on every tenant.
    labels: Option<BTreeMap<String, Option<String>>>,
    /// The policy for its tokens.
    policy: Option<PolicySchema>,
    /// The new state. Leaving `locked` also needs `lockdown`.
    #[schema(required = false)]
    state: RequestedState,
}

/// The fields that a PATCH may change.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AppPatch)]
pub(crate) struct AppPatchSchema {
    /// `suspended` takes every tenant of the app out of service; out of `locked` needs `lockdown` as well.
    #[schema(required = false)]
    state: RequestedState,
}
