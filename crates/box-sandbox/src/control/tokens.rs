//! Issued tokens, and the lifetime of new ones.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::apps::no_such_app;
use super::extract::{ControlError, JsonBody, QueryParameters};
use crate::state::SandboxState;
use crate::tokens::IssuedToken;

/// The lifetimes of new tokens in seconds: of one app if there is a client id, otherwise the defaults.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LifetimeChange {
    seconds: Option<i64>,
    child_seconds: Option<i64>,
    client_id: Option<String>,
}

/// Answers `PUT /sandbox/token-life`.
pub(super) async fn set_lifetime(
    State(state): State<Arc<SandboxState>>,
    JsonBody(change): JsonBody<LifetimeChange>,
) -> Result<StatusCode, ControlError> {
    let Some(client_id) = &change.client_id else {
        state.settings.set_token_lifetimes(change.seconds, change.child_seconds);
        return Ok(StatusCode::NO_CONTENT);
    };
    let updated = state.directory.update_app(client_id, |app| {
        app.token_lifetime = change.seconds.or(app.token_lifetime);
        app.downscoped_lifetime = change.child_seconds.or(app.downscoped_lifetime);
        Ok::<(), Infallible>(())
    });
    updated.map(|_| StatusCode::NO_CONTENT).ok_or_else(no_such_app)
}

/// Answers `GET /sandbox/tokens/{sha256}`.
pub(super) async fn show(
    State(state): State<Arc<SandboxState>>,
    Path(sha256): Path<String>,
) -> Result<Json<Value>, ControlError> {
    let token = state.tokens.find(&sha256.to_ascii_lowercase()).ok_or_else(no_such_token)?;
    let resource = token.restriction.as_ref().map(|restriction| {
        json!({ "type": restriction.kind.as_str(), "id": restriction.id, "by_link": restriction.by_link })
    });
    Ok(Json(json!({
        "live": token.is_live(state.now()),
        "subject": token.subject.label(),
        "client_id": token.client_id,
        "enterprise": token.enterprise,
        "scopes": token.scopes,
        "resource": resource,
        "annotator": token.annotator,
        "parent": token.parent,
        "expires_at": token.expires_at.to_string(),
    })))
}

/// Answers `DELETE /sandbox/tokens/{sha256}`.
pub(super) async fn revoke(
    State(state): State<Arc<SandboxState>>,
    Path(sha256): Path<String>,
) -> Result<StatusCode, ControlError> {
    let sha256 = sha256.to_ascii_lowercase();
    state.tokens.find(&sha256).ok_or_else(no_such_token)?;
    state.tokens.revoke(&sha256, false);
    Ok(StatusCode::NO_CONTENT)
}

fn no_such_token() -> ControlError {
    ControlError::not_found("no token has this SHA-256")
}

/// A filter for tokens, which selects those that match every given field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssuedTokenFilter {
    client_id: Option<String>,
    subject: Option<String>,
}

/// Answers `DELETE /sandbox/tokens`.
pub(super) async fn revoke_matching(
    State(state): State<Arc<SandboxState>>,
    QueryParameters(filter): QueryParameters<IssuedTokenFilter>,
) -> Json<Value> {
    let matches = |token: &IssuedToken| {
        filter.client_id.as_ref().is_none_or(|id| *id == token.client_id)
            && filter.subject.as_ref().is_none_or(|subject| *subject == token.subject.label())
    };
    Json(json!({ "count": state.tokens.revoke_matching(state.now(), matches) }))
}
