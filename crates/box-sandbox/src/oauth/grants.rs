//! The two grants that issue a full token: JWT bearer and client credentials.

use serde_json::json;

use super::{assertion, client};
use crate::http::{ErrorResponse, FormFields, SandboxResponse};
use crate::state::SandboxState;
use crate::tokens::{IssuedToken, TokenSubject};
use crate::world::{AppAuthMethod, BoxApp};

/// Answers a request with a signed assertion (RFC 7523).
pub(super) fn jwt_bearer(state: &SandboxState, form: &FormFields) -> Result<SandboxResponse, ErrorResponse> {
    let app = client::authenticate(state, form)?;
    require_auth_method(&app, AppAuthMethod::Jwt)?;
    let subject = assertion::verify(&app, form.required("assertion")?, state.now(), &state.used_jtis)?;
    let enterprise = match &subject {
        TokenSubject::Enterprise(id) => {
            state.directory.enterprise(id).ok_or_else(assertion::invalid_sub)?.id.clone()
        }
        TokenSubject::User(id) => enterprise_of_permitted_user(state, &app, id, user_token_not_permitted)?
            .ok_or_else(assertion::invalid_sub)?,
    };
    if !app.authorized.contains(&enterprise) {
        let description = "This app is not authorized by the enterprise admin";
        return Err(ErrorResponse::oauth("unauthorized_client", description));
    }
    Ok(issue_full_token(state, &app, &enterprise, subject))
}

/// Answers a request with client credentials.
pub(super) fn client_credentials(
    state: &SandboxState,
    form: &FormFields,
) -> Result<SandboxResponse, ErrorResponse> {
    let invalid_grant = || ErrorResponse::oauth("invalid_grant", "Grant credentials are invalid");
    let (app, secret_matches) = client::identify(state, form)?;
    require_auth_method(&app, AppAuthMethod::ClientCredentials)?;
    if !secret_matches {
        return Err(invalid_grant());
    }
    let id = form.required("box_subject_id")?.to_owned();
    let unauthorized = || {
        let description = "The \"box_subject_type\" value is unauthorized for this client_id";
        ErrorResponse::oauth("unauthorized_client", description)
    };
    let (subject, enterprise) = match form.required("box_subject_type")? {
        "enterprise" => {
            let enterprise = state.directory.enterprise(&id).ok_or_else(invalid_grant)?.id.clone();
            (TokenSubject::Enterprise(id), enterprise)
        }
        "user" => {
            let enterprise = enterprise_of_permitted_user(state, &app, &id, unauthorized)?;
            (TokenSubject::User(id), enterprise.ok_or_else(invalid_grant)?)
        }
        _ => {
            let description = "The 'box_subject_type' specified is invalid";
            return Err(ErrorResponse::oauth("invalid_request", description));
        }
    };
    if !app.authorized.contains(&enterprise) {
        return Err(invalid_grant());
    }
    Ok(issue_full_token(state, &app, &enterprise, subject))
}

fn require_auth_method(app: &BoxApp, method: AppAuthMethod) -> Result<(), ErrorResponse> {
    if app.auth == method {
        return Ok(());
    }
    Err(ErrorResponse::oauth("invalid_request", "The grant type is unauthorized for this client_id"))
}

fn user_token_not_permitted() -> ErrorResponse {
    let description = "Cannot obtain user token based on the enterprise configuration for your app";
    ErrorResponse::oauth("invalid_request", description)
}

/// Returns the enterprise of a user for whom the app's settings permit a token; `None` if there is no such user.
/// The error is `forbidden()` if the settings do not permit it.
fn enterprise_of_permitted_user(
    state: &SandboxState,
    app: &BoxApp,
    id: &str,
    forbidden: fn() -> ErrorResponse,
) -> Result<Option<String>, ErrorResponse> {
    if app.is_automation_user(id) {
        return Err(user_token_not_permitted());
    }
    let Some((enterprise, user)) = state.directory.user(id) else { return Ok(None) };
    if !app.authorized.contains(&enterprise.id) {
        return Ok(Some(enterprise.id.clone()));
    }
    if !app.user_tokens || (user.managed && !app.enterprise_access) {
        return Err(forbidden());
    }
    if user.terms_of_service_required {
        let description = "The user must accept the custom terms of service first";
        return Err(ErrorResponse::oauth("terms_of_service_required", description));
    }
    Ok(Some(enterprise.id.clone()))
}

fn issue_full_token(
    state: &SandboxState,
    app: &BoxApp,
    enterprise: &str,
    subject: TokenSubject,
) -> SandboxResponse {
    let scopes = app.scopes.iter().cloned().collect();
    let token = IssuedToken::new(&app.client_id, enterprise, subject, scopes);
    let (text, sha256, lifetime) = state.issue_token(app, token);
    let body = json!({
        "access_token": text, "expires_in": lifetime, "restricted_to": [], "token_type": "bearer",
    });
    SandboxResponse::json(body).with_issued_token(sha256)
}
