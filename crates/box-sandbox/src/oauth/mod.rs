//! The token endpoint: grants, token exchange and revocation.
//!
//! This module owns Box's rules of who gets which token, and the errors otherwise. It must not know what a token
//! can do at the API.

mod assertion;
mod client;
mod exchange;
mod grants;
mod revoke;

use axum::http::Method;

use crate::http::{ErrorResponse, FormFields, SandboxRequest, SandboxResponse};
use crate::state::SandboxState;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const CLIENT_CREDENTIALS: &str = "client_credentials";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Answers a request below `/oauth2`; `None` if the path is another one.
pub(crate) fn handle(
    state: &SandboxState,
    request: &SandboxRequest,
) -> Option<Result<SandboxResponse, ErrorResponse>> {
    let endpoint = match request.path.as_str() {
        "/oauth2/token" => issue,
        "/oauth2/revoke" => revoke::revoke,
        _ => return None,
    };
    if request.method != Method::POST {
        return Some(Err(ErrorResponse::method_not_allowed()));
    }
    let not_a_form = "The body must be application/x-www-form-urlencoded";
    let form = request.form.as_ref().ok_or_else(|| ErrorResponse::oauth("invalid_request", not_a_form));
    Some(form.and_then(|form| endpoint(state, form)))
}

/// Answers `POST /oauth2/token`.
fn issue(state: &SandboxState, form: &FormFields) -> Result<SandboxResponse, ErrorResponse> {
    match form.get("grant_type")? {
        Some(JWT_BEARER) => grants::jwt_bearer(state, form),
        Some(CLIENT_CREDENTIALS) => grants::client_credentials(state, form),
        Some(TOKEN_EXCHANGE) => exchange::exchange(state, form),
        Some(_) => {
            let description = "The 'grant_type' specified is not supported";
            Err(ErrorResponse::oauth("unsupported_grant_type", description))
        }
        None => Err(ErrorResponse::missing_parameter("grant_type")),
    }
}

/// Uses up the `jti` of an assertion that reaches Box, for a response that a fault replaces. Whatever the response
/// is, the same assertion is not accepted again.
pub(crate) fn consume_assertion(state: &SandboxState, request: &SandboxRequest) {
    let Some(form) = &request.form else { return };
    if let (Ok(Some(JWT_BEARER)), Ok(Some(text)), Ok(app)) =
        (form.get("grant_type"), form.get("assertion"), client::authenticate(state, form))
    {
        // The outcome does not matter: the fault determines the response.
        drop(assertion::verify(&app, text, state.now(), &state.used_jtis));
    }
}
