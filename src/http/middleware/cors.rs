//! The layer that lets pages of other origins call the browser endpoint (Fetch Standard, "CORS protocol").
//!
//! A page has to distinguish its own logout from an outage, so every response allows the page's origin to read it,
//! refusals included. That reveals nothing: the endpoint uses no cookies, and it is the session's own list of origins
//! that decides whether the page gets a token. `tower-http`'s layer answers preflights with 200 and knows no such rule.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::http::extract::origin::sole_origin;

/// The time for which a browser may remember a preflight, in seconds; none keeps it longer than two hours.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The headers that a page may read. From `Date` a page whose own clock is wrong learns how long its tokens live.
const EXPOSED: HeaderValue = HeaderValue::from_static("date, retry-after, x-request-id");

/// Answers preflights to one route, and allows each page to read that route's responses.
#[derive(Clone, Copy, Debug)]
pub(super) struct CorsLayer {
    path: &'static str,
}

impl CorsLayer {
    /// Returns the layer for the route at `path`; it does nothing to any other.
    pub(super) fn new(path: &'static str) -> Self {
        Self { path }
    }
}

impl<S> Layer<S> for CorsLayer {
    type Service = CorsService<S>;

    fn layer(&self, inner: S) -> CorsService<S> {
        CorsService { inner, path: self.path }
    }
}

/// The service of [`CorsLayer`].
#[derive(Clone, Debug)]
pub(super) struct CorsService<S> {
    inner: S,
    path: &'static str,
}

impl<S: Service<Request, Response = Response>> Service<Request> for CorsService<S> {
    type Response = Response;
    type Error = S::Error;
    type Future = CorsFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        if path != Some(self.path) {
            return CorsFuture::Other { inner: self.inner.call(request) };
        }
        let origin = sole_origin(request.headers()).cloned();
        match is_preflight(&request) {
            true => CorsFuture::Preflight { origin },
            false => CorsFuture::Page { inner: self.inner.call(request), origin },
        }
    }
}

pin_project! {
    /// The future of [`CorsService`].
    #[derive(Debug)]
    #[project = CorsFutureProjection]
    pub(super) enum CorsFuture<F> {
        /// A request to another route.
        Other { #[pin] inner: F },
        /// A preflight.
        Preflight { origin: Option<HeaderValue> },
        /// A page's request.
        Page { #[pin] inner: F, origin: Option<HeaderValue> },
    }
}

impl<F, E> Future for CorsFuture<F>
where
    F: Future<Output = Result<Response, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let (mut response, origin) = match self.project() {
            CorsFutureProjection::Other { inner } => return inner.poll(context),
            CorsFutureProjection::Preflight { origin } => (preflight_response(), origin),
            CorsFutureProjection::Page { inner, origin } => (ready!(inner.poll(context))?, origin),
        };
        allow_origin(origin.take(), response.headers_mut());
        Poll::Ready(Ok(response))
    }
}

fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Returns the response to a preflight. It is the same for everybody, because a preflight carries no session.
fn preflight_response() -> Response<Body> {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type")),
        (header::ACCESS_CONTROL_MAX_AGE, MAX_AGE),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

/// Allows the page's origin to read a response, whichever origin that is.
fn allow_origin(origin: Option<HeaderValue>, headers: &mut HeaderMap) {
    headers.insert(header::VARY, HeaderValue::from(header::ORIGIN));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}
