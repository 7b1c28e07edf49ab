//! `POST /v1/tenants`: a customer's registration.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::domain::app::AuthMethod;
use crate::domain::box_config::ConfigFile;
use crate::domain::id::{BoxId, Name};
use crate::domain::policy::Policy;
use crate::http::Api;
use crate::http::credential_input::credential_input;
use crate::http::error::ApiError;
use crate::http::extract::AuthenticatedRequest;
use crate::http::extract::QueryFlag;
use crate::http::extract::body::Json;
use crate::http::routes::tenant_response::{RegisteredResponse, respond_registered};
use crate::http::run_detached::run_detached;
use crate::http::schema::credentials::CredentialsSchema;
use crate::http::schema::policy::PolicySchema;
use crate::registry::{AppSource, CredentialFields, TenantRegistrar, TenantRegistration};

/// The tenant to register, by one of `config`, `credentials`, or `app` with `enterprise_id`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterTenantRequest {
    /// The tenant's name: lower-case letters, digits and single hyphens, at most 63.
    #[schema(value_type = String, example = "acme")]
    tenant: Name,
    /// The name shown to people.
    display_name: Option<String>,
    /// Labels, by which grants and lists select.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// The policy for its tokens.
    #[serde(default)]
    #[schema(value_type = Option<PolicySchema>)]
    policy: Option<Policy>,
    /// Box's config JSON, as downloaded from the developer console.
    #[schema(value_type = Option<Object>)]
    config: Option<Box<ConfigFile>>,
    /// The authentication method of `config`; `jwt` if omitted.
    auth: Option<AuthMethod>,
    /// The credentials, field by field.
    #[schema(value_type = Option<CredentialsSchema>)]
    credentials: Option<Box<CredentialFields>>,
    /// A shared app's name.
    #[schema(value_type = Option<String>)]
    app: Option<Name>,
    /// With `app`: the customer's enterprise.
    #[schema(value_type = Option<String>)]
    enterprise_id: Option<BoxId>,
}

impl RegisterTenantRequest {
    pub(crate) fn into_registration(self, verify_later: bool) -> Result<TenantRegistration, ApiError> {
        let auth_alone = self.auth.is_some() && self.config.is_none() && self.credentials.is_none();
        let source = match (
            credential_input(self.config, self.auth, self.credentials)?,
            self.app,
            self.enterprise_id,
        ) {
            (Some(material), None, None) => AppSource::Own(material),
            (None, Some(_), _) if auth_alone => {
                return Err(ApiError::invalid("/auth", "A shared app has its own `auth`."));
            }
            (None, Some(app), Some(enterprise_id)) => AppSource::Shared { app, enterprise_id },
            (None, Some(_), None) => {
                return Err(ApiError::invalid(
                    "/enterprise_id",
                    "With `app`, the customer's `enterprise_id` is needed.",
                ));
            }
            (Some(_), Some(_), _) => {
                return Err(ApiError::invalid(
                    "/app",
                    "Send `config`, `credentials` or `app`, only one of them.",
                ));
            }
            (Some(_), None, Some(_)) => {
                let detail = "Here the enterprise stands inside `config` or `credentials`.";
                return Err(ApiError::invalid("/enterprise_id", detail));
            }
            (None, None, _) => {
                let detail =
                    "Send the tenant's credentials: `config`, `credentials`, or `app` with `enterprise_id`.";
                return Err(ApiError::invalid("/config", detail));
            }
        };
        Ok(TenantRegistration {
            name: self.tenant,
            display_name: self.display_name,
            labels: self.labels,
            policy: self.policy.unwrap_or_default(),
            source,
            verify_later,
        })
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RegisterQuery {
    /// Test everything, and store nothing.
    #[param(value_type = Option<bool>)]
    dry_run: Option<QueryFlag>,
    /// `later` stores it untested, as pending. It becomes active once Box issues a token.
    #[param(value_type = Option<String>)]
    verify: Option<VerifyMode>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerifyMode {
    Later,
}

#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants", operation_id = "register_tenant",
    params(RegisterQuery),
    request_body(content = RegisterTenantRequest),
    responses(
        (status = 201, description = "Registered; with a `keypair` if the broker made one", body = RegisteredResponse), (status = 200, description = "Registered already with the same credentials, or a dry run", body = RegisteredResponse),
    ),
)]
/// Register a tenant.
pub(crate) async fn register(
    State(api): State<Api>,
    caller: AuthenticatedRequest<RegisterQuery>,
    Json(body): Json<RegisterTenantRequest>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    TenantRegistrar::require_permission(&caller.context)?;
    let dry_run = matches!(caller.query.dry_run, Some(QueryFlag::True));
    let registration = body.into_registration(caller.query.verify.is_some())?;
    let (tasks, state) = (api.tasks.clone(), api.clone());
    let registered = run_detached(tasks, async move {
        api.registry.registrar.register(&caller.context, registration, dry_run).await
    })
    .await?;
    let status = if registered.created && !dry_run { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, respond_registered(&state, &registered)).into_response())
}
