//! A tenant as responses show it.

use std::collections::BTreeMap;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use crate::broker::TenantContext;
use crate::domain::app::{AuthMethod, SigningKeyInfo};
use crate::domain::policy::Policy;
use crate::domain::tenant::{ServiceAccount, TenantState};
use crate::http::api::Api;
use crate::http::responses::{WarningResponse, etag, warnings};
use crate::http::routes::keypair_response::KeypairResponse;
use crate::http::schema::policy::PolicySchema;
use crate::registry::diagnosis::CheckResult;
use crate::registry::{HealthView, RegistrationOutcome};

/// The app that serves a tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TenantApp<'a> {
    /// The app's id.
    #[schema(value_type = String)]
    id: &'a str,
    /// Box's id of the app.
    client_id: &'a str,
    /// JWT or CCG.
    auth: AuthMethod,
    /// True for a vendor's app that serves several tenants.
    shared: bool,
}

/// A tenant.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantResponse<'a> {
    /// The immutable id.
    id: &'a str,
    /// The name.
    tenant: &'a str,
    /// The name shown to people.
    display_name: &'a str,
    /// Labels, by which grants and lists select.
    labels: &'a BTreeMap<String, String>,
    /// The state.
    state: TenantState,
    /// The app that serves it.
    app: TenantApp<'a>,
    /// The customer's enterprise.
    enterprise_id: &'a str,
    /// The signing key's public face; none under CCG.
    key: Option<&'a SigningKeyInfo>,
    /// The generation of the credentials in use.
    generation: i64,
    /// The app's user in the enterprise, which the customer invites to folders.
    service_account: Option<&'a ServiceAccount>,
    /// The tenant's health as this process knows it.
    health: HealthView,
    /// The policy for its tokens.
    #[schema(value_type = PolicySchema)]
    policy: &'a Policy,
    /// The time at which it was registered.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time of the last change.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// The time at which it is erased; for deleted tenants only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    purge_at: Option<Timestamp>,
}

impl<'a> TenantResponse<'a> {
    pub(crate) fn of(api: &Api, view: &'a TenantContext) -> Self {
        let TenantContext { tenant, app } = view;
        Self {
            id: tenant.id.as_str(),
            tenant: tenant.name.as_str(),
            display_name: &tenant.display_name,
            labels: &tenant.labels,
            state: tenant.state,
            app: TenantApp {
                id: app.id.as_str(),
                client_id: app.client_id.as_str(),
                auth: app.auth,
                shared: app.is_shared(),
            },
            enterprise_id: tenant.enterprise_id.as_str(),
            key: app.key.as_ref(),
            generation: view.generation().0,
            service_account: tenant.service_account.as_ref(),
            health: api.registry.tenants.health(view),
            policy: &tenant.policy,
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
            purge_at: tenant.purge_at,
        }
    }
}

/// A tenant, with the diagnosis of its registration.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct RegisteredResponse<'a> {
    /// The tenant.
    #[serde(flatten)]
    tenant: TenantResponse<'a>,
    /// The checks between the tenant and Box.
    diagnosis: &'a [CheckResult],
    /// Fields of the config that the broker does not use.
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

pub(crate) fn respond(api: &Api, view: &TenantContext) -> Response {
    (etag(view.tenant.version), axum::Json(TenantResponse::of(api, view))).into_response()
}

pub(crate) fn respond_registered(api: &Api, registered: &RegistrationOutcome) -> Response {
    let body = RegisteredResponse::of(api, registered);
    // It may tell a public key, and what was tried with a private one.
    let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (etag(registered.view.tenant.version), headers, axum::Json(body)).into_response()
}
