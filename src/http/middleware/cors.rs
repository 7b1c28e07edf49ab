//! What browsers have to be told so that a page may read the answers of the browser endpoint (Fetch
//! Standard, "CORS protocol").
//!
//! A page tells its own logout from an outage by the answer, so every answer names the page's origin, also
//! where it refuses it. That gives nothing away: the endpoint knows no cookies, and a token leaves by the
//! session's own list of origins alone.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// For how many seconds a browser need not ask again; none keeps it longer than two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// What a page may read beside the body. `Date` tells one whose own clock is wrong how long its tokens live.
const EXPOSED: HeaderValue = HeaderValue::from_static("date, retry-after, x-request-id");

/// The one `Origin` of a request, whatever it says.
pub(crate) fn origin_of(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(header::ORIGIN).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// The answer to a preflight, which carries no session and is told the same whoever asks; `None` for any
/// other request.
pub(crate) fn preflight(request: &Request) -> Option<Response> {
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let told = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type")),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (request.method() == Method::OPTIONS && asks).then(|| (StatusCode::NO_CONTENT, told).into_response())
}

/// Names the page's origin in an answer, whatever it says.
pub(crate) fn name_origin(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.insert(header::VARY, HeaderValue::from(header::ORIGIN));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
