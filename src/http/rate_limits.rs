//! The rate limits of callers, tenants and addresses, applied to a request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::auth::limits::RateLimitExceeded;
use crate::auth::{AuthError, RequestContext};
use crate::broker::{TenantContext, TokenError};
use crate::domain::caller::Caller;
use crate::domain::id::{CallerId, TokenId};
use crate::domain::tenant::Tenant;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::error::problem::ErrorScope;
use crate::http::extract::PathParam;
use crate::store::TenantRef;

/// Marks, as a request's extension, a route to which no tenant's limit applies: an admin must be able to suspend a
/// tenant that is flooded with requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenantLimitExempt;

/// Counts a request for each caller that its credential authenticates, and for the tenant that its path names, if
/// the callers may see it. Callers over their limit are left out; the request goes on as the others.
pub(crate) async fn count(
    api: &Api,
    context: RequestContext,
    parts: &mut Parts,
) -> Result<RequestContext, ApiError> {
    let beside = parts.extensions.get::<TenantLimitExempt>().is_some();
    let tenant = tenant_of(parts).await;
    count_about(api, context, tenant, beside).await
}

/// Counts a request that is about a tenant, or about none; `beside` the tenant's limit, where that keeps nobody out.
pub(crate) async fn count_about(
    api: &Api,
    context: RequestContext,
    tenant: Option<TenantRef>,
    beside: bool,
) -> Result<RequestContext, ApiError> {
    let spent = spent(api, &context);
    let narrowed = match spent.first() {
        None => None,
        Some(one) => {
            let is_left = |caller: &Caller| spent.iter().all(|(id, _)| *id != caller.id);
            Some(context.those(is_left).ok_or_else(|| limited(ErrorScope::Request, one.1))?)
        }
    };
    let tenant = if beside && spent.is_empty() { None } else { tenant };
    if let Some(view) = visible_tenant(api, &context, tenant.as_ref()).await? {
        let left = narrowed.as_ref().unwrap_or(&context);
        match spent.first() {
            // Those who may know of the tenant are the ones who have to wait.
            Some(one) if !may_know(left, &view.tenant) => return Err(limited(ErrorScope::Request, one.1)),
            _ if beside => {}
            _ => count_tenant(api, &view.tenant)?,
        }
    }
    Ok(narrowed.unwrap_or(context))
}

/// Counts a request for each caller, and returns the callers over their limit, the shortest wait first.
fn spent(api: &Api, context: &RequestContext) -> Vec<(CallerId, RateLimitExceeded)> {
    let mut spent: Vec<_> = context
        .callers()
        .filter_map(|opened| {
            let exceeded = api.limits.count_caller(&opened.caller).err()?;
            Some((opened.caller.id.clone(), exceeded))
        })
        .collect();
    spent.sort_by_key(|(_, exceeded)| exceeded.retry_after);
    spent
}

/// The tenant that a request is about. To whoever has no grant on it it does not exist: they use nothing of
/// its limit up, and hear from the handler what they hear of every tenant that is not there.
pub(crate) async fn visible_tenant(
    api: &Api,
    context: &RequestContext,
    tenant: Option<&TenantRef>,
) -> Result<Option<Arc<TenantContext>>, ApiError> {
    let Some(tenant) = tenant else { return Ok(None) };
    let view = api.broker.tenants().find_for(context, tenant).await.map_err(TokenError::Store)?;
    Ok(view.filter(|view| may_know(context, &view.tenant)))
}

fn may_know(context: &RequestContext, tenant: &Tenant) -> bool {
    context.any(|caller| caller.grants.iter().any(|grant| grant.applies_to(&tenant.id, &tenant.labels)))
}

/// Counts a request about a tenant, by a caller who may see it.
pub(crate) fn count_tenant(api: &Api, tenant: &Tenant) -> Result<(), ApiError> {
    api.limits.count_tenant(tenant).map_err(|exceeded| limited(ErrorScope::Tenant, exceeded))
}

/// Counts a request without a valid credential against its address, and returns the error to answer with.
pub(crate) fn unauthenticated(api: &Api, peer: Option<IpAddr>, error: AuthError) -> ApiError {
    match api.limits.count_stranger(peer) {
        Ok(()) => ApiError::Auth(error),
        Err(exceeded) => limited(ErrorScope::Request, exceeded),
    }
}

/// Counts a request without a credential against its address.
pub(crate) fn count_unauthenticated(api: &Api, peer: Option<IpAddr>) -> Result<(), ApiError> {
    api.limits.count_stranger(peer).map_err(|exceeded| limited(ErrorScope::Request, exceeded))
}

/// Counts a request that carries no credential but a token that this caller received.
pub(crate) fn count_shown(
    api: &Api,
    token: &TokenId,
    caller: &Caller,
    peer: Option<IpAddr>,
) -> Result<(), ApiError> {
    let counted = api.limits.count_shown(token, caller, peer);
    counted.map_err(|exceeded| limited(ErrorScope::Request, exceeded))
}

pub(crate) fn limited(reach: ErrorScope, RateLimitExceeded { retry_after }: RateLimitExceeded) -> ApiError {
    ApiError::RateLimited { reach, retry_after }
}

async fn tenant_of(parts: &mut Parts) -> Option<TenantRef> {
    let parameters = RawPathParams::from_request_parts(parts, &()).await.ok()?;
    let named = parameters.iter().find(|(name, _)| *name == TenantRef::PARAMETER);
    named.and_then(|(_, text)| TenantRef::parse(text))
}
