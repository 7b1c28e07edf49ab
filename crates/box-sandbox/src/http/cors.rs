//! CORS: which web pages may call, by the allowed origins of the app.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::error::ErrorResponse;
use super::request::SandboxRequest;
use super::response::SandboxResponse;
use crate::world::BoxApp;

/// The response headers that a page may read, beyond those that every page may.
const EXPOSED_HEADERS: &str = "box-request-id, retry-after, etag, content-disposition, content-length, content-range, \
                               accept-ranges, location, date";

/// Reports whether a request is a browser's CORS preflight (Fetch, section 3.3.7). Box's own preflight of an
/// upload has the same method, but not the header.
pub(crate) fn is_preflight(request: &SandboxRequest) -> bool {
    request.method == Method::OPTIONS && request.header("access-control-request-method").is_some()
}

/// Returns the response to a CORS preflight. Box allows every origin here: a preflight carries no token, so the
/// app is not known yet.
pub(crate) fn preflight(request: &SandboxRequest) -> SandboxResponse {
    let response = SandboxResponse::status_only(StatusCode::OK);
    let Some(origin) = request.header("origin").and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return response;
    };
    let headers = request.header("access-control-request-headers").unwrap_or("authorization, content-type");
    let headers = HeaderValue::from_str(headers).unwrap_or(HeaderValue::from_static("authorization"));
    response
        .with_header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
        .with_header(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
        )
        .with_header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)
        .with_header(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"))
        .with_header(header::VARY, HeaderValue::from_static("Origin"))
}

/// Refuses a page whose origin the app does not allow.
pub(crate) fn check_origin(app: &BoxApp, request: &SandboxRequest) -> Result<(), ErrorResponse> {
    match request.header("origin") {
        Some(origin) if !app.origins.contains(origin) => Err(ErrorResponse::api(
            StatusCode::FORBIDDEN,
            "cors_origin_not_whitelisted",
            "Access denied - Did you forget to safelist your origin in the CORS config of your app?",
        )),
        _ => Ok(()),
    }
}

/// Returns the headers that let a page of an allowed origin read a response, errors included.
pub(crate) fn response_headers(
    app: Option<&BoxApp>,
    request: &SandboxRequest,
) -> Vec<(HeaderName, HeaderValue)> {
    let origin =
        request.header("origin").filter(|&origin| app.is_some_and(|app| app.origins.contains(origin)));
    let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return Vec::new();
    };
    vec![
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED_HEADERS)),
        (header::VARY, HeaderValue::from_static("Origin")),
    ]
}
