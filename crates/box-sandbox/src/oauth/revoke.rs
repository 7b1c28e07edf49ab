//! Revocation (RFC 7009).

use axum::http::StatusCode;

use super::client;
use crate::digest::sha256_hex;
use crate::http::{ErrorResponse, FormFields, SandboxResponse};
use crate::state::SandboxState;

/// Answers `POST /oauth2/revoke`. The client credentials may be missing, as in SDKs that hold nothing but a token;
/// if they are there, they must be right.
pub(super) fn revoke(state: &SandboxState, form: &FormFields) -> Result<SandboxResponse, ErrorResponse> {
    let app = client::authenticate_if_named(state, form)?;
    let sha256 = sha256_hex(form.required("token")?);
    match state.tokens.find(&sha256) {
        Some(token) if app.is_some_and(|app| token.client_id != app.client_id) => {
            let description = "The token was not issued to this client";
            Err(ErrorResponse::oauth("unauthorized_client", description))
        }
        // An unknown token counts as revoked (RFC 7009, section 2.2).
        _ => {
            state.tokens.revoke(&sha256, state.settings.revoke_descendants);
            Ok(SandboxResponse::status_only(StatusCode::OK))
        }
    }
}
