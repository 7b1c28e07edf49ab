//! The permission checks that the services have in common. Each returns the context of the callers that
//! passed, because only they act and only they are recorded.

use super::error::RegistryError;
use crate::auth::RequestContext;
use crate::domain::grant::Permission;
use crate::domain::policy::{AccessRequest, DenialReason};
use crate::domain::tenant::Tenant;

/// Returns the context of the callers that hold `permission` on a tenant.
///
/// # Errors
/// [`RegistryError::Absent`] if no caller has any grant on the tenant, else [`RegistryError::Forbidden`].
pub(super) fn require(
    context: &RequestContext,
    tenant: &Tenant,
    permission: Permission,
) -> Result<RequestContext, RegistryError> {
    context.those_allowed(tenant, AccessRequest::Admin(permission)).map_err(|rule| match rule {
        None => RegistryError::Absent,
        Some(rule) => RegistryError::Forbidden(DenialReason::as_str(rule)),
    })
}

/// Returns the context of the callers that hold `permission` by a grant on every tenant.
///
/// # Errors
/// [`RegistryError::Forbidden`] if there are none.
pub(super) fn require_everywhere(
    context: &RequestContext,
    permission: Permission,
) -> Result<RequestContext, RegistryError> {
    let allowed = context.those(|caller| caller.holds_everywhere(permission));
    allowed.ok_or(RegistryError::Forbidden("needs a grant on every tenant"))
}
