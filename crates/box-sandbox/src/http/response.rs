//! Responses of the token endpoint, the API and downloads.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures::stream;
use serde_json::Value;

use super::error::ErrorResponse;
use crate::storage::FileContent;

const REQUEST_ID: HeaderName = HeaderName::from_static("box-request-id");

/// A response before faults alter it.
///
/// It has no `Debug`: the body of a token response contains the token.
pub(crate) struct SandboxResponse {
    pub(crate) status: StatusCode,
    pub(crate) json: Option<Value>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Bytes of a file, instead of a JSON body.
    pub(crate) file: Option<FileSlice>,
    /// Box's error code, for the journal.
    pub(crate) error_code: Option<String>,
    /// The SHA-256 of the issued token, for the journal.
    pub(crate) issued_token: Option<String>,
}

impl SandboxResponse {
    /// Returns 200 with a JSON body.
    pub(crate) fn json(body: Value) -> Self {
        Self { json: Some(body), ..Self::status_only(StatusCode::OK) }
    }

    /// Returns 201 with a JSON body.
    pub(crate) fn created(body: Value) -> Self {
        Self { json: Some(body), ..Self::status_only(StatusCode::CREATED) }
    }

    /// Returns a response without a body.
    pub(crate) fn status_only(status: StatusCode) -> Self {
        Self { status, json: None, headers: Vec::new(), file: None, error_code: None, issued_token: None }
    }

    /// Returns an error as a response.
    pub(crate) fn error(error: &ErrorResponse, request_id: &str) -> Self {
        let mut response = Self::status_only(error.status);
        response.json = error.body(request_id);
        response.error_code = Some(error.code.to_owned());
        match error.www_authenticate() {
            Some(challenge) => {
                response.with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge))
            }
            None => response,
        }
    }

    /// Notes the SHA-256 of the token that the response issues.
    pub(crate) fn with_issued_token(mut self, sha256: String) -> Self {
        self.issued_token = Some(sha256);
        self
    }

    /// Adds a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Returns the response as axum sends it.
    pub(crate) fn into_http(self, request_id: &str) -> Response {
        let mut response = match (self.file, self.json) {
            (Some(slice), _) => Response::new(slice.into_body()),
            (None, Some(json)) => json_response(json.to_string().into()),
            (None, None) => Response::new(Body::empty()),
        };
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            response.headers_mut().append(name, value);
        }
        add_common_headers(response, request_id)
    }
}

/// Returns a response with the content type of JSON.
pub(crate) fn json_response(body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Adds the headers that all of Box's responses have.
pub(crate) fn add_common_headers(mut response: Response, request_id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The bytes of a file that a response sends.
#[derive(Debug)]
pub(crate) struct FileSlice {
    pub(crate) content: FileContent,
    pub(crate) range: Range<u64>,
}

impl FileSlice {
    /// Returns a body that reads the bytes while it is sent, never all at once.
    fn into_body(self) -> Body {
        let content = Arc::new(self.content);
        Body::from_stream(stream::try_unfold(self.range, move |remaining| {
            let content = content.clone();
            async move {
                if remaining.is_empty() {
                    return Ok::<_, io::Error>(None);
                }
                let chunk = content.read(remaining.start, remaining.end - remaining.start).await?;
                let next = remaining.start + chunk.len() as u64;
                Ok(Some((chunk, next..remaining.end)))
            }
        }))
    }
}
