//! How Box says no: one shape at the token endpoint, another on API calls.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::storage::NotKept;

const HELP: &str = "https://developer.box.com/guides/api-calls/permissions-and-errors/common-errors/";

/// A refusal, in the words that Box has for it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) error: &'static str,
    pub(crate) description: String,
    pub(crate) shape: Shape,
    /// What `context_info` tells, on API calls.
    pub(crate) context: Option<Value>,
}

/// Which of Box's error bodies a refusal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"error", "error_description"}` (RFC 6749, section 5.2).
    Grant,
    /// `{"type": "error", "status", "code", "message", …}`.
    Api,
    /// No body: all is said in `WWW-Authenticate` (RFC 6750, section 3).
    DeadToken,
}

impl Refusal {
    /// A refusal of the token endpoint: always 400, unlike RFC 6749's 401 for a wrong client.
    pub(crate) fn grant(error: &'static str, description: impl Into<String>) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, error, description: description.into(), shape: Shape::Grant, context: None }
    }

    /// A refusal of an API call.
    pub(crate) fn api(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, error: code, description: message.into(), shape: Shape::Api, context: None }
    }

    /// The refusal of a token that is unknown, expired or revoked.
    pub(crate) fn dead_token() -> Self {
        let description = "The access token provided is invalid.".to_owned();
        Self {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_token",
            description,
            shape: Shape::DeadToken,
            context: None,
        }
    }

    /// The refusal of a call that the token's scopes, restriction or app do not cover.
    pub(crate) fn insufficient() -> Self {
        Self::api(
            StatusCode::FORBIDDEN,
            "access_denied_insufficient_permissions",
            "Access denied - insufficient permission",
        )
    }

    /// The refusal of an item that is not there, or not there for this subject.
    pub(crate) fn not_found() -> Self {
        Self::api(StatusCode::NOT_FOUND, "not_found", "Not Found")
    }

    /// The refusal of a method that a path does not have.
    pub(crate) fn method_not_allowed() -> Self {
        Self::api(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed")
    }

    /// The refusal of a request that makes no sense; `message` says what is wrong with it.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::api(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// The refusal of a change to another version than the one that stands.
    pub(crate) fn precondition(message: impl Into<String>) -> Self {
        Self::api(StatusCode::PRECONDITION_FAILED, "precondition_failed", message)
    }

    /// The refusal of bytes that the sandbox cannot keep.
    pub(crate) fn not_kept(problem: &NotKept) -> Self {
        let raise = "delete something, or raise kept_bytes at PUT /sandbox/storage";
        match problem {
            NotKept::Full { .. } => {
                Self::api(StatusCode::FORBIDDEN, "storage_limit_exceeded", format!("{problem}: {raise}"))
            }
            NotKept::Disk(_) => {
                Self::api(StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", problem.to_string())
            }
        }
    }

    /// The same with more in `context_info`.
    pub(crate) fn with_context(mut self, context: Value) -> Self {
        self.context = Some(context);
        self
    }

    /// The same with another status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// The body, if there is one.
    pub(crate) fn body(&self, request_id: &str) -> Option<Value> {
        match self.shape {
            Shape::Grant => Some(json!({ "error": self.error, "error_description": self.description })),
            Shape::Api => {
                let mut body = json!({
                    "type": "error",
                    "status": self.status.as_u16(),
                    "code": self.error,
                    "help_url": HELP,
                    "message": self.description,
                    "request_id": request_id,
                });
                if let Some(context) = &self.context {
                    body["context_info"] = context.clone();
                }
                Some(body)
            }
            Shape::DeadToken => None,
        }
    }
}
