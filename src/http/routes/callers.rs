//! `/v1/callers…`: who may call.

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use crate::domain::audit_event::AuditAction;
use crate::domain::caller::{CallerKind, CallerState};
use crate::domain::grant::Permission;
use crate::domain::id::{KeyId, Name};
use crate::domain::rate_limit::RateLimit;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::body::{Json, MergePatch};
use crate::http::extract::{
    AuthenticatedRequest as Calling, IfMatch, PageQuery, PathParams, cursor, page, time,
};
use crate::http::responses::{ListResponse, etag};
use crate::http::route::Route;
use crate::http::routes::trusts::TrustResponse;
use crate::registry::callers::grants::GrantSpec;
use crate::registry::callers::{CallerPatch, CallerSpec, CallerView};
use crate::store::CallerRef;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::CallersWrite, AuditAction::CallerCreate, routes!(create)),
        Route::admin(Permission::CallersWrite, AuditAction::CallerRead, routes!(list)),
        Route::admin(Permission::CallersWrite, AuditAction::CallerRead, routes!(read)),
        Route::admin(Permission::CallersWrite, AuditAction::CallerUpdate, routes!(patch)),
        Route::admin(Permission::CallersWrite, AuditAction::CallerDelete, routes!(delete)),
        Route::admin(Permission::CallersWrite, AuditAction::KeyCreate, routes!(create_key)),
        Route::admin(Permission::CallersWrite, AuditAction::KeyRevoke, routes!(revoke_key)),
    ]
}

/// The caller to create.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateCallerRequest {
    /// The caller's name: lower-case letters, digits and single hyphens, at most 63.
    #[schema(value_type = String, example = "invoice-service")]
    name: Name,
    /// A service that needs tokens, or an admin.
    kind: CallerKind,
    /// Its grants; each is judged alone.
    grants: Vec<GrantSpec>,
    /// Its rate limit; the settings' limit if omitted.
    rate_limit: Option<RateLimit>,
}

/// A caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Caller)]
pub(crate) struct CallerResponse<'a> {
    /// The immutable id.
    id: &'a str,
    /// The name.
    name: &'a str,
    /// Service or admin.
    kind: CallerKind,
    /// `active`, or `locked`.
    state: CallerState,
    /// Its grants.
    grants: &'a [GrantSpec],
    /// Its keys, without their secrets.
    keys: Vec<KeyResponse<'a>>,
    /// Its rate limit; `null` if the settings' limit applies.
    rate_limit: Option<RateLimit>,
    /// Its trusts in OIDC issuers, without those that the settings add.
    trusts: Vec<TrustResponse<'a>>,
    /// The time at which it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// An API key, without its secret.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct KeyResponse<'a> {
    /// The key's id.
    id: &'a str,
    /// The time at which it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time at which it expires.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The time of the last use, accurate to a minute.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_used_at: Option<Timestamp>,
}

fn response(CallerView { caller, grants, uses }: &CallerView) -> CallerResponse<'_> {
    let keys = caller.keys.iter().map(|key| KeyResponse {
        id: key.id.as_str(),
        created_at: key.created_at,
        expires_at: key.expires_at,
        last_used_at: uses.get(&key.id).copied(),
    });
    CallerResponse {
        id: caller.id.as_str(),
        name: caller.name.as_str(),
        kind: caller.kind,
        state: caller.state,
        grants,
        keys: keys.collect(),
        rate_limit: caller.rate_limit,
        trusts: caller.trusts.iter().map(TrustResponse::from).collect(),
        created_at: caller.created_at,
    }
}

/// The key to create.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateKeyRequest {
    /// The time at which it expires; never if omitted.
    #[serde(default, deserialize_with = "time")]
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

/// A new key.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct NewKeyResponse<'a> {
    /// The key's id.
    id: &'a str,
    /// The key. It is shown once.
    key: &'a str,
    /// The time at which it expires.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
}

#[utoipa::path(
    post, path = "/v1/callers", tag = "callers", operation_id = "create_caller",
    request_body(content = CreateCallerRequest),
    responses((status = 201, description = "The caller", body = CallerResponse)),
)]
/// Create a caller, without a key.
async fn create(
    State(api): State<Api>,
    calling: Calling,
    Json(body): Json<CreateCallerRequest>,
) -> Result<Response, ApiError> {
    let calling = calling.now(&api).await?;
    let CreateCallerRequest { name, kind, grants, rate_limit } = body;
    let new = CallerSpec { name, kind, grants, rate_limit };
    let view = api.registry.callers.create(&calling.context, new).await?;
    Ok((StatusCode::CREATED, respond(&view)).into_response())
}

#[utoipa::path(
    get, path = "/v1/callers", tag = "callers", operation_id = "list_callers",
    params(PageQuery),
    responses((status = 200, description = "A page of the list", body = ListResponse<CallerResponse>)),
)]
/// List the callers that the calling admin may manage.
async fn list(State(api): State<Api>, calling: Calling<PageQuery>) -> Result<Response, ApiError> {
    let page = page(calling.query.limit.as_deref(), calling.query.cursor.as_deref())?;
    let listing = api.registry.callers.list(&calling.context, page).await?;
    let items = listing.items.iter().map(response).collect();
    let body = ListResponse { items, next_cursor: listing.next.as_ref().map(cursor) };
    Ok(axum::Json(body).into_response())
}

#[utoipa::path(
    get, path = "/v1/callers/{caller}", tag = "callers", operation_id = "read_caller",
    responses((status = 200, description = "The caller", body = CallerResponse)),
)]
/// Read a caller.
async fn read(
    State(api): State<Api>,
    calling: Calling,
    PathParams(caller): PathParams<CallerRef>,
) -> Result<Response, ApiError> {
    Ok(respond(&api.registry.callers.get(&calling.context, &caller).await?))
}

#[utoipa::path(
    patch, path = "/v1/callers/{caller}", tag = "callers", operation_id = "patch_caller",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that it must still have")),
    request_body(content = CallerPatch, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The caller after the change", body = CallerResponse)),
)]
/// Change another caller's name, grants or rate limit, or lift its lock (needs `lockdown`).
async fn patch(
    State(api): State<Api>,
    calling: Calling,
    PathParams(caller): PathParams<CallerRef>,
    IfMatch(expected): IfMatch,
    MergePatch(patch): MergePatch<CallerPatch>,
) -> Result<Response, ApiError> {
    let calling = calling.now(&api).await?;
    Ok(respond(&api.registry.callers.patch(&calling.context, &caller, &patch, expected).await?))
}

#[utoipa::path(
    delete, path = "/v1/callers/{caller}", tag = "callers", operation_id = "delete_caller",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that it must still have")),
    responses((status = 204, description = "It is erased")),
)]
/// Erase a caller and its keys.
async fn delete(
    State(api): State<Api>,
    calling: Calling,
    PathParams(caller): PathParams<CallerRef>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    api.registry.callers.delete(&calling.context, &caller, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post, path = "/v1/callers/{caller}/keys", tag = "callers",
    request_body(content = Option<CreateKeyRequest>),
    responses((status = 201, description = "The key; it is shown once", body = NewKeyResponse)),
)]
/// Create an API key; it is shown once.
async fn create_key(
    State(api): State<Api>,
    calling: Calling,
    PathParams(caller): PathParams<CallerRef>,
    body: Option<Json<CreateKeyRequest>>,
) -> Result<Response, ApiError> {
    let calling = calling.now(&api).await?;
    let CreateKeyRequest { expires_at } = body.map(|Json(body)| body).unwrap_or_default();
    let new = api.registry.callers.create_key(&calling.context, &caller, expires_at).await?;
    let body = NewKeyResponse { id: new.id.as_str(), key: new.key.expose(), expires_at: new.expires_at };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, axum::Json(body)).into_response())
}

#[utoipa::path(
    delete, path = "/v1/callers/{caller}/keys/{key}", tag = "callers",
    responses((status = 204, description = "It does not authenticate any more")),
)]
/// Revoke an API key.
async fn revoke_key(
    State(api): State<Api>,
    calling: Calling,
    PathParams(caller): PathParams<CallerRef>,
    PathParams(key): PathParams<KeyId>,
) -> Result<StatusCode, ApiError> {
    api.registry.callers.revoke_key(&calling.context, &caller, &key).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn respond(view: &CallerView) -> Response {
    (etag(view.caller.version), axum::Json(response(view))).into_response()
}
