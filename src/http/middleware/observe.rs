//! Around every request: its id, its line in the log, its problem document, and what browsers have to be told.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::cors;
use crate::domain::id::CallerId;
use crate::entropy::{Entropy, random_base62};
use crate::http::Api;
use crate::http::error;
use crate::http::error::box_shape;
use crate::http::error::problem::Problem;
use crate::http::extract::peer_address::{PeerAddress, origin};
use crate::http::oauth::client::comes_by_header;
use crate::http::request_log::{RequestLog, RequestTarget};
use crate::http::routes::browser_tokens as browser;

/// The header that carries a request's id.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives the request its id, turns a problem into its document, and writes one line.
pub(crate) async fn observe(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let began = api.clock.monotonic();
    let id = request_id(&request, api.entropy.as_ref());
    let connected = request.extensions().get::<PeerAddress>().copied();
    let peer = connected.map(|PeerAddress(peer)| origin(peer, request.headers(), &api.trusted_proxies));
    let story = RequestLog::new(Arc::clone(&id), peer);
    request.extensions_mut().insert(story.clone());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let uri = request.uri().clone();
    let speaks_box = box_shape::is_expected_at(uri.path());
    let by_header = speaks_box && comes_by_header(request.headers());
    let is_a_pages = route.as_ref().is_some_and(|route| route.as_str() == browser::PATH);
    let page = cors::origin_of(request.headers()).filter(|_| is_a_pages).cloned();

    let preflight = if is_a_pages { cors::preflight(&request) } else { None };
    let mut response = match preflight {
        Some(answer) => answer,
        None => next.run(request).await,
    };

    let problem = response.extensions_mut().remove::<Arc<Problem>>();
    let problem = problem.or_else(|| error::of_bare(response.status()).map(Arc::new));
    if let Some(problem) = &problem {
        if let Some(route) = &route {
            let target = RequestTarget { method: &method, route: route.as_str(), path: uri.path() };
            if let Some(event) = story.event(&api, target, problem, api.clock.wall()) {
                api.broker.audit().count_refusal(event);
            }
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = match speaks_box {
            true => problem.render_as_box(&id, by_header),
            false => problem.render(&id),
        };
        if let Some(allow) = allow {
            response.headers_mut().insert(header::ALLOW, allow);
        }
    }
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    if is_a_pages {
        cors::name_origin(page, response.headers_mut());
    }

    let status = response.status().as_u16();
    let line = AccessLine {
        status,
        code: problem.as_ref().map(|problem| problem.code),
        cause: problem.as_ref().and_then(|problem| problem.cause.as_deref()),
    };
    if tracing::enabled!(tracing::Level::DEBUG) || status >= 400 {
        let path = route.as_ref().map_or("-", MatchedPath::as_str);
        let took = api.clock.monotonic().since(began);
        line.write(&id, method.as_str(), path, &story, took);
    }
    response
}

/// The part of a log line that says how a request ended.
struct AccessLine<'a> {
    status: u16,
    code: Option<&'static str>,
    cause: Option<&'a str>,
}

impl AccessLine<'_> {
    fn write(
        &self,
        request_id: &str,
        method: &str,
        path: &str,
        story: &RequestLog,
        took: std::time::Duration,
    ) {
        let Self { status, code, cause } = self;
        let caller = story.caller_id();
        let caller = caller.as_ref().map_or("-", CallerId::as_str);
        let peer = story.peer().map(tracing::field::display);
        let (code, cause) = (code.unwrap_or("-"), cause.unwrap_or("-"));
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        match status {
            500.. => {
                tracing::warn!(
                    request_id, method, path, status, code, caller, peer, took_us, cause, "request"
                );
            }
            400.. => {
                tracing::info!(
                    request_id, method, path, status, code, caller, peer, took_us, cause, "request"
                );
            }
            _ => tracing::debug!(request_id, method, path, status, caller, peer, took_us, "request"),
        }
    }
}

/// Returns the id that the client sent if it is plain, or else a new one.
fn request_id(request: &Request, entropy: &dyn Entropy) -> Arc<str> {
    let sent = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    match sent.filter(plain) {
        Some(text) => text.into(),
        None => format!("req_{}", random_base62(entropy, 20)).into(),
    }
}
