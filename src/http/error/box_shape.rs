//! Problems in the shape that Box's own token endpoint gives them (RFC 6749, section 5.2, and what Box adds), for
//! clients that speak Box.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::http::error::problem::Problem;

/// Below this, problems are told in Box's shape.
const ROUTES: &str = "/oauth2/";

/// Returns true if clients that speak Box call this path, whether there is a route or not.
pub(crate) fn is_box_path(path: &str) -> bool {
    path.starts_with(ROUTES)
}

/// Returns true if a client sends its credentials in a header, and not in the form.
pub(crate) fn has_basic_credentials(headers: &HeaderMap) -> bool {
    headers.get_all(header::AUTHORIZATION).iter().any(is_basic)
}

/// Returns true for HTTP Basic (RFC 7617).
pub(crate) fn is_basic(value: &HeaderValue) -> bool {
    let scheme = value.as_bytes().split(|byte| *byte == b' ').next().unwrap_or_default();
    scheme.eq_ignore_ascii_case(b"basic")
}

/// A problem in Box's shape.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BoxError)]
pub(crate) struct BoxErrorResponse<'a> {
    /// OAuth's error code: `invalid_client`, `invalid_grant`, …
    error: &'a str,
    /// The error and its remedy.
    error_description: &'a str,
    /// The same as `error_description`, for clients that read this field.
    message: &'a str,
    /// The code that a problem document of this broker would have.
    code: &'a str,
    /// The request's id, to be quoted when asking for help.
    request_id: &'a str,
}

impl Problem {
    /// The problem in Box's shape. Box answers 400 to a client that it does not know; where the credentials came
    /// `by_header`, RFC 6749 wants 401.
    pub(crate) fn render_as_box(&self, request_id: &str, by_header: bool) -> Response {
        let error = self.oauth_error();
        let status = match self.status {
            StatusCode::UNAUTHORIZED if by_header && error == "invalid_client" => StatusCode::UNAUTHORIZED,
            // A path that is not there is no client's credentials' fault.
            StatusCode::NOT_FOUND if error != "invalid_client" => StatusCode::NOT_FOUND,
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::FAILED_DEPENDENCY => StatusCode::BAD_REQUEST,
            status => status,
        };
        let words = self.words(error);
        let document = BoxErrorResponse {
            error,
            error_description: &words,
            message: &words,
            code: self.code,
            request_id,
        };
        // Texts always serialise.
        let mut response = Body::from(serde_json::to_vec(&document).unwrap_or_default()).into_response();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"box-token-broker\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }

    /// OAuth's name of it.
    fn oauth_error(&self) -> &'static str {
        match (self.oauth, self.code) {
            (Some(error), _) => error,
            // A tenant that the client may not know of is not told from one that is not there.
            (_, "unauthenticated" | "not_found") => "invalid_client",
            (_, "subject_invalid") => "invalid_grant",
            (_, "scope_not_granted") => "invalid_scope",
            (_, "resource_not_visible") => "invalid_resource",
            (_, "terms_of_service_required") => "terms_of_service_required",
            (_, "rate_limited") => "rate_limit_exceeded",
            _ if self.status == StatusCode::FAILED_DEPENDENCY => "unauthorized_client",
            _ if self.status == StatusCode::FORBIDDEN => "unauthorized_client",
            _ if self.status.is_client_error() => "invalid_request",
            _ if self.retry_after.is_some() => "temporarily_unavailable",
            _ => "server_error",
        }
    }

    fn words(&self, error: &str) -> String {
        if self.code == "unauthenticated" && error == "invalid_client" {
            return "The client credentials are invalid: `client_id` is `btb_` and the id of a live API key of this \
                    broker, with `-` and a tenant behind it, and `client_secret` is the whole key."
                .to_owned();
        }
        match &self.fix {
            Some(fix) => format!("{} {fix}", self.detail),
            None => self.detail.clone(),
        }
    }
}
