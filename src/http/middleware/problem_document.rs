//! The layer that turns errors into problem documents, or into Box's shape for clients that speak Box.

use std::sync::Arc;
use std::task::{Context, Poll};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::response::Response;
use tower::{Layer, Service};

use super::response_hook::{ResponseHook, ResponseHookFuture};
use crate::http::error;
use crate::http::error::box_shape::{has_basic_credentials, is_box_path};
use crate::http::error::problem::Problem;
use crate::http::request_log::RequestLog;

/// Writes the body of each error, with the request's id in it. The problem stays with the response as an extension,
/// for the layers around this one.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProblemDocumentLayer;

impl<S> Layer<S> for ProblemDocumentLayer {
    type Service = ProblemDocumentService<S>;

    fn layer(&self, inner: S) -> ProblemDocumentService<S> {
        ProblemDocumentService { inner }
    }
}

/// The service of [`ProblemDocumentLayer`].
#[derive(Clone, Debug)]
pub(super) struct ProblemDocumentService<S> {
    inner: S,
}

impl<S, B> Service<Request> for ProblemDocumentService<S>
where
    S: Service<Request, Response = Response<B>>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseHookFuture<S::Future, ProblemDocumentHook>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let shape = match is_box_path(request.uri().path()) {
            true => ErrorShape::Box { by_header: has_basic_credentials(request.headers()) },
            false => ErrorShape::Problem,
        };
        let log = request.extensions().get::<RequestLog>().cloned().unwrap_or_default();
        ResponseHookFuture::new(self.inner.call(request), ProblemDocumentHook { shape, log })
    }
}

/// The shape in which a client reads errors.
#[derive(Clone, Copy, Debug)]
enum ErrorShape {
    /// A problem document (RFC 9457).
    Problem,
    /// The shape of Box's token endpoint.
    Box { by_header: bool },
}

/// The part of [`ProblemDocumentService`] that runs once the response is there.
#[derive(Debug)]
pub(super) struct ProblemDocumentHook {
    shape: ErrorShape,
    log: RequestLog,
}

impl<B> ResponseHook<B> for ProblemDocumentHook
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Body = Body;

    fn apply(self, mut response: Response<B>) -> Response {
        let problem = response.extensions_mut().remove::<Arc<Problem>>();
        let problem = problem.or_else(|| error::of_bare(response.status()).map(Arc::new));
        let Some(problem) = problem else { return response.map(Body::new) };
        let id = self.log.request_id();
        let mut document = match self.shape {
            ErrorShape::Problem => problem.render(id),
            ErrorShape::Box { by_header } => problem.render_as_box(id, by_header),
        };
        if let Some(allow) = response.headers_mut().remove(header::ALLOW) {
            document.headers_mut().insert(header::ALLOW, allow);
        }
        document.extensions_mut().insert(problem);
        document
    }
}
