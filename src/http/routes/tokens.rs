//! `POST /v1/tenants/{tenant}/token` and `…/token/downscoped`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use crate::broker::{AccessToken, BOX_WAIT_LIMIT, RevocationTarget, TokenError, TokenRequest};
use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::resource::Resource;
use crate::domain::restriction::{Annotator, Restriction, RestrictionTarget, SharedLink};
use crate::domain::scope::{ScopePreset, ScopeSet};
use crate::domain::subject::Subject;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::body::Json;
use crate::http::extract::{AuthenticatedRequest, PathParams};
use crate::http::route::Route;
use crate::http::schema::subject::SubjectSchema;
use crate::http::token_release::{TokenTimes, count, current, times, token_response, whole_seconds};
use crate::registry::FieldError;
use crate::secret::SecretString;
use crate::store::TenantRef;

/// The longest life that can be promised, in seconds.
pub(crate) const LONGEST_MIN_TTL: u64 = 3000;
/// The most scopes that one token may have.
pub(crate) const SCOPES: usize = 50;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::service(Permission::TokensMint, AuditAction::TokenRelease, routes!(token)),
        Route::service(Permission::TokensDownscope, AuditAction::TokenRelease, routes!(downscoped)),
        Route::service(Permission::TokensRevoke, AuditAction::TokenRevoke, routes!(revoke)),
    ]
}

/// The full token that is requested.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FullTokenRequest {
    /// The subject; the service account if omitted.
    #[schema(value_type = Option<SubjectSchema>)]
    subject: Option<Subject>,
    /// The least life of the token in seconds.
    #[schema(minimum = 0, maximum = 3000)]
    min_ttl: Option<u64>,
    /// A token that Box answered with 401. It is checked at Box, and replaced if it is dead.
    #[schema(value_type = Option<String>, write_only)]
    rejected: Option<SecretString>,
    /// The person or job that the caller claims to act for. Recorded, never checked.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    on_behalf_of: Option<OnBehalfOf>,
}

/// The downscoped token that is requested.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DownscopedRequest {
    /// The subject; the service account if omitted.
    #[schema(value_type = Option<SubjectSchema>)]
    subject: Option<Subject>,
    /// The least life of the token in seconds.
    #[schema(minimum = 0, maximum = 3000)]
    min_ttl: Option<u64>,
    /// A token that Box answered with 401. It is checked at Box, and replaced if it is dead.
    #[schema(value_type = Option<String>, write_only)]
    rejected: Option<SecretString>,
    /// The person or job that the caller claims to act for. Recorded, never checked.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    on_behalf_of: Option<OnBehalfOf>,
    /// Its scopes; or use `preset`.
    #[schema(value_type = Option<Vec<String>>, example = json!(["base_preview", "item_download"]))]
    scopes: Option<ScopeSet>,
    /// The scopes that one of Box's UI Elements needs; or `scopes`.
    preset: Option<ScopePreset>,
    /// The file or folder that it is restricted to.
    resource: Option<Resource>,
    /// The shared link that it is restricted to, instead of a resource.
    #[schema(value_type = Option<String>)]
    shared_link: Option<SharedLink>,
    /// The person whose name appears beside annotations.
    annotator: Option<AnnotatorRequest>,
}

/// A person outside Box whose name appears beside annotations.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnnotatorRequest {
    /// The caller's own id for that person.
    id: String,
    /// The name to show.
    name: String,
}

/// A token.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TokenResponse<'a> {
    /// The token for Box's API.
    access_token: &'a str,
    /// `bearer`.
    token_type: &'static str,
    /// Its remaining life in seconds.
    expires_in: u64,
    /// The time at which it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The time at which to ask again.
    #[schema(value_type = String, format = DateTime)]
    refresh_at: Timestamp,
    /// The subject that it acts for.
    #[schema(value_type = SubjectSchema)]
    subject: &'a Subject,
    /// The restrictions that Box reported; for downscoped tokens only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    restricted_to: Option<Vec<RestrictedToResponse<'a>>>,
}

/// One scope of a downscoped token, on one object.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RestrictedToResponse<'a> {
    /// The scope.
    scope: &'a str,
    /// The file or folder; `null` if the token is restricted by scope only.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<RestrictedObjectResponse<'a>>,
}

/// A file or folder in Box.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RestrictedObjectResponse<'a> {
    /// `file` or `folder`.
    #[serde(rename = "type")]
    kind: &'a str,
    /// Box's id of it.
    id: &'a str,
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/token", tag = "tokens", operation_id = "mint_token",
    request_body(content = Option<FullTokenRequest>),
    responses((status = 200, description = "The token", body = TokenResponse)),
)]
/// Get a full token.
async fn token(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    body: Option<Json<FullTokenRequest>>,
) -> Result<Response, ApiError> {
    let FullTokenRequest { subject, min_ttl, rejected, on_behalf_of } =
        body.map(|Json(body)| body).unwrap_or_default();
    let wanted = TokenRequest {
        subject: subject.unwrap_or(Subject::ENTERPRISE),
        restriction: None,
        min_ttl: promise(min_ttl)?,
        rejected,
        on_behalf_of,
    };
    release(&api, &caller, &tenant, &wanted).await
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/token/downscoped", tag = "tokens", operation_id = "downscope_token",
    request_body(content = DownscopedRequest),
    responses((status = 200, description = "The token", body = TokenResponse)),
)]
/// Get a downscoped token.
async fn downscoped(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    Json(body): Json<DownscopedRequest>,
) -> Result<Response, ApiError> {
    let (min_ttl, rejected) = (promise(body.min_ttl)?, body.rejected.clone());
    let on_behalf_of = body.on_behalf_of.clone();
    let (subject, restriction) = restriction(body)?;
    let wanted = TokenRequest { subject, restriction: Some(restriction), min_ttl, rejected, on_behalf_of };
    release(&api, &caller, &tenant, &wanted).await
}

/// The tokens to revoke: one, or all of a subject.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeRequest {
    /// The token. With a full token, the tokens downscoped from it end too.
    #[schema(value_type = Option<String>, write_only)]
    access_token: Option<SecretString>,
    /// The subject whose tokens to revoke; instead of `access_token`.
    #[schema(value_type = Option<SubjectSchema>)]
    subject: Option<Subject>,
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/token/revoke", tag = "tokens", operation_id = "revoke_token",
    request_body(content = RevokeRequest),
    responses((status = 204, description = "They are dead at Box")),
)]
/// Revoke tokens at Box, for everybody who has them.
async fn revoke(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    Json(body): Json<RevokeRequest>,
) -> Result<StatusCode, ApiError> {
    let caller = caller.now(&api).await?;
    let what = match (body.access_token, body.subject) {
        (Some(token), None) => RevocationTarget::Token(token),
        (None, Some(subject)) => RevocationTarget::Subject(subject),
        _ => return Err(ApiError::invalid("/access_token", "Send either `access_token` or `subject`.")),
    };
    api.broker.revoke(&caller.context, &tenant, &what).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn release(
    api: &Api,
    caller: &AuthenticatedRequest,
    tenant: &TenantRef,
    wanted: &TokenRequest,
) -> Result<Response, ApiError> {
    // A trial, a look and a mint one after the other wait no longer than one of them.
    let given = tokio::time::timeout(BOX_WAIT_LIMIT, current(api, caller, tenant, wanted))
        .await
        .unwrap_or_else(|_| Err(TokenError::timed_out().into()))
        .inspect_err(|_| caller.log.set_token_request(wanted))?;
    count(api, caller, wanted.on_behalf_of.as_ref(), &given);
    Ok(token_response(&respond(&given.token, &wanted.subject, api), &given.token))
}

fn respond<'a>(token: &'a Arc<AccessToken>, subject: &'a Subject, api: &Api) -> TokenResponse<'a> {
    let TokenTimes { left, expires_at, refresh_at } = times(token, api);
    TokenResponse {
        access_token: token.secret.expose(),
        token_type: "bearer",
        expires_in: left.as_secs(),
        expires_at: whole_seconds(expires_at),
        refresh_at: whole_seconds(refresh_at),
        subject,
        restricted_to: restricted_to(token),
    }
}

/// Returns the restrictions that Box reported; `None` for a full token.
pub(crate) fn restricted_to(token: &AccessToken) -> Option<Vec<RestrictedToResponse<'_>>> {
    let told = token.restricted_to.as_ref()?.iter().map(|entry| RestrictedToResponse {
        scope: entry.scope.as_str(),
        object: entry
            .object
            .as_ref()
            .map(|object| RestrictedObjectResponse { kind: &object.kind, id: &object.id }),
    });
    Some(told.collect())
}

pub(crate) fn promise(min_ttl: Option<u64>) -> Result<Option<Duration>, ApiError> {
    match min_ttl {
        Some(seconds) if seconds > LONGEST_MIN_TTL => {
            let detail = format!("At most {LONGEST_MIN_TTL} s can be promised.");
            Err(ApiError::invalid("/min_ttl", detail))
        }
        seconds => Ok(seconds.map(Duration::from_secs)),
    }
}

pub(crate) fn restriction(body: DownscopedRequest) -> Result<(Subject, Restriction), ApiError> {
    let mut faults = Vec::new();
    let scopes = match (body.scopes, body.preset) {
        (Some(scopes), None) if (1..=SCOPES).contains(&scopes.len()) => scopes,
        (Some(_), None) => {
            faults.push(FieldError::at("/scopes", format!("Name 1 to {SCOPES} scopes.")));
            ScopeSet::default()
        }
        (None, Some(preset)) => preset.scopes(),
        (Some(_), Some(_)) | (None, None) => {
            faults.push(FieldError::at("/scopes", "A downscoped token needs either `scopes` or a `preset`."));
            ScopeSet::default()
        }
    };
    let target = match (body.resource, body.shared_link) {
        (None, None) => RestrictionTarget::Anything,
        (Some(resource), None) => RestrictionTarget::Resource(resource),
        (None, Some(link)) => RestrictionTarget::SharedLink(link),
        (Some(_), Some(_)) => {
            faults
                .push(FieldError::at("/shared_link", "Box takes a `resource` or a `shared_link`, not both."));
            RestrictionTarget::Anything
        }
    };
    let annotator = match body.annotator.map(|annotator| Annotator::new(&annotator.id, &annotator.name)) {
        None => None,
        Some(Ok(annotator)) => Some(annotator),
        Some(Err(error)) => {
            faults.push(FieldError::at("/annotator", error.to_string()));
            None
        }
    };
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    Ok((body.subject.unwrap_or(Subject::ENTERPRISE), Restriction { scopes, target, annotator }))
}
