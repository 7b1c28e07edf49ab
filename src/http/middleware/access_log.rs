//! The layer that writes one line of the log for each request.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::{MatchedPath, Request};
use axum::http::StatusCode;
use axum::response::Response;
use tower::{Layer, Service};

use super::request_id::RequestId;
use super::response_hook::{ResponseHook, ResponseHookFuture};
use crate::clock::Monotonic;
use crate::domain::id::CallerId;
use crate::http::api::Api;
use crate::http::error::problem::Problem;
use crate::http::extract::peer_address::{PeerAddress, client_address};
use crate::http::request_log::{RequestLog, RequestTarget};

/// Opens the [`RequestLog`] of each request, and writes its line once the response is there.
///
/// A response below 400 is logged at the level `debug` alone.
#[derive(Clone, Debug)]
pub(super) struct AccessLogLayer {
    api: Api,
}

impl AccessLogLayer {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }
}

impl<S> Layer<S> for AccessLogLayer {
    type Service = AccessLogService<S>;

    fn layer(&self, inner: S) -> AccessLogService<S> {
        AccessLogService { inner, api: self.api.clone() }
    }
}

/// The service of [`AccessLogLayer`].
#[derive(Clone, Debug)]
pub(super) struct AccessLogService<S> {
    inner: S,
    api: Api,
}

impl<S, B> Service<Request> for AccessLogService<S>
where
    S: Service<Request, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseHookFuture<S::Future, AccessLogHook>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let start = self.api.clock.monotonic();
        let log = open_log(&self.api, &request);
        request.extensions_mut().insert(log.clone());
        let hook = AccessLogHook { api: self.api.clone(), log, start };
        ResponseHookFuture::new(self.inner.call(request), hook)
    }
}

fn open_log(api: &Api, request: &Request) -> RequestLog {
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_default();
    let connected = request.extensions().get::<PeerAddress>().copied();
    let peer =
        connected.map(|PeerAddress(peer)| client_address(peer, request.headers(), &api.trusted_proxies));
    let target = RequestTarget {
        method: request.method().clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        uri: request.uri().clone(),
    };
    RequestLog::new(id.0, peer, target)
}

/// The part of [`AccessLogService`] that runs once the response is there.
#[derive(Debug)]
pub(super) struct AccessLogHook {
    api: Api,
    log: RequestLog,
    start: Monotonic,
}

impl<B> ResponseHook<B> for AccessLogHook {
    type Body = B;

    fn apply(self, mut response: Response<B>) -> Response<B> {
        let problem = response.extensions_mut().remove::<Arc<Problem>>();
        let status = response.status();
        if tracing::enabled!(tracing::Level::DEBUG) || status >= StatusCode::BAD_REQUEST {
            let duration = self.api.clock.monotonic().since(self.start);
            write_line(&self.log, status.as_u16(), problem.as_deref(), duration);
        }
        response
    }
}

fn write_line(log: &RequestLog, status: u16, problem: Option<&Problem>, duration: Duration) {
    let (request_id, target) = (log.request_id(), log.target());
    let (method, path) = (target.method.as_str(), target.matched_path().unwrap_or("-"));
    let caller = log.caller_id();
    let caller = caller.as_ref().map_or("-", CallerId::as_str);
    let peer = log.peer().map(tracing::field::display);
    let code = problem.map_or("-", |problem| problem.code);
    let cause = problem.and_then(|problem| problem.cause.as_deref()).unwrap_or("-");
    let took_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    match status {
        500.. => {
            tracing::warn!(request_id, method, path, status, code, caller, peer, took_us, cause, "request");
        }
        400.. => {
            tracing::info!(request_id, method, path, status, code, caller, peer, took_us, cause, "request");
        }
        _ => tracing::debug!(request_id, method, path, status, caller, peer, took_us, "request"),
    }
}
