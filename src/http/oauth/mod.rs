//! `POST /oauth2/token` and `/oauth2/revoke`: what SDKs and tools ask that speak Box's client credentials grant.

pub(crate) mod client;
pub(crate) mod exchange;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa_axum::routes;

use crate::auth::RequestContext;
use crate::broker::{AccessToken, BOX_WAIT_LIMIT, ReleasedToken, RevocationTarget, TokenError, TokenRequest};
use crate::crypto::sha256_hex;
use crate::domain::audit_event::{Actor, AuditAction, AuditContext, AuditEvent, AuditOutcome};
use crate::domain::grant::Permission;
use crate::domain::id::BoxId;
use crate::domain::subject::Subject;
use crate::http::Api;
use crate::http::error::{ApiError, OAuthError};
use crate::http::extract::AuthenticatedRequest;
use crate::http::extract::form::Form;
use crate::http::oauth::client::{OAuthClient, OAuthRequest};
use crate::http::oauth::exchange::TokenExchange;
use crate::http::rate_limits as limits;
use crate::http::route::{Access, Route};
use crate::http::routes::tokens::{self, RestrictedToResponse};
use crate::http::token_release as release;
use crate::secret::SecretString;
use crate::store::TenantRef;

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::service(
            Access::OAuthClient(Permission::TokensMint),
            AuditAction::TokenRelease,
            routes!(token),
        ),
        Route::service(
            Access::OAuthClient(Permission::TokensRevoke),
            AuditAction::TokenRevoke,
            routes!(revoke),
        ),
    ]
}

/// The form of a request for a token, as Box defines it. Other fields are ignored, and so is a field without a
/// value.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
pub(crate) struct OAuthTokenForm {
    /// `client_credentials` or `urn:ietf:params:oauth:grant-type:token-exchange`.
    grant_type: Option<String>,
    /// `btb_` and the id of an API key, `-`, and the tenant's name or id. The tenant may be omitted if all grants of
    /// the caller name one tenant. HTTP Basic does as well as the form.
    pub(crate) client_id: Option<String>,
    /// The whole API key.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretString>,
    /// `enterprise` or `user`; the service account if omitted.
    box_subject_type: Option<String>,
    /// Box's id of the enterprise, which is the tenant's, or of the user.
    box_subject_id: Option<String>,
    /// A live full token that this broker issued; for a token exchange.
    #[schema(value_type = Option<String>, write_only)]
    pub(crate) subject_token: Option<SecretString>,
    /// `urn:ietf:params:oauth:token-type:access_token`.
    pub(crate) subject_token_type: Option<String>,
    /// The scopes of the downscoped token, separated by spaces.
    pub(crate) scope: Option<String>,
    /// `https://api.box.com/2.0/files/` or `…/folders/` and an id.
    pub(crate) resource: Option<String>,
    /// A shared link, instead of `resource`.
    #[schema(value_type = Option<String>, write_only)]
    pub(crate) box_shared_link: Option<SecretString>,
    /// For an annotator: an unsigned JWT with `sub` and `name`.
    pub(crate) actor_token: Option<String>,
    /// `urn:ietf:params:oauth:token-type:id_token`.
    pub(crate) actor_token_type: Option<String>,
}

/// The form of a revocation.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
pub(crate) struct OAuthRevokeForm {
    /// As in a token request.
    client_id: Option<String>,
    /// The whole API key.
    #[schema(value_type = Option<String>, write_only)]
    client_secret: Option<SecretString>,
    /// The token.
    #[schema(value_type = Option<String>, write_only)]
    token: Option<SecretString>,
}

/// A token in the form of Box's token endpoint.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct OAuthTokenResponse<'a> {
    /// The token for Box's API.
    access_token: &'a str,
    /// Its remaining lifetime in seconds.
    expires_in: u64,
    /// `bearer`.
    token_type: &'static str,
    /// The restrictions that Box reported; empty for a full token.
    restricted_to: Vec<RestrictedToResponse<'a>>,
    /// The type of token that an exchange issued: an access token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    issued_token_type: Option<&'static str>,
}

/// Nothing, as an object: some SDKs want to read one.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct EmptyResponse {}

/// The token that a form requests.
#[derive(Debug)]
pub(crate) enum OAuthGrant {
    /// A full token of this enterprise's service account; of the tenant's, where none is named.
    Enterprise(Option<BoxId>),
    /// A full token of a user.
    User(BoxId),
    /// A downscoped token for a full one.
    Exchange(Box<TokenExchange>),
}

#[utoipa::path(
    post, path = "/oauth2/token", tag = "oauth2", operation_id = "oauth_token",
    request_body(content = OAuthTokenForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The token", body = OAuthTokenResponse)),
)]
/// Get a token; for SDKs and tools that use Box's client credentials grant.
async fn token(
    State(api): State<Api>,
    request: OAuthRequest,
    Form(mut form): Form<OAuthTokenForm>,
) -> Result<Response, ApiError> {
    let client = request.client(&api, form.client_id.take(), form.client_secret.take()).await?;
    match (parse_grant(form, &api.box_api_url)?, client) {
        (OAuthGrant::Exchange(asked), client) => exchange::exchange(&api, &request, client, *asked).await,
        (_, None) => Err(request.unauthenticated(&api)),
        (asked, Some(client)) => full(&api, client, asked).await,
    }
}

#[utoipa::path(
    post, path = "/oauth2/revoke", tag = "oauth2", operation_id = "oauth_revoke",
    request_body(content = OAuthRevokeForm, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "It is dead at Box if the client has `tokens:revoke`; otherwise nothing happened", body = EmptyResponse)),
)]
/// Revoke a token; for SDKs that tidy up at exit. It ends nobody else's token.
async fn revoke(
    State(api): State<Api>,
    request: OAuthRequest,
    Form(form): Form<OAuthRevokeForm>,
) -> Result<Response, ApiError> {
    let client = request.client(&api, form.client_id, form.client_secret).await?;
    let missing = || ApiError::invalid("/token", "`token` is missing: the token that is to be revoked.");
    let token = form.token.ok_or_else(missing)?;
    match client {
        None => {
            limits::count_unauthenticated(&api, request.log.peer())?;
            let nobody = AuditContext {
                request_id: Some(request.log.request_id().to_string()),
                peer: request.log.peer(),
                ..AuditContext::for_actor(Actor::Unknown)
            };
            note_kept(&api, &nobody, None, "unauthenticated", &token);
        }
        Some(client) => revoke_as(&api, client, token).await?,
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], axum::Json(EmptyResponse {})).into_response())
}

/// Revokes a token, where the client may. Whoever tidies up has no need of the token any more; others may: where the
/// client may not, or does not even know of the tenant, nothing happens, and that is no error.
async fn revoke_as(api: &Api, client: OAuthClient, token: SecretString) -> Result<(), ApiError> {
    let (caller, tenant) = client.into_parts();
    let AuthenticatedRequest { context, .. } = caller.now(api).await?;
    let what = RevocationTarget::Token(token.clone());
    let done = match &tenant {
        Some(tenant) => api.broker.revoke(&context, tenant, &what).await,
        None => Err(TokenError::Absent),
    };
    let (tenant, reason) = match done {
        Err(TokenError::Forbidden(rule)) => (tenant.as_ref(), rule.as_str()),
        Err(TokenError::Absent) => (None, "not_found"),
        done => return Ok(done?),
    };
    note_kept(api, &context.audit_context(), tenant, reason, &token);
    Ok(())
}

/// Takes note of a token that somebody wanted revoked, and that lives on.
fn note_kept(
    api: &Api,
    cause: &AuditContext,
    tenant: Option<&TenantRef>,
    reason: &str,
    token: &SecretString,
) {
    api.broker.audit().count_refusal(AuditEvent {
        outcome: AuditOutcome::Refused,
        reason: Some(reason.to_owned()),
        tenant: tenant.and_then(|tenant| api.broker.tenants().cached_id(tenant)),
        fingerprint: Some(sha256_hex(token.expose().as_bytes())),
        detail: Some("answered as if it were done; the token lives on".to_owned()),
        ..cause.event(api.clock.wall(), AuditAction::TokenRevoke)
    });
}

/// Get a full token.
async fn full(api: &Api, client: OAuthClient, asked: OAuthGrant) -> Result<Response, ApiError> {
    let (caller, tenant) = client.with_tenant()?;
    let caller = caller.now(api).await?;
    let subject = match asked {
        OAuthGrant::User(id) => Subject::User { id },
        OAuthGrant::Enterprise(Some(id)) => enterprise(api, &caller.context, &tenant, &id).await?,
        OAuthGrant::Enterprise(None) | OAuthGrant::Exchange(_) => Subject::ENTERPRISE,
    };
    let wanted =
        TokenRequest { subject, restriction: None, min_ttl: None, rejected: None, on_behalf_of: None };
    let given = tokio::time::timeout(BOX_WAIT_LIMIT, checked_token(api, &caller, &tenant, &wanted))
        .await
        .unwrap_or_else(|_| Err(TokenError::timed_out().into()))
        .inspect_err(|_| caller.log.set_token_request(&wanted))?;
    release::count(api, &caller, None, &given);
    Ok(answer(&given.token, given.token.lifetime.left(api.clock.as_ref()).as_secs(), None))
}

/// The token as a client of Box's has to have it. These know no `rejected`: one that asks again for what it was
/// given already, before anybody has to, has most likely seen a 401, so Box is asked whether the token lives.
pub(crate) async fn checked_token(
    api: &Api,
    caller: &AuthenticatedRequest,
    tenant: &TenantRef,
    wanted: &TokenRequest,
) -> Result<ReleasedToken, ApiError> {
    let given = release::current(api, caller, tenant, wanted).await?;
    let ReleasedToken { token, by, .. } = &given;
    let is_early = !token.is_within_margin(api.clock.as_ref());
    match is_early && token.may_have_been_received_by(by) && api.broker.liveness().is_dead(token).await {
        true => release::current(api, caller, tenant, wanted).await,
        false => Ok(given),
    }
}

/// The service account of the enterprise that a client names, which has to be the tenant's. Whoever may not know of
/// the tenant does not hear which it is.
async fn enterprise(
    api: &Api,
    context: &RequestContext,
    tenant: &TenantRef,
    id: &BoxId,
) -> Result<Subject, ApiError> {
    let view = limits::visible_tenant(api, context, Some(tenant)).await?.ok_or(TokenError::Absent)?;
    match view.tenant.enterprise_id == *id {
        true => Ok(Subject::ENTERPRISE),
        false => Err(OAuthError::OtherEnterprise.into()),
    }
}

/// A token's answer, with so many seconds that it lives.
pub(crate) fn answer(
    token: &AccessToken,
    expires_in: u64,
    issued_token_type: Option<&'static str>,
) -> Response {
    let restricted_to = tokens::restricted_to(token).unwrap_or_default();
    let body = OAuthTokenResponse {
        access_token: token.secret.expose(),
        expires_in,
        token_type: "bearer",
        restricted_to,
        issued_token_type,
    };
    release::token_response(&body, token)
}

/// Reads the token that a form requests, whoever sends it.
pub(crate) fn parse_grant(form: OAuthTokenForm, api_url: &Url) -> Result<OAuthGrant, ApiError> {
    match form.grant_type.as_deref() {
        Some("client_credentials") => subject(&form),
        Some(exchange::GRANT) => Ok(OAuthGrant::Exchange(Box::new(exchange::parse_exchange(form, api_url)?))),
        Some(_) => Err(OAuthError::GrantType.into()),
        None => {
            let detail = "`grant_type` is missing: `client_credentials`, or that of a token exchange.";
            Err(ApiError::invalid("/grant_type", detail))
        }
    }
}

fn subject(form: &OAuthTokenForm) -> Result<OAuthGrant, ApiError> {
    let id = form.box_subject_id.as_deref().map(BoxId::parse).transpose();
    let id = id.map_err(|error| ApiError::invalid("/box_subject_id", error.to_string()))?;
    let wrong = |detail: &'static str| Err(ApiError::invalid("/box_subject_type", detail));
    match (form.box_subject_type.as_deref(), id) {
        (Some("enterprise"), id) => Ok(OAuthGrant::Enterprise(id)),
        (Some("user"), Some(id)) => Ok(OAuthGrant::User(id)),
        (None, None) => Ok(OAuthGrant::Enterprise(None)),
        (Some("user"), None) => wrong("With `box_subject_type=user`, `box_subject_id` is the user's id."),
        (None, Some(_)) => wrong("With `box_subject_id`, `box_subject_type` is `enterprise` or `user`."),
        (Some(_), _) => wrong("`box_subject_type` is `enterprise` or `user`."),
    }
}
