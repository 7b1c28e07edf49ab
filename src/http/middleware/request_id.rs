//! The layer that gives each request its id.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use tower::{Layer, Service};

use super::response_hook::{ResponseHook, ResponseHookFuture};
use crate::entropy::{Entropy, random_base62};

/// The header that carries a request's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id, as an extension of the request.
#[derive(Clone, Debug, Default)]
pub(super) struct RequestId(pub(super) Arc<str>);

/// Gives each request its id, and names it in the response.
#[derive(Clone, Debug)]
pub(super) struct RequestIdLayer {
    entropy: Arc<dyn Entropy>,
}

impl RequestIdLayer {
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { entropy }
    }
}

impl<S> Layer<S> for RequestIdLayer {
    type Service = RequestIdService<S>;

    fn layer(&self, inner: S) -> RequestIdService<S> {
        RequestIdService { inner, entropy: Arc::clone(&self.entropy) }
    }
}

/// The service of [`RequestIdLayer`].
#[derive(Clone, Debug)]
pub(super) struct RequestIdService<S> {
    inner: S,
    entropy: Arc<dyn Entropy>,
}

impl<S, B> Service<Request> for RequestIdService<S>
where
    S: Service<Request, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseHookFuture<S::Future, RequestId>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = RequestId(request_id(&request, self.entropy.as_ref()));
        request.extensions_mut().insert(id.clone());
        ResponseHookFuture::new(self.inner.call(request), id)
    }
}

impl<B> ResponseHook<B> for RequestId {
    type Body = B;

    fn apply(self, mut response: Response<B>) -> Response<B> {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
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
