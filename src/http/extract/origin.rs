//! The origin of the page that sends a request.

use axum::http::{HeaderMap, HeaderValue, header};

/// Returns the one `Origin` of a request, whatever its value; `None` if there is none, or more than one.
pub(crate) fn sole_origin(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut values = headers.get_all(header::ORIGIN).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
