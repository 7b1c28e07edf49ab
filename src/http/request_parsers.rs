//! The parsers of all bodies, forms and queries by operation, so that fuzzers can run them without a broker.

use url::Url;

use crate::http::credential_input::credential_input;
use crate::http::error::ApiError;
use crate::http::extract::body::parse;
use crate::http::extract::form;
use crate::http::extract::{NoQuery, PageQuery, page, query};
use crate::http::oauth::{self, client};
use crate::http::oauth::{OAuthRevokeForm, OAuthTokenForm};
use crate::http::routes::app_credentials::{ActivateAppRequest, ReplaceAppRequest};
use crate::http::routes::apps::RegisterAppRequest;
use crate::http::routes::browser_sessions::CancelSessionsQuery;
use crate::http::routes::browser_tokens::BrowserRequest;
use crate::http::routes::callers::{CreateCallerRequest, CreateKeyRequest};
use crate::http::routes::credentials::{ActivateRequest, ReplaceQuery, ReplaceRequest};
use crate::http::routes::policy::ExplainRequest;
use crate::http::routes::registration::{RegisterQuery, RegisterTenantRequest};
use crate::http::routes::tenants::{DeleteQuery, TestRequest};
use crate::http::routes::tokens::{FullTokenRequest, RevokeRequest};
use crate::http::routes::trusts::CreateTrustRequest;
use crate::http::routes::{audit, browser_sessions, policy, tenants, tokens, webhooks};
use crate::registry::callers::CallerPatch;
use crate::registry::{AppPatch, AppSource, CredentialInput, check_tenant_patch};

/// An input that an operation rejects.
#[derive(Debug)]
pub struct RejectedInput {
    /// The HTTP status of the answer.
    pub status: u16,
    /// The problem document (RFC 9457) that is answered.
    pub document: Vec<u8>,
}

type ReadBody = fn(Vec<u8>) -> Result<(), ApiError>;
type ReadQuery = fn(&str) -> Result<(), ApiError>;
type ReadForm = fn(&[u8]) -> Result<(), ApiError>;

/// By `operationId`.
const BODIES: [(&str, ReadBody); 20] = [
    ("mint_token", |body| parse::<FullTokenRequest>(body).map(drop)),
    ("downscope_token", |body| tokens::restriction(parse(body)?).map(drop)),
    ("revoke_token", |body| parse::<RevokeRequest>(body).map(drop)),
    ("register_tenant", |body| registration(parse(body)?)),
    ("patch_tenant", |body| Ok(check_tenant_patch(&parse(body)?)?)),
    ("test_tenant", |body| parse::<TestRequest>(body).map(drop)),
    ("replace_credentials", |body| {
        let ReplaceRequest { config, auth, credentials } = parse(body)?;
        check(credential_input(config, auth, credentials)?)
    }),
    ("activate_keypair", |body| parse::<ActivateRequest>(body).map(drop)),
    ("register_app", |body| {
        let RegisterAppRequest { config, auth, credentials, .. } = parse(body)?;
        check(credential_input(config, auth, credentials)?)
    }),
    ("patch_app", |body| parse::<AppPatch>(body).map(drop)),
    ("replace_app_credentials", |body| {
        let ReplaceAppRequest { config, auth, credentials, .. } = parse(body)?;
        check(credential_input(config, auth, credentials)?)
    }),
    ("activate_app_keypair", |body| parse::<ActivateAppRequest>(body).map(drop)),
    ("create_caller", |body| parse::<CreateCallerRequest>(body).map(drop)),
    ("patch_caller", |body| parse::<CallerPatch>(body).map(drop)),
    ("create_key", |body| parse::<CreateKeyRequest>(body).map(drop)),
    ("create_trust", |body| parse::<CreateTrustRequest>(body).map(drop)),
    ("explain_policy", |body| {
        let ExplainRequest { scopes, resource, .. } = parse(body)?;
        policy::restriction(scopes, resource).map(drop)
    }),
    ("open_browser_session", |body| browser_sessions::new_session(parse(body)?).map(drop)),
    ("browser_tokens", |body| parse::<BrowserRequest>(body).map(drop)),
    ("verify_webhook", |body| webhooks::parse_webhook(parse(body)?).map(drop)),
];

/// By `operationId`.
const FORMS: [(&str, ReadForm); 2] = [
    ("oauth_token", |bytes| {
        let form: OAuthTokenForm = form::parse(bytes)?;
        form.client_id.as_deref().map(client::read_id);
        // The broker's own address of Box does not stand in any form that is tried here.
        let api_url = Url::parse("https://api.box.com").map_err(|_| ApiError::NotFound)?;
        oauth::parse_grant(form, &api_url).map(drop)
    }),
    ("oauth_revoke", |bytes| form::parse::<OAuthRevokeForm>(bytes).map(drop)),
];

/// By `operationId`; `mint_token` stands for all that take no query.
const QUERIES: [(&str, ReadQuery); 10] = [
    ("register_tenant", |text| query::<RegisterQuery>(text).map(drop)),
    ("list_tenants", |text| tenants::parse_list_query(&query(text)?).map(drop)),
    ("delete_tenant", |text| query::<DeleteQuery>(text).map(drop)),
    ("replace_credentials", |text| query::<ReplaceQuery>(text).map(drop)),
    ("list_apps", stretch),
    ("list_callers", stretch),
    ("read_audit", |text| audit::parse_list_query(query(text)?).map(drop)),
    ("mint_token", |text| query::<NoQuery>(text).map(drop)),
    ("list_browser_sessions", |text| browser_sessions::check_list_query(&query(text)?)),
    ("cancel_browser_sessions", |text| query::<CancelSessionsQuery>(text).map(drop)),
];

/// Parses a body as that operation does; `None` if the operation has no body.
#[must_use]
pub fn read_body(operation: &str, body: &[u8]) -> Option<Result<(), RejectedInput>> {
    let (_, read) = BODIES.iter().find(|(name, _)| *name == operation)?;
    Some(read(body.to_vec()).map_err(RejectedInput::from))
}

/// Parses a query as that operation does; `None` if the operation has no query.
#[must_use]
pub fn read_query(operation: &str, text: &str) -> Option<Result<(), RejectedInput>> {
    let (_, read) = QUERIES.iter().find(|(name, _)| *name == operation)?;
    Some(read(text).map_err(RejectedInput::from))
}

/// Parses a form as that operation does; `None` if the operation has no form.
#[must_use]
pub fn read_form(operation: &str, form: &[u8]) -> Option<Result<(), RejectedInput>> {
    let (_, read) = FORMS.iter().find(|(name, _)| *name == operation)?;
    Some(read(form).map_err(RejectedInput::from))
}

/// The operations whose forms are read.
pub fn forms() -> impl Iterator<Item = &'static str> {
    FORMS.iter().map(|(name, _)| *name)
}

/// The operations whose bodies are read.
pub fn bodies() -> impl Iterator<Item = &'static str> {
    BODIES.iter().map(|(name, _)| *name)
}

/// The operations whose queries are read.
pub fn queries() -> impl Iterator<Item = &'static str> {
    QUERIES.iter().map(|(name, _)| *name)
}

impl From<ApiError> for RejectedInput {
    fn from(error: ApiError) -> Self {
        let problem = error.problem();
        Self { status: problem.status.as_u16(), document: problem.document("") }
    }
}

fn stretch(text: &str) -> Result<(), ApiError> {
    let PageQuery { limit, cursor } = query(text)?;
    page(limit.as_deref(), cursor.as_deref()).map(drop)
}

fn registration(body: RegisterTenantRequest) -> Result<(), ApiError> {
    match body.into_registration(false)?.source {
        AppSource::Own(material) => check(Some(material)),
        AppSource::Shared { .. } => Ok(()),
    }
}

fn check(material: Option<CredentialInput>) -> Result<(), ApiError> {
    Ok(material.map_or(Ok(()), CredentialInput::check)?)
}
