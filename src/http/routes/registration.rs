//! `POST /v1/tenants`: a customer's registration.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

use crate::domain::app::AuthMethod;
use crate::domain::box_config::ConfigFile;
use crate::domain::id::{BoxId, Name};
use crate::domain::policy::{Policy, PolicyMode};
use crate::domain::rate_limit::RateLimit;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::AuthenticatedRequest;
use crate::http::extract::body::Json;
use crate::http::routes::credentials::KeypairResponse;
use crate::http::routes::tenants::{TenantResponse, etag};
use crate::http::run_detached::run_detached;
use crate::registry::diagnosis::CheckResult;
use crate::registry::{
    AppSource, CredentialFields, CredentialInput, FieldError, RegistrationOutcome, TenantRegistrar,
    TenantRegistration,
};

/// A tenant to be registered, by one of `config`, `credentials`, and `app` with `enterprise_id`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterRequest {
    /// The tenant's name: lower-case letters, digits and single hyphens, at most 63.
    #[schema(value_type = String, example = "acme")]
    tenant: Name,
    /// The name people read.
    display_name: Option<String>,
    /// Labels, by which grants and lists select.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// What tokens may leave.
    #[serde(default)]
    #[schema(value_type = Option<PolicySchema>)]
    policy: Option<Policy>,
    /// Box's config JSON as the developer console gave it for download.
    #[schema(value_type = Option<Object>)]
    config: Option<Box<ConfigFile>>,
    /// The method that `config` is for; `jwt`, where left out.
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

/// What tokens may leave, whatever anyone's grants.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Policy)]
pub(crate) struct PolicySchema {
    /// For which subjects: `enterprise`, `user:*` or `user:` and an id.
    #[schema(required = false, example = json!(["enterprise", "user:*"]))]
    subjects: Vec<String>,
    /// Within which scopes; where set, no full token leaves.
    #[schema(required = false)]
    scopes: Option<Vec<String>>,
    /// Whether full tokens may leave.
    #[schema(required = false, default = true)]
    full_tokens: bool,
    /// Whose pages may have browser sessions: origins as browsers send them, each once.
    #[schema(required = false, max_items = 100, example = json!(["https://app.example.com"]))]
    browser_origins: Vec<String>,
    /// How many seconds a browser session lives at most.
    #[schema(required = false, minimum = 60, maximum = 86400, default = 28800)]
    max_session_ttl: u64,
    /// Whether whoever asks for a token has to say for whom (`on_behalf_of`).
    #[schema(required = false, default = false)]
    require_on_behalf_of: bool,
    /// `observe`: what `subjects`, `scopes`, `full_tokens` and `require_on_behalf_of` would refuse
    /// leaves, and the record names the rule.
    #[schema(required = false, default = "enforce")]
    mode: PolicyMode,
    /// How often the tenant may be asked about; what the settings say, where left out.
    #[schema(required = false)]
    rate_limit: Option<RateLimit>,
}

/// Credentials, field by field.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Credentials)]
pub(crate) struct CredentialsSchema {
    /// The app's client ID.
    client_id: String,
    /// Its client secret.
    #[schema(write_only)]
    client_secret: String,
    /// The customer's enterprise.
    enterprise_id: Option<String>,
    /// The app's authentication method.
    auth: AuthMethod,
    /// The id Box gave to the public key; with `jwt`.
    public_key_id: Option<String>,
    /// The private key in PEM; with `jwt`.
    #[schema(write_only)]
    private_key: Option<String>,
    /// Its passphrase, where it has one.
    #[schema(write_only)]
    passphrase: Option<String>,
    /// With `jwt`, instead of a key: the broker makes one, and the tenant is pending until it is
    /// activated. Only for a new tenant.
    #[schema(required = false, default = false)]
    generate_key: bool,
}

/// The material of a registration, where exactly one form of it is there.
pub(crate) fn material(
    config: Option<Box<ConfigFile>>,
    auth: Option<AuthMethod>,
    credentials: Option<Box<CredentialFields>>,
) -> Result<Option<CredentialInput>, ApiError> {
    match (config, credentials) {
        (Some(file), None) => {
            Ok(Some(CredentialInput::Config { file, auth: auth.unwrap_or(AuthMethod::Jwt) }))
        }
        (None, Some(_)) if auth.is_some() => {
            Err(ApiError::invalid("/auth", "With `credentials`, `auth` stands inside them."))
        }
        (None, Some(fields)) => Ok(Some(CredentialInput::Fields(fields))),
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(ApiError::invalid("/credentials", "Send `config` or `credentials`, not both."))
        }
    }
}

impl RegisterRequest {
    pub(crate) fn into_registration(self, verify_later: bool) -> Result<TenantRegistration, ApiError> {
        let auth_alone = self.auth.is_some() && self.config.is_none() && self.credentials.is_none();
        let source = match (material(self.config, self.auth, self.credentials)?, self.app, self.enterprise_id)
        {
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

/// A tenant, with what was found when it was registered.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RegisteredResponse<'a> {
    /// The tenant.
    #[serde(flatten)]
    tenant: TenantResponse<'a>,
    /// What works between the tenant and Box.
    diagnosis: &'a [CheckResult],
    /// Fields of the config that have no use here.
    warnings: Vec<WarningResponse<'a>>,
    /// The keypair that was made for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    keypair: Option<KeypairResponse<'a>>,
}

impl<'a> RegisteredResponse<'a> {
    pub(crate) fn of(api: &Api, registered: &'a RegistrationOutcome) -> Self {
        let view = registered.view.as_ref();
        Self {
            tenant: TenantResponse::of(api, view),
            diagnosis: &registered.diagnosis,
            warnings: warnings(&registered.warnings),
            keypair: registered.keypair.as_ref().map(|keypair| {
                let path = format!("/v1/tenants/{}/keypairs", view.tenant.name);
                KeypairResponse::of(&view.app, keypair, &path)
            }),
        }
    }
}

/// Something that was not used.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WarningResponse<'a> {
    /// Where it stands in the request (RFC 6901).
    pointer: &'a str,
    /// What about it.
    detail: &'a str,
}

pub(crate) fn warnings(faults: &[FieldError]) -> Vec<WarningResponse<'_>> {
    faults.iter().map(|fault| WarningResponse { pointer: &fault.pointer, detail: &fault.detail }).collect()
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RegisterQuery {
    /// Do all but store it.
    #[param(value_type = Option<bool>)]
    dry_run: Option<QueryFlag>,
    /// `later` stores it untested, as pending: it comes into service by itself once Box gives a token.
    #[param(value_type = Option<String>)]
    verify: Option<VerifyMode>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum VerifyMode {
    Later,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueryFlag {
    True,
    False,
}

#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants", operation_id = "register_tenant",
    params(RegisterQuery),
    request_body(content = RegisterRequest),
    responses(
        (status = 201, description = "Registered; with a `keypair` where the broker made one", body = RegisteredResponse), (status = 200, description = "Registered already with the same credentials, or a dry run", body = RegisteredResponse),
    ),
)]
/// Register a tenant.
pub(crate) async fn register(
    State(api): State<Api>,
    caller: AuthenticatedRequest<RegisterQuery>,
    Json(body): Json<RegisterRequest>,
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

pub(crate) fn respond_registered(api: &Api, registered: &RegistrationOutcome) -> Response {
    let body = RegisteredResponse::of(api, registered);
    // It may tell a public key, and what was tried with a private one.
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (etag(registered.view.tenant.version), headers, axum::Json(body)).into_response()
}
