//! `/v1/apps…`: a vendor's apps that serve many tenants.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use crate::domain::app::{AppState, AuthMethod, SigningKeyInfo};
use crate::domain::audit_event::AuditAction;
use crate::domain::box_config::ConfigFile;
use crate::domain::grant::Permission;
use crate::domain::id::{BoxId, Name};
use crate::http::Api;
use crate::http::credential_input::credential_input;
use crate::http::error::ApiError;
use crate::http::extract::body::{Json, MergePatch};
use crate::http::extract::{AuthenticatedRequest, IfMatch, PageQuery, PathParams, cursor, page};
use crate::http::responses::{ListResponse, WarningResponse, etag, warnings};
use crate::http::route::Route;
use crate::http::run_detached::run_detached;
use crate::http::schema::credentials::CredentialsSchema;
use crate::http::schema::patches::AppPatchSchema;
use crate::registry::diagnosis::CheckResult;
use crate::registry::{
    AppPatch, AppRegistration, AppRegistrationOutcome, AppView, Apps, CredentialFields, shared_app_name,
};
use crate::store::AppRef;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::AppsWrite, AuditAction::AppCreate, routes!(register)),
        Route::admin(Permission::AppsUse, AuditAction::AppRead, routes!(list)),
        Route::admin(Permission::AppsUse, AuditAction::AppRead, routes!(read)),
        Route::admin(Permission::AppsWrite, AuditAction::AppUpdate, routes!(patch)),
        Route::admin(Permission::AppsWrite, AuditAction::AppDelete, routes!(delete)),
    ]
}

/// The shared app to register, by `config` or `credentials`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterAppRequest {
    /// The app's name: lower-case letters, digits and single hyphens, at most 63.
    #[schema(value_type = String, example = "vendor-app")]
    app: Name,
    /// Box's config JSON, as downloaded from the developer console.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Box<ConfigFile>>,
    /// The authentication method of `config`; `jwt` if omitted.
    pub auth: Option<AuthMethod>,
    /// The credentials, field by field.
    #[schema(value_type = Option<CredentialsSchema>)]
    pub credentials: Option<Box<CredentialFields>>,
    /// An enterprise that authorised the app, to test it with.
    #[schema(value_type = Option<String>)]
    enterprise_id: Option<BoxId>,
}

/// A shared app.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = App)]
pub(crate) struct AppResponse<'a> {
    /// The immutable id.
    id: &'a str,
    /// The name.
    app: &'a str,
    /// Box's id of the app.
    client_id: &'a str,
    /// JWT or CCG.
    auth: AuthMethod,
    /// The signing key's public face; none under CCG.
    key: Option<&'a SigningKeyInfo>,
    /// The generation of the credentials in use.
    generation: i64,
    /// Always true.
    shared: bool,
    /// The state.
    state: AppState,
    /// The number of tenants that it serves.
    tenants: u64,
}

impl<'a> From<&'a AppView> for AppResponse<'a> {
    fn from(AppView { app, tenants }: &'a AppView) -> Self {
        Self {
            id: app.id.as_str(),
            app: shared_app_name(app).map_or("", Name::as_str),
            client_id: app.client_id.as_str(),
            auth: app.auth,
            key: app.key.as_ref(),
            generation: app.generation.0,
            shared: app.is_shared(),
            state: app.state,
            tenants: *tenants,
        }
    }
}

/// A shared app, with the diagnosis of its registration.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RegisteredAppResponse<'a> {
    /// The app.
    #[serde(flatten)]
    app: AppResponse<'a>,
    /// The checks of the app at Box.
    diagnosis: &'a [CheckResult],
    /// Fields of the config that the broker does not use.
    warnings: Vec<WarningResponse<'a>>,
}

#[utoipa::path(
    post, path = "/v1/apps", tag = "apps", operation_id = "register_app",
    request_body(content = RegisterAppRequest),
    responses(
        (status = 201, description = "Registered", body = RegisteredAppResponse), (status = 200, description = "Registered already with the same credentials", body = RegisteredAppResponse),
    ),
)]
/// Register a shared app.
async fn register(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    Json(body): Json<RegisterAppRequest>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    Apps::require_registration_permission(&caller.context)?;
    let material = credential_input(body.config, body.auth, body.credentials)?.ok_or_else(|| {
        ApiError::invalid("/config", "Send the app's credentials: `config` or `credentials`.")
    })?;
    let registration =
        AppRegistration { name: body.app, credentials: material, enterprise_id: body.enterprise_id };
    let registered = run_detached(api.tasks.clone(), async move {
        api.registry.apps.register(&caller.context, registration).await
    })
    .await?;
    let status = if registered.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, respond_registered(&registered)).into_response())
}

#[utoipa::path(
    get, path = "/v1/apps", tag = "apps", operation_id = "list_apps",
    params(PageQuery),
    responses((status = 200, description = "A page of the list", body = ListResponse<AppResponse>)),
)]
/// List shared apps.
async fn list(State(api): State<Api>, caller: AuthenticatedRequest<PageQuery>) -> Result<Response, ApiError> {
    let page = page(caller.query.limit.as_deref(), caller.query.cursor.as_deref())?;
    let listing = api.registry.apps.list(&caller.context, page).await?;
    let items = listing.items.iter().map(AppResponse::from).collect();
    let body = ListResponse { items, next_cursor: listing.next.as_ref().map(cursor) };
    Ok(axum::Json(body).into_response())
}

#[utoipa::path(
    get, path = "/v1/apps/{app}", tag = "apps", operation_id = "read_app",
    responses((status = 200, description = "The app", body = AppResponse)),
)]
/// Read a shared app.
async fn read(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(app): PathParams<AppRef>,
) -> Result<Response, ApiError> {
    Ok(respond(&api.registry.apps.get(&caller.context, &app).await?))
}

#[utoipa::path(
    patch, path = "/v1/apps/{app}", tag = "apps", operation_id = "patch_app",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that it must still have")),
    request_body(content = AppPatchSchema, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The app after the change", body = AppResponse)),
)]
/// Take a shared app in or out of service.
async fn patch(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(app): PathParams<AppRef>,
    IfMatch(expected): IfMatch,
    MergePatch(patch): MergePatch<AppPatch>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    Ok(respond(&api.registry.apps.patch(&caller.context, &app, &patch, expected).await?))
}

#[utoipa::path(
    delete, path = "/v1/apps/{app}", tag = "apps", operation_id = "delete_app",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that it must still have")),
    responses((status = 204, description = "It is erased")),
)]
/// Erase a shared app that serves no tenant.
async fn delete(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(app): PathParams<AppRef>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    api.registry.apps.delete(&caller.context, &app, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) fn respond_registered(registered: &AppRegistrationOutcome) -> Response {
    let body = RegisteredAppResponse {
        app: AppResponse::from(&registered.app),
        diagnosis: &registered.diagnosis,
        warnings: warnings(&registered.warnings),
    };
    (etag(registered.app.app.version), axum::Json(body)).into_response()
}

fn respond(view: &AppView) -> Response {
    (etag(view.app.version), axum::Json(AppResponse::from(view))).into_response()
}
