//! The future of a layer that does something to the response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::response::Response;
use pin_project_lite::pin_project;

/// The part of a layer that runs once the response is there.
pub(super) trait ResponseHook<B> {
    /// The body of the response that goes on.
    type Body;

    /// Returns the response that goes on.
    fn apply(self, response: Response<B>) -> Response<Self::Body>;
}

pin_project! {
    /// The future of a service with a [`ResponseHook`].
    #[derive(Debug)]
    pub(super) struct ResponseHookFuture<F, H> {
        #[pin]
        inner: F,
        hook: Option<H>,
    }
}

impl<F, H> ResponseHookFuture<F, H> {
    pub(super) fn new(inner: F, hook: H) -> Self {
        Self { inner, hook: Some(hook) }
    }
}

impl<F, H, B, E> Future for ResponseHookFuture<F, H>
where
    F: Future<Output = Result<Response<B>, E>>,
    H: ResponseHook<B>,
{
    type Output = Result<Response<H::Body>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(context))?;
        // A future is not polled again once it is ready.
        this.hook.take().map_or(Poll::Pending, |hook| Poll::Ready(Ok(hook.apply(response))))
    }
}
