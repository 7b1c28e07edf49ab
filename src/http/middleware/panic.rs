//! The answer to a request whose handler panicked.

use std::any::Any;

use axum::body::Body;
use axum::http::Response;
use axum::response::IntoResponse;
use tower_http::catch_panic::ResponseForPanic;

use crate::http::error::ApiError;

/// Answers a panic as any other internal error.
#[derive(Clone, Copy, Debug)]
pub(super) struct PanicResponse;

impl ResponseForPanic for PanicResponse {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send + 'static>) -> Response<Body> {
        ApiError::Panicked.into_response()
    }
}
