//! JSON bodies, of bounded length and with a time limit.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, OptionalFromRequest, Request};
use axum::http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;

use crate::http::error::ApiError;
use crate::registry::strict_json::{self, DecodeError};

/// The greatest length of a body, in bytes. A Box config is a tenth of it.
pub(crate) const BODY_LIMIT: usize = 64 * 1024;
/// The longest body with something in base64 in it that is not the caller's own.
const LONG_BODY_LIMIT: usize = 2 * 1024 * 1024;
/// The number of bytes of a longer body that are read and discarded before it is refused.
const HEARD_OUT: usize = 16 * 1024 * 1024;
/// The time that a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// A JSON body. As `Option<Json<T>>`, an empty body is `None`.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        needed(read(request, "application/json", BODY_LIMIT).await?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Option<Self>, ApiError> {
        Ok(read(request, "application/json", BODY_LIMIT).await?.map(Self))
    }
}

/// A JSON body that may be as long as one with a webhook's body in it.
#[derive(Debug)]
pub(crate) struct LongJson<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for LongJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        needed(read(request, "application/json", LONG_BODY_LIMIT).await?).map(Self)
    }
}

/// A merge patch (RFC 7396).
#[derive(Debug)]
pub(crate) struct MergePatch<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for MergePatch<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        needed(read(request, "application/merge-patch+json", BODY_LIMIT).await?).map(Self)
    }
}

fn needed<T>(body: Option<T>) -> Result<T, ApiError> {
    body.ok_or_else(|| ApiError::Malformed("This call needs a JSON body.".to_owned()))
}

async fn read<T: DeserializeOwned>(
    request: Request,
    wanted: &'static str,
    limit: usize,
) -> Result<Option<T>, ApiError> {
    let (parts, body) = request.into_parts();
    let bytes = whole(body, limit).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if !is_json(&parts.headers, wanted) {
        return Err(ApiError::UnsupportedMediaType(wanted));
    }
    parse(bytes).map(Some)
}

/// Returns the whole body, of at most `limit` bytes; empty if there is none.
pub(crate) async fn whole(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    if body.is_end_stream() {
        return Ok(Vec::new());
    }
    tokio::time::timeout(BODY_TIME, collect(body, limit)).await.unwrap_or_else(|_| Err(broke_off()))
}

/// Collects a body. One that is too long is read for a while and discarded, because a client that is cut off while
/// it sends never reads the response.
async fn collect(mut body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let (mut bytes, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| broke_off())?.into_data() else { continue };
        seen += data.len();
        if seen <= limit {
            bytes.extend_from_slice(&data);
        } else if seen > HEARD_OUT {
            break;
        }
    }
    if seen > limit { Err(ApiError::TooLarge(limit)) } else { Ok(bytes) }
}

fn broke_off() -> ApiError {
    ApiError::Malformed("The request's body broke off.".to_owned())
}

fn is_json(headers: &HeaderMap, wanted: &str) -> bool {
    let Some(kind) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json") || kind.eq_ignore_ascii_case(wanted)
}

/// Replaces byte order marks outside of strings by blanks. Windows editors put them before a file, which then gets
/// pasted into a body.
fn blank_byte_order_marks(body: &mut [u8]) {
    let (mut in_text, mut escaped) = (false, false);
    for at in 0..body.len() {
        match body[at] {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            _ if !in_text && body[at..].starts_with(b"\xef\xbb\xbf") => body[at..at + 3].fill(b' '),
            _ => {}
        }
    }
}

/// Parses a whole body.
pub(crate) fn parse<T: DeserializeOwned>(mut bytes: Vec<u8>) -> Result<T, ApiError> {
    blank_byte_order_marks(&mut bytes);
    let mut deserializer = serde_json::Deserializer::from_slice(&bytes);
    let value = strict_json::decode(&mut deserializer).map_err(|error| match error {
        DecodeError::Field(fault) => ApiError::Invalid(vec![fault]),
        DecodeError::NotJson(error) => ApiError::Malformed(format!("The body is not JSON: {error}.")),
    })?;
    deserializer
        .end()
        .map_err(|_| ApiError::Malformed("The body goes on behind the end of its JSON value.".to_owned()))?;
    Ok(value)
}
