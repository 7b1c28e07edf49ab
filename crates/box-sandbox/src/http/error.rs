//! Box's error responses. The token endpoint and the API have different ones.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::storage::StorageError;

const HELP_URL: &str = "https://developer.box.com/guides/api-calls/permissions-and-errors/common-errors/";

/// An error response in Box's own words.
#[derive(Debug)]
pub(crate) struct ErrorResponse {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    message: String,
    format: ErrorFormat,
    /// The field `context_info` of an API error.
    context: Option<Value>,
}

/// The format of an error's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ErrorFormat {
    /// `{"error", "error_description"}` (RFC 6749, section 5.2).
    OAuth,
    /// `{"type": "error", "status", "code", "message", …}`.
    Api,
    /// No body; the header `WWW-Authenticate` describes the error (RFC 6750, section 3).
    InvalidToken,
}

impl ErrorResponse {
    /// Returns an error of the token endpoint. Its status is 400 even for a wrong client, unlike RFC 6749's 401.
    pub(crate) fn oauth(code: &'static str, description: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, description.into(), ErrorFormat::OAuth)
    }

    /// Returns the error for a form that lacks a required parameter.
    pub(crate) fn missing_parameter(name: &str) -> Self {
        Self::oauth("invalid_request", format!("The '{name}' parameter is missing"))
    }

    /// Returns an error of an API call.
    pub(crate) fn api(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::new(status, code, message.into(), ErrorFormat::Api)
    }

    /// Returns the error for a token that is unknown, expired or revoked.
    pub(crate) fn invalid_token() -> Self {
        let message = "The access token provided is invalid.".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, "invalid_token", message, ErrorFormat::InvalidToken)
    }

    /// Returns the error for a call that the token's scopes, its restriction or the app's settings do not permit.
    pub(crate) fn insufficient_permissions() -> Self {
        Self::api(
            StatusCode::FORBIDDEN,
            "access_denied_insufficient_permissions",
            "Access denied - insufficient permission",
        )
    }

    /// Returns the error for an item that does not exist or that the subject cannot see.
    pub(crate) fn not_found() -> Self {
        Self::api(StatusCode::NOT_FOUND, "not_found", "Not Found")
    }

    /// Returns the error for a method that the path does not support.
    pub(crate) fn method_not_allowed() -> Self {
        Self::api(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed")
    }

    /// Returns the error for a malformed request.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::api(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Returns the error for a JSON body that lacks a required field.
    pub(crate) fn missing_field(name: &str) -> Self {
        Self::bad_request(format!("'{name}' is missing"))
    }

    /// Returns the error for a wrong `Digest` or `Content-MD5` header.
    pub(crate) fn bad_digest(message: impl Into<String>) -> Self {
        Self::api(StatusCode::BAD_REQUEST, "bad_digest", message)
    }

    /// Returns the error for a request whose condition is not met.
    pub(crate) fn precondition_failed(message: impl Into<String>) -> Self {
        Self::api(StatusCode::PRECONDITION_FAILED, "precondition_failed", message)
    }

    /// Adds the field `context_info`.
    pub(crate) fn with_context(mut self, context: Value) -> Self {
        self.context = Some(context);
        self
    }

    /// Replaces the status.
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Returns the `WWW-Authenticate` header of an invalid token.
    pub(crate) fn www_authenticate(&self) -> Option<&'static str> {
        (self.format == ErrorFormat::InvalidToken).then_some(
            "Bearer realm=\"Service\", error=\"invalid_token\", error_description=\"The access token provided is \
             invalid.\"",
        )
    }

    /// Returns the body. An invalid token has none.
    pub(crate) fn body(&self, request_id: &str) -> Option<Value> {
        match self.format {
            ErrorFormat::OAuth => Some(json!({ "error": self.code, "error_description": self.message })),
            ErrorFormat::Api => {
                let mut body = json!({
                    "type": "error",
                    "status": self.status.as_u16(),
                    "code": self.code,
                    "help_url": HELP_URL,
                    "message": self.message,
                    "request_id": request_id,
                });
                if let Some(context) = &self.context {
                    body["context_info"] = context.clone();
                }
                Some(body)
            }
            ErrorFormat::InvalidToken => None,
        }
    }

    fn new(status: StatusCode, code: &'static str, message: String, format: ErrorFormat) -> Self {
        Self { status, code, message, format, context: None }
    }
}

impl From<StorageError> for ErrorResponse {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::QuotaExceeded { .. } => {
                let advice = "delete something, or raise kept_bytes at PUT /sandbox/storage";
                Self::api(StatusCode::FORBIDDEN, "storage_limit_exceeded", format!("{error}: {advice}"))
            }
            StorageError::Disk(_) => {
                Self::api(StatusCode::INTERNAL_SERVER_ERROR, "internal_server_error", error.to_string())
            }
        }
    }
}
