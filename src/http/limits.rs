//! Who may go on, and who has to come back later.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::Api;
use super::error::ApiError;
use super::extract::Nameable;
use super::problem::Reach;
use crate::auth::Identity;
use crate::auth::limits::Exceeded;
use crate::broker::TokenError;
use crate::store::TenantRef;

/// Marks routes that a tenant's limit does not keep anybody out of, as a request's extension: whoever
/// has to put a tenant out of service that is flooded with requests must not be kept out by the flood.
#[derive(Clone, Copy, Debug)]
pub(super) struct BesideTenantLimits;

/// Counts a request of a known caller, and where its path names a tenant that the caller may know of,
/// one about that tenant.
pub(super) async fn count(api: &Api, identity: &Identity, parts: &mut Parts) -> Result<(), ApiError> {
    api.limits.count_caller(&identity.caller).map_err(|exceeded| limited(Reach::Request, exceeded))?;
    if parts.extensions.get::<BesideTenantLimits>().is_some() {
        return Ok(());
    }
    match tenant_of(parts).await {
        Some(tenant) => count_tenant(api, identity, &tenant).await,
        None => Ok(()),
    }
}

/// Counts a request about a tenant. To whoever has no grant on it it does not exist: they use nothing
/// of its limit up, and hear from the handler what they hear of every tenant that is not there.
pub(super) async fn count_tenant(api: &Api, identity: &Identity, tenant: &TenantRef) -> Result<(), ApiError> {
    let Some(view) = api.broker.view_for(identity, tenant).await.map_err(TokenError::Store)? else {
        return Ok(());
    };
    let tenant = &view.tenant;
    if !identity.caller.grants.iter().any(|grant| grant.is_on(&tenant.id, &tenant.labels)) {
        return Ok(());
    }
    api.limits.count_tenant(tenant).map_err(|exceeded| limited(Reach::Tenant, exceeded))
}

/// What a request hears whose credential opens nothing, or that carries none.
pub(super) fn stranger(api: &Api, peer: Option<std::net::IpAddr>) -> ApiError {
    match api.limits.count_stranger(peer) {
        Ok(()) => ApiError::Unauthenticated,
        Err(exceeded) => limited(Reach::Request, exceeded),
    }
}

fn limited(reach: Reach, Exceeded { retry_after }: Exceeded) -> ApiError {
    ApiError::RateLimited { reach, retry_after }
}

async fn tenant_of(parts: &mut Parts) -> Option<TenantRef> {
    let parameters = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let named = parameters.iter().find(|(name, _)| *name == TenantRef::PARAMETER);
    named.and_then(|(_, text)| TenantRef::parse(text))
}
