//! Downloads: URLs that open a file once, and the bytes of files.
//!
//! This module owns the form of a download URL and of a response with file content. It must not decide who may
//! have a URL.

use axum::http::{HeaderValue, Method, StatusCode, header};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::{ErrorResponse, FileSlice, RangeRequest, SandboxRequest, SandboxResponse, cors};
use crate::media_types;
use crate::state::SandboxState;
use crate::storage::FileContent;

/// The path of download URLs.
pub(crate) const PATH: &str = "/dl";

/// Answers `GET /dl?ticket=…`.
pub(crate) fn handle(
    state: &SandboxState,
    request: &SandboxRequest,
) -> Result<SandboxResponse, ErrorResponse> {
    if request.method != Method::GET {
        return Err(ErrorResponse::method_not_allowed());
    }
    let ticket =
        request.query("ticket").and_then(|ticket| state.download_tickets.redeem(&ticket, state.now()));
    let ticket = ticket.ok_or_else(ErrorResponse::not_found)?;
    let app = state.directory.app(&ticket.client_id).ok_or_else(ErrorResponse::not_found)?;
    cors::check_origin(&app, request)?;
    let mut response = file_response(&ticket.content, &ticket.file_name, request)?
        .with_header(header::CONTENT_DISPOSITION, content_disposition(&ticket.file_name));
    response.headers.extend(cors::response_headers(Some(&app), request));
    Ok(response)
}

/// Returns a response with the content of a file, or with the bytes that the `Range` header requests.
pub(crate) fn file_response(
    content: &FileContent,
    file_name: &str,
    request: &SandboxRequest,
) -> Result<SandboxResponse, ErrorResponse> {
    let size = content.size();
    let requested = RangeRequest::parse(request.header("range"), size);
    let (status, range) = match &requested {
        RangeRequest::Bytes(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
        RangeRequest::Whole => (StatusCode::OK, 0..size),
        RangeRequest::Unsatisfiable => {
            let message = format!("The file has {size} bytes: the range lies beyond its end");
            return Err(ErrorResponse::api(StatusCode::RANGE_NOT_SATISFIABLE, "invalid_range", message));
        }
    };
    let mut response = SandboxResponse::status_only(status)
        .with_header(header::CONTENT_TYPE, HeaderValue::from_static(media_types::of_file_name(file_name)))
        .with_header(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start))
        .with_header(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", content.sha1())) {
        response = response.with_header(header::ETAG, etag);
    }
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) =
            HeaderValue::from_str(&format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1)))
    {
        response = response.with_header(header::CONTENT_RANGE, value);
    }
    response.file = Some(FileSlice { content: content.clone(), range });
    Ok(response)
}

/// Returns the header that makes browsers save the file under its name (RFC 6266, section 4.3).
fn content_disposition(file_name: &str) -> HeaderValue {
    let plain: String = file_name
        .chars()
        .map(|one| if one.is_ascii_graphic() && !matches!(one, '"' | '\\') || one == ' ' { one } else { '_' })
        .collect();
    let encoded = utf8_percent_encode(file_name, NON_ALPHANUMERIC);
    let text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''{encoded}");
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("attachment"))
}
