//! The module that pages load: public, the same for everybody, and from any origin.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use data_encoding::BASE64;

use crate::crypto::{sha256, sha256_hex};
use crate::http::route::{Route, RouteGroup};

/// The module as it is.
const MODULE: &str = include_str!("../../../clients/browser/token-provider.js");

/// The path of this version of the module. Once a release has served it, a changed module is a new version: the
/// list in `tests/http/token_provider.rs` holds each version to its hash.
const VERSIONED: &str = "/v1/browser/token-provider-1.0.0.js";

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The module's two paths.
pub(crate) fn routes() -> Vec<Route> {
    let etag = format!("\"{}\"", sha256_hex(MODULE.as_bytes()));
    let serve = |caching: &'static str| {
        let etag = etag.clone();
        get(async move |headers: HeaderMap| module(&headers, &etag, caching))
    };
    let (short, long) = (serve("public, max-age=300"), serve("public, max-age=31536000, immutable"));
    vec![
        Route::public(RouteGroup::Browser, "/v1/browser/token-provider.js", short),
        Route::public(RouteGroup::Browser, "/v1/browser/token-provider-1.0.0.js", long),
    ]
}

/// Returns the value for `integrity` with which a page loads the module (W3C Subresource Integrity).
#[must_use]
pub fn integrity() -> String {
    format!("sha256-{}", BASE64.encode(&sha256(MODULE.as_bytes())))
}

/// The path that serves this version of the module.
#[must_use]
pub fn versioned_path() -> &'static str {
    VERSIONED
}

fn module(headers: &HeaderMap, etag: &str, caching: &'static str) -> Response {
    let known = |value: &HeaderValue| {
        let known = value.to_str().unwrap_or_default().split(',').map(str::trim);
        known.map(|tag| tag.strip_prefix("W/").unwrap_or(tag)).any(|tag| tag == etag || tag == "*")
    };
    let mut response = if headers.get_all(header::IF_NONE_MATCH).iter().any(known) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], MODULE).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    if let Ok(etag) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}
