//! `/v1/apps/{app}/credentials` and `…/keypairs`: a shared app's credentials that change.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa_axum::routes;

use crate::domain::app::AuthMethod;
use crate::domain::audit_event::AuditAction;
use crate::domain::box_config::ConfigFile;
use crate::domain::grant::Permission;
use crate::domain::id::{BoxId, KeypairId};
use crate::http::Api;
use crate::http::credential_input::credential_input;
use crate::http::error::ApiError;
use crate::http::extract::body::Json;
use crate::http::extract::{AuthenticatedRequest, PathParams};
use crate::http::route::Route;
use crate::http::routes::apps::{RegisteredAppResponse, respond_registered};
use crate::http::routes::keypair_response::KeypairResponse;
use crate::http::run_detached::run_detached;
use crate::http::schema::credentials::CredentialsSchema;
use crate::registry::CredentialFields;
use crate::store::AppRef;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::AppsWrite, AuditAction::AppCredentials, routes!(replace)),
        Route::admin(Permission::AppsWrite, AuditAction::KeypairCreate, routes!(make_keypair)),
        Route::admin(Permission::AppsWrite, AuditAction::AppCredentials, routes!(activate)),
    ]
}

/// New credentials, by one of `config` and `credentials`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceAppRequest {
    /// Box's config JSON, as downloaded from the developer console.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Box<ConfigFile>>,
    /// The authentication method of `config`; `jwt` if omitted.
    pub auth: Option<AuthMethod>,
    /// The credentials, field by field.
    #[schema(value_type = Option<CredentialsSchema>)]
    pub credentials: Option<Box<CredentialFields>>,
    /// An enterprise that authorised the app, to test it with; if omitted, one that it serves.
    #[schema(value_type = Option<String>)]
    enterprise_id: Option<BoxId>,
}

/// The ID under which Box knows the public key.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivateAppRequest {
    /// The ID that Box shows beside the key.
    #[schema(example = "7au1litv")]
    public_key_id: String,
    /// An enterprise that authorised the app, to test it with; if omitted, one that it serves.
    #[schema(value_type = Option<String>)]
    enterprise_id: Option<BoxId>,
}

#[utoipa::path(
    put, path = "/v1/apps/{app}/credentials", tag = "apps", operation_id = "replace_app_credentials",
    request_body(content = ReplaceAppRequest),
    responses((status = 200, description = "The app now; with the same generation if the credentials are the same", body = RegisteredAppResponse)),
)]
/// Replace a shared app's credentials, for all its tenants.
async fn replace(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(app): PathParams<AppRef>,
    Json(body): Json<ReplaceAppRequest>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    let material = credential_input(body.config, body.auth, body.credentials)?.ok_or_else(|| {
        ApiError::invalid("/config", "Send the new credentials: `config` or `credentials`.")
    })?;
    let replaced = run_detached(api.tasks.clone(), async move {
        let context = &caller.context;
        api.registry.credentials.replace_for_app(context, &app, material, body.enterprise_id).await
    })
    .await?;
    Ok(respond_registered(&replaced))
}

#[utoipa::path(
    post, path = "/v1/apps/{app}/keypairs", tag = "apps", operation_id = "make_app_keypair",
    responses((status = 201, description = "The public half, and the steps to take with it", body = KeypairResponse)),
)]
/// Create a keypair for a shared app; it is used once it is activated.
async fn make_keypair(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(app): PathParams<AppRef>,
) -> Result<Response, ApiError> {
    let (found, keypair) = api.registry.keypairs.create_for_app(&caller.context, &app).await?;
    let path = format!("/v1/apps/{}/keypairs", found.id);
    Ok(KeypairResponse::of(&found, &keypair, &path).created())
}

#[utoipa::path(
    post, path = "/v1/apps/{app}/keypairs/{keypair}/activate", tag = "apps", operation_id = "activate_app_keypair",
    request_body(content = ActivateAppRequest),
    responses((status = 200, description = "The app after the change", body = RegisteredAppResponse)),
)]
/// Switch a shared app to a keypair, if Box issues a token for it.
async fn activate(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(app): PathParams<AppRef>,
    PathParams(keypair): PathParams<KeypairId>,
    Json(body): Json<ActivateAppRequest>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    let activated = run_detached(api.tasks.clone(), async move {
        let context = &caller.context;
        let how = (body.public_key_id.as_str(), body.enterprise_id);
        api.registry.keypairs.activate_for_app(context, &app, &keypair, how).await
    })
    .await?;
    Ok(respond_registered(&activated))
}
