//! `/v1/callers/{caller}/trusts`: which tokens of OIDC issuers open a caller.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::id::TrustId;
use crate::domain::trust::{Audience, ClaimPattern, ClaimPatterns, Trust, TrustConditions};
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::body::Json;
use crate::http::extract::{AuthenticatedRequest as Calling, PathParams};
use crate::http::route::Route;
use crate::store::CallerRef;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::CallersWrite, AuditAction::TrustCreate, routes!(create)),
        Route::admin(Permission::CallersWrite, AuditAction::TrustDelete, routes!(delete)),
    ]
}

/// The trust to add. In patterns, `*` stands for any characters within one part of a value; `/` and `:` separate
/// parts, and the whole value has to match.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTrustRequest {
    /// The token's `iss`: one of the settings' issuers.
    #[schema(example = "https://token.actions.githubusercontent.com")]
    issuer: String,
    /// One of the token's `aud`, exactly.
    #[schema(value_type = String, example = "box-token-broker")]
    audience: Audience,
    /// A pattern for the token's `sub`.
    #[schema(value_type = String, example = "repo:acme/invoices:ref:refs/heads/main")]
    subject: ClaimPattern,
    /// Patterns for other claims, by name; a name that begins with `/` is a JSON pointer.
    #[serde(default)]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>, example = json!({"environment": "prod"}))]
    claims: Option<ClaimPatterns>,
}

/// A trust: tokens that match it authenticate as the caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Trust)]
pub(crate) struct TrustResponse<'a> {
    /// The trust's id.
    id: &'a str,
    /// The token's `iss`.
    issuer: &'a str,
    /// One of the token's `aud`.
    audience: &'a str,
    /// A pattern for the token's `sub`.
    subject: &'a str,
    /// Patterns for other claims.
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    claims: &'a ClaimPatterns,
    /// The time at which it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl<'a> From<&'a Trust> for TrustResponse<'a> {
    fn from(Trust { id, conditions, created_at }: &'a Trust) -> Self {
        Self {
            id: id.as_str(),
            issuer: &conditions.issuer,
            audience: conditions.audience.as_str(),
            subject: conditions.subject.as_str(),
            claims: &conditions.claims,
            created_at: *created_at,
        }
    }
}

#[utoipa::path(
    post, path = "/v1/callers/{caller}/trusts", tag = "callers", operation_id = "create_trust",
    request_body(content = CreateTrustRequest),
    responses((status = 201, description = "The trust", body = TrustResponse)),
)]
/// Let tokens of an OIDC issuer authenticate as a caller.
async fn create(
    State(api): State<Api>,
    calling: Calling,
    PathParams(caller): PathParams<CallerRef>,
    Json(body): Json<CreateTrustRequest>,
) -> Result<Response, ApiError> {
    let calling = calling.now(&api).await?;
    let CreateTrustRequest { issuer, audience, subject, claims } = body;
    let conditions = TrustConditions { issuer, audience, subject, claims: claims.unwrap_or_default() };
    let trust = api.registry.callers.create_trust(&calling.context, &caller, conditions).await?;
    Ok((StatusCode::CREATED, axum::Json(TrustResponse::from(&trust))).into_response())
}

#[utoipa::path(
    delete, path = "/v1/callers/{caller}/trusts/{trust}", tag = "callers", operation_id = "delete_trust",
    responses((status = 204, description = "Tokens that match it do not authenticate by it any more")),
)]
/// Remove a trust.
async fn delete(
    State(api): State<Api>,
    calling: Calling,
    PathParams(caller): PathParams<CallerRef>,
    PathParams(trust): PathParams<TrustId>,
) -> Result<StatusCode, ApiError> {
    api.registry.callers.delete_trust(&calling.context, &caller, &trust).await?;
    Ok(StatusCode::NO_CONTENT)
}
