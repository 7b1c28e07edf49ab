//! The body of an upload: `attributes`, then the bytes (RFC 7578).

use axum::body::BodyDataStream;
use axum::http::StatusCode;
use multer::{Constraints, Field, Multipart, SizeLimit};
use serde_json::{Map, Value};

use crate::api::body;
use crate::api::context::View;
use crate::http::error::Refusal;
use crate::storage::{Content, Spool};

/// The largest `attributes`, in bytes.
const LARGEST_ATTRIBUTES: u64 = 64 * 1024;

/// Reads an upload. `check` judges the attributes before the bytes are taken.
pub(crate) async fn read<Checked>(
    view: &View<'_>,
    body: &mut BodyDataStream,
    check: impl FnOnce(&Map<String, Value>) -> Result<Checked, Refusal>,
) -> Result<(Checked, Content), Refusal> {
    let kind = view.call.header("content-type").unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(|problem| broken(&problem))?;
    let limits = SizeLimit::new().for_field("attributes", LARGEST_ATTRIBUTES);
    let mut form = Multipart::with_constraints(body, boundary, Constraints::new().size_limit(limits));
    let mut checked = None;
    let mut check = Some(check);
    while let Some(field) = form.next_field().await.map_err(|problem| broken(&problem))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "attributes" {
            let text = field.bytes().await.map_err(|problem| broken(&problem))?;
            let attributes = body::parse(&text)?;
            checked = check.take().map(|check| check(&attributes)).transpose()?.or(checked);
        } else if field.file_name().is_some() || name == "file" {
            let checked = checked.ok_or_else(out_of_order)?;
            return Ok((checked, bytes(view, field).await?));
        }
    }
    Err(Refusal::bad_request("The form has no 'file'"))
}

fn broken(problem: &multer::Error) -> Refusal {
    Refusal::bad_request(format!("The body is no multipart form: {problem}"))
}

fn out_of_order() -> Refusal {
    let message = "'attributes' must come before the file";
    Refusal::api(StatusCode::BAD_REQUEST, "metadata_after_file_contents", message)
}

/// The bytes of the file, which must have the SHA-1 that `Content-MD5` tells, where it does.
async fn bytes(view: &View<'_>, mut field: Field<'_>) -> Result<Content, Refusal> {
    let mut spool = Spool::new(&view.box_.allowance).map_err(|problem| Refusal::not_kept(&problem))?;
    while let Some(piece) = field.chunk().await.map_err(|problem| broken(&problem))? {
        spool.append(&piece).await.map_err(|problem| Refusal::not_kept(&problem))?;
    }
    let content = spool.finish().await.map_err(|problem| Refusal::not_kept(&problem))?;
    match view.call.header("content-md5") {
        Some(sha1) if !sha1.eq_ignore_ascii_case(content.sha1()) => {
            let message = "The bytes do not have the SHA-1 that 'Content-MD5' tells";
            Err(Refusal::api(StatusCode::BAD_REQUEST, "bad_digest", message))
        }
        _ => Ok(content),
    }
}
