//! What goes back to the caller, before faults spoil it.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use serde_json::Value;

use crate::download::Stretch;
use crate::http::error::{Refusal, Shape};

/// An answer of Box's side. The journal reads its error and which token it gives away. Without
/// `Debug`: it holds that token.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Option<Value>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Bytes of a file, in place of a body.
    pub(crate) stretch: Option<Stretch>,
    pub(crate) error: Option<String>,
    /// The SHA-256 of the token in the body.
    pub(crate) issued: Option<String>,
}

impl Answer {
    /// 200 with a JSON body.
    pub(crate) fn json(body: Value) -> Self {
        Self { body: Some(body), ..Self::empty(StatusCode::OK) }
    }

    /// 201 with a JSON body.
    pub(crate) fn created(body: Value) -> Self {
        Self { body: Some(body), ..Self::empty(StatusCode::CREATED) }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, body: None, headers: Vec::new(), stretch: None, error: None, issued: None }
    }

    /// The same, noting which token it gives away.
    pub(crate) fn issuing(mut self, sha256: String) -> Self {
        self.issued = Some(sha256);
        self
    }

    /// The same with one more header.
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// A refusal as an answer.
    pub(crate) fn refusal(refusal: &Refusal, request_id: &str) -> Self {
        let body = refusal.body(request_id);
        let mut answer = Self { body, error: Some(refusal.error.to_owned()), ..Self::empty(refusal.status) };
        if refusal.shape == Shape::DeadToken {
            let challenge = HeaderValue::from_static(
                "Bearer realm=\"Service\", error=\"invalid_token\", error_description=\"The access token \
                 provided is invalid.\"",
            );
            answer = answer.header(axum::http::header::WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}
