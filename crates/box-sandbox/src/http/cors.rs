//! Which pages may call: Box asks the app's allowed origins, and answers preflights for every page.

use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};

use crate::http::error::Refusal;
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::world::app::App;

/// What a page may read of an answer's headers, beyond what every page may.
const EXPOSED: &str = "box-request-id, retry-after, etag, content-disposition, content-length, content-range, \
                       accept-ranges, location, date";

/// Whether a request is a browser's question before the request itself (Fetch, section 3.3.7), and not
/// a preflight of an upload, which Box asks for with the same method.
pub(crate) fn is_preflight(call: &Call) -> bool {
    call.method == Method::OPTIONS && call.header("access-control-request-method").is_some()
}

/// Box answers a preflight for every origin: it carries no token, so Box cannot know the app yet.
pub(crate) fn preflight(call: &Call) -> Answer {
    let answer = Answer::empty(StatusCode::OK);
    let Some(origin) = call.header("origin").and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return answer;
    };
    let headers = call.header("access-control-request-headers").unwrap_or("authorization, content-type");
    let headers = HeaderValue::from_str(headers).unwrap_or(HeaderValue::from_static("authorization"));
    answer
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
        .header(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
        )
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)
        .header(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"))
        .header(header::VARY, HeaderValue::from_static("Origin"))
}

/// Refuses a page of an origin that the app does not allow.
pub(crate) fn check(app: &App, call: &Call) -> Result<(), Refusal> {
    match call.header("origin") {
        Some(origin) if !app.origins.contains(origin) => Err(Refusal::api(
            StatusCode::FORBIDDEN,
            "cors_origin_not_whitelisted",
            "Access denied - Did you forget to safelist your origin in the CORS config of your app?",
        )),
        _ => Ok(()),
    }
}

/// What lets a page of an allowed origin read an answer, a refusal too.
pub(crate) fn headers(app: Option<&App>, call: &Call) -> Vec<(HeaderName, HeaderValue)> {
    let origin = call.header("origin").filter(|&origin| app.is_some_and(|app| app.origins.contains(origin)));
    let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return Vec::new();
    };
    vec![
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, origin),
        (header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED)),
        (header::VARY, HeaderValue::from_static("Origin")),
    ]
}
