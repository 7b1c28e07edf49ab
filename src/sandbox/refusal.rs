//! How Box says no: one shape at the token endpoint, another on API calls.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// A refusal, in the words that Box has for it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) error: &'static str,
    pub(super) description: String,
    pub(super) shape: Shape,
}

/// Which of Box's error bodies a refusal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// `{"error", "error_description"}` (RFC 6749, section 5.2).
    Grant,
    /// `{"type": "error", "status", "code", "message", …}`.
    Api,
    /// No body: all is said in `WWW-Authenticate` (RFC 6750, section 3).
    DeadToken,
}

impl Refusal {
    /// A refusal of the token endpoint: always 400, unlike RFC 6749's 401 for a wrong client.
    pub(super) fn grant(error: &'static str, description: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, error, description: description.into(), shape: Shape::Grant }
    }

    /// A refusal of an API call.
    pub(super) fn api(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, error: code, description: message.into(), shape: Shape::Api }
    }

    /// The refusal of a token that is unknown, expired or revoked.
    pub(super) fn dead_token() -> Self {
        let description = "The access token provided is invalid.".to_owned();
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_token",
            description,
            shape: Shape::DeadToken,
        }
    }

    /// The refusal of a call that the token's scopes, restriction or app do not cover.
    pub(super) fn insufficient() -> Self {
        Self::api(
            StatusCode::FORBIDDEN,
            "access_denied_insufficient_permissions",
            "Access denied - insufficient permission",
        )
    }

    /// The refusal of an item that is not there, or not there for this subject.
    pub(super) fn not_found() -> Self {
        Self::api(StatusCode::NOT_FOUND, "not_found", "Not Found")
    }

    /// The same with another status.
    pub(super) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The body, if there is one.
    pub(super) fn body(&self, request_id: &str) -> Option<Value> {
        match self.shape {
            Shape::Grant => Some(json!({ "error": self.error, "error_description": self.description })),
            Shape::Api => Some(json!({
                "type": "error",
                "status": self.status.as_u16(),
                "code": self.error,
                "help_url": "https://developer.box.com/guides/api-calls/permissions-and-errors/common-errors/",
                "message": self.description,
                "request_id": request_id,
            })),
            Shape::DeadToken => None,
        }
    }
}
