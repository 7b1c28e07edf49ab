//! The body of an upload in one request: the part `attributes`, then the file (RFC 7578).

use axum::body::BodyDataStream;
use axum::http::StatusCode;
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::{Map, Value};

use super::context::ApiContext;
use super::json_body;
use crate::http::ErrorResponse;
use crate::storage::{ContentWriter, FileContent};

/// The largest part `attributes`, in bytes.
const MAX_ATTRIBUTES: u64 = 64 * 1024;

/// Reads an upload. `check` accepts or refuses the attributes before the file is read; its output is returned too.
pub(super) async fn read<Checked>(
    context: &ApiContext<'_>,
    body: &mut BodyDataStream,
    check: impl FnOnce(&Map<String, Value>) -> Result<Checked, ErrorResponse>,
) -> Result<(Checked, FileContent), ErrorResponse> {
    let content_type = context.request.header("content-type").unwrap_or_default();
    let boundary = multer::parse_boundary(content_type)?;
    let limits = SizeLimit::new().for_field("attributes", MAX_ATTRIBUTES);
    let mut form = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limits));
    let mut checked = None;
    let mut check = Some(check);
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "attributes" {
            let attributes = json_body::parse(&field.bytes().await?)?;
            checked = check.take().map(|check| check(&attributes)).transpose()?.or(checked);
        } else if field.file_name().is_some() || name == "file" {
            let checked = checked.ok_or_else(attributes_after_file)?;
            return Ok((checked, read_file(context, field).await?));
        }
    }
    Err(ErrorResponse::bad_request("The form has no 'file'"))
}

impl From<multer::Error> for ErrorResponse {
    fn from(error: multer::Error) -> Self {
        Self::bad_request(format!("The body is no multipart form: {error}"))
    }
}

fn attributes_after_file() -> ErrorResponse {
    let message = "'attributes' must come before the file";
    ErrorResponse::api(StatusCode::BAD_REQUEST, "metadata_after_file_contents", message)
}

/// Reads the file. Its SHA-1 must be the one in `Content-MD5`, if there is such a header.
async fn read_file(context: &ApiContext<'_>, mut field: Field<'_>) -> Result<FileContent, ErrorResponse> {
    let mut writer = ContentWriter::new(&context.state.quota)?;
    while let Some(chunk) = field.chunk().await? {
        writer.append(&chunk).await?;
    }
    let content = writer.finish().await?;
    match context.request.header("content-md5") {
        Some(sha1) if !sha1.eq_ignore_ascii_case(content.sha1()) => {
            Err(ErrorResponse::bad_digest("The bytes do not have the SHA-1 that 'Content-MD5' tells"))
        }
        _ => Ok(content),
    }
}
