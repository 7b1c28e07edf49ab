//! A keypair as responses show it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::domain::app::{App, Keypair};
use crate::registry::activation_steps;

/// A keypair made by the broker. Its private half never leaves the broker.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Keypair)]
pub(crate) struct KeypairResponse<'a> {
    /// The keypair's id.
    #[schema(value_type = String)]
    id: &'a str,
    /// The public half in PEM, for Box.
    public_key: &'a str,
    /// The steps to take with it, in order.
    steps: Vec<String>,
}

impl<'a> KeypairResponse<'a> {
    /// `path` is where the app's keypairs are.
    pub(crate) fn of(app: &App, keypair: &'a Keypair, path: &str) -> Self {
        Self {
            id: keypair.id.as_str(),
            public_key: &keypair.public_key,
            steps: activation_steps(app, keypair, path),
        }
    }

    /// The answer to whoever had it made.
    pub(crate) fn created(self) -> Response {
        let headers = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        (StatusCode::CREATED, headers, axum::Json(self)).into_response()
    }
}
