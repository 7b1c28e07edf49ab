//! `/v1/tenants/{tenant}/credentials`, `…/keypairs` and `…/flush`: credentials that change.

use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa_axum::routes;

use crate::domain::app::AuthMethod;
use crate::domain::audit_event::AuditAction;
use crate::domain::box_config::ConfigFile;
use crate::domain::grant::Permission;
use crate::domain::id::KeypairId;
use crate::http::Api;
use crate::http::credential_input::credential_input;
use crate::http::error::ApiError;
use crate::http::extract::QueryFlag;
use crate::http::extract::body::Json;
use crate::http::extract::{AuthenticatedRequest, PathParams};
use crate::http::route::Route;
use crate::http::routes::keypair_response::KeypairResponse;
use crate::http::routes::tenant_response::{RegisteredResponse, TenantResponse, respond, respond_registered};
use crate::http::run_detached::run_detached;
use crate::http::schema::credentials::CredentialsSchema;
use crate::registry::CredentialFields;
use crate::store::TenantRef;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::TenantsCredentials, AuditAction::TenantCredentials, routes!(replace)),
        Route::admin(Permission::TenantsCredentials, AuditAction::KeypairCreate, routes!(make_keypair)),
        Route::admin(Permission::TenantsCredentials, AuditAction::TenantCredentials, routes!(activate)),
        Route::admin(Permission::TenantsCredentials, AuditAction::TenantFlush, routes!(flush)),
    ]
}

/// New credentials, by one of `config` and `credentials`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplaceRequest {
    /// Box's config JSON, as downloaded from the developer console.
    #[schema(value_type = Option<Object>)]
    pub config: Option<Box<ConfigFile>>,
    /// The authentication method of `config`; `jwt` if omitted.
    pub auth: Option<AuthMethod>,
    /// The credentials, field by field.
    #[schema(value_type = Option<CredentialsSchema>)]
    pub credentials: Option<Box<CredentialFields>>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReplaceQuery {
    /// Revoke the tokens minted with the old credentials at Box.
    #[param(value_type = Option<bool>)]
    revoke_old: Option<QueryFlag>,
}

/// The ID under which Box knows the public key.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivateRequest {
    /// The ID that Box shows beside the key.
    #[schema(example = "7au1litv")]
    public_key_id: String,
}

#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/credentials", tag = "tenants", operation_id = "replace_credentials",
    params(ReplaceQuery),
    request_body(content = ReplaceRequest),
    responses((status = 200, description = "The tenant now; with the same generation if the credentials are the same", body = RegisteredResponse)),
)]
/// Replace a tenant's credentials, if Box issues a token for the new ones.
async fn replace(
    State(api): State<Api>,
    caller: AuthenticatedRequest<ReplaceQuery>,
    PathParams(tenant): PathParams<TenantRef>,
    Json(body): Json<ReplaceRequest>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    let material = credential_input(body.config, body.auth, body.credentials)?.ok_or_else(|| {
        ApiError::invalid("/config", "Send the new credentials: `config` or `credentials`.")
    })?;
    let revoke_old = matches!(caller.query.revoke_old, Some(QueryFlag::True));
    let state = api.clone();
    let replaced = run_detached(api.tasks.clone(), async move {
        api.registry.credentials.replace_for_tenant(&caller.context, &tenant, material, revoke_old).await
    })
    .await?;
    Ok(respond_registered(&state, &replaced))
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keypairs", tag = "tenants", operation_id = "make_keypair",
    responses((status = 201, description = "The public half, and the steps to take with it", body = KeypairResponse)),
)]
/// Create a keypair for a tenant's app; it is used once it is activated.
async fn make_keypair(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
) -> Result<Response, ApiError> {
    let (app, keypair) = api.registry.keypairs.create_for_tenant(&caller.context, &tenant).await?;
    let name = match &tenant {
        TenantRef::Id(id) => id.as_str(),
        TenantRef::Name(name) => name.as_str(),
    };
    Ok(KeypairResponse::of(&app, &keypair, &format!("/v1/tenants/{name}/keypairs")).created())
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keypairs/{keypair}/activate", tag = "tenants", operation_id = "activate_keypair",
    request_body(content = ActivateRequest),
    responses((status = 200, description = "The tenant after the change", body = RegisteredResponse)),
)]
/// Switch a tenant to a keypair, if Box issues a token for it.
async fn activate(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    PathParams(keypair): PathParams<KeypairId>,
    Json(body): Json<ActivateRequest>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    let state = api.clone();
    let activated = run_detached(api.tasks.clone(), async move {
        let context = &caller.context;
        api.registry.keypairs.activate_for_tenant(context, &tenant, &keypair, &body.public_key_id).await
    })
    .await?;
    Ok(respond_registered(&state, &activated))
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/flush", tag = "tenants", operation_id = "flush_tenant",
    responses((status = 200, description = "The tenant, with its new generation", body = TenantResponse)),
)]
/// Have every next request mint a new token, after access or scopes changed in Box.
async fn flush(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
) -> Result<Response, ApiError> {
    let view = api.registry.tenants.flush(&caller.context, &tenant).await?;
    Ok(respond(&api, &view))
}
