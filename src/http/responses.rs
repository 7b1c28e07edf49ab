//! The parts of responses that several resources share.

use axum::http::{HeaderMap, HeaderValue, header};
use serde::Serialize;

use crate::registry::FieldError;

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ListResponse<T> {
    /// The things.
    pub items: Vec<T>,
    /// The `cursor` of the next page; none on the last page.
    pub next_cursor: Option<String>,
}

/// The header by which a later change can name this version.
pub(crate) fn etag(version: i64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        headers.insert(header::ETAG, value);
    }
    headers
}

/// Something that was not used.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct WarningResponse<'a> {
    /// The field's JSON pointer (RFC 6901).
    pointer: &'a str,
    /// The warning.
    detail: &'a str,
}

pub(crate) fn warnings(faults: &[FieldError]) -> Vec<WarningResponse<'_>> {
    faults.iter().map(|fault| WarningResponse { pointer: &fault.pointer, detail: &fault.detail }).collect()
}
