//! Uploads in parts: sessions, their parts, and the commit.

use std::sync::Arc;

use axum::body::BodyDataStream;
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use super::context::ApiContext;
use super::listing::Paging;
use super::{json_body, upload_headers, uploads};
use crate::http::{ErrorResponse, SandboxResponse};
use crate::item_json::timestamp;
use crate::scopes::ItemAction;
use crate::state::{BodyDigest, UploadPart, UploadSession, UploadTarget};
use crate::world::ItemKind;

/// The lifetime of a session in hours, as at Box.
const LIFETIME: i64 = 24 * 7;

/// Answers `POST /2.0/files/upload_sessions`.
pub(super) fn open_for_new_file(context: &ApiContext<'_>) -> Result<SandboxResponse, ErrorResponse> {
    let body = json_body::parse_request(context.request)?;
    let missing = ErrorResponse::missing_field;
    let folder = json_body::id(&body, "folder_id")?.ok_or_else(|| missing("folder_id"))?;
    let name = json_body::string(&body, "file_name")?.ok_or_else(|| missing("file_name"))?;
    let name = json_body::valid_item_name(name)?;
    uploads::check_new_file(context, &folder, &name)?;
    open(context, &body, UploadTarget::NewFile { folder, name })
}

/// Answers `POST /2.0/files/{id}/upload_sessions`.
pub(super) fn open_for_new_version(
    context: &ApiContext<'_>,
    id: &str,
) -> Result<SandboxResponse, ErrorResponse> {
    let body = json_body::parse_request(context.request)?;
    context.item(ItemKind::File, id, ItemAction::Upload)?;
    open(context, &body, UploadTarget::NewVersion { file: id.to_owned() })
}

fn open(
    context: &ApiContext<'_>,
    body: &Map<String, Value>,
    target: UploadTarget,
) -> Result<SandboxResponse, ErrorResponse> {
    let size = json_body::number(body, "file_size")?;
    let size = size.ok_or_else(|| ErrorResponse::missing_field("file_size"))?;
    let (state, settings) = (context.state, &context.state.settings);
    let min_size = settings.min_chunked_size();
    if size < min_size.max(1) {
        let message =
            format!("The file has {size} bytes: files of less than {min_size} bytes come in one request");
        return Err(ErrorResponse::api(StatusCode::BAD_REQUEST, "file_size_too_small", message));
    }
    let now = state.now();
    let expires_at = now.checked_add(SignedDuration::from_hours(LIFETIME)).unwrap_or(now);
    let owner = (context.token.client_id.as_str(), &context.actor);
    let sizes = (size, settings.part_size());
    let session = UploadSession::new(&state.quota, owner, target, sizes, expires_at)?;
    let session = state.upload_sessions.put(session, now);
    Ok(SandboxResponse::created(session_json(context, &session)))
}

/// Returns a session that this app and subject opened, if the token still permits the upload.
fn find(context: &ApiContext<'_>, id: &str) -> Result<Arc<UploadSession>, ErrorResponse> {
    let session = context.state.upload_sessions.find(id, context.state.now());
    let is_own = |session: &Arc<UploadSession>| {
        session.client_id == context.token.client_id && session.subject == context.actor
    };
    let session = session.filter(is_own).ok_or_else(ErrorResponse::not_found)?;
    match &session.target {
        UploadTarget::NewFile { folder, .. } => context.item(ItemKind::Folder, folder, ItemAction::Upload)?,
        UploadTarget::NewVersion { file } => context.item(ItemKind::File, file, ItemAction::Upload)?,
    };
    Ok(session)
}

/// Answers `GET /2.0/files/upload_sessions/{id}`.
pub(super) fn show(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    Ok(SandboxResponse::json(session_json(context, &*find(context, id)?)))
}

fn session_json(context: &ApiContext<'_>, session: &UploadSession) -> Value {
    let url = format!("{}/api/2.0/files/upload_sessions/{}", context.base_url(), session.id);
    json!({
        "id": session.id,
        "type": "upload_session",
        "total_parts": session.total_parts(),
        "part_size": session.part_size,
        "num_parts_processed": session.parts().len(),
        "session_expires_at": timestamp(session.expires_at),
        "session_endpoints": {
            "upload_part": url, "commit": format!("{url}/commit"), "abort": url,
            "list_parts": format!("{url}/parts"), "status": url, "log_event": format!("{url}/log"),
        },
    })
}

/// Answers `PUT /2.0/files/upload_sessions/{id}`.
pub(super) async fn upload_part(
    context: &ApiContext<'_>,
    id: &str,
    body: &mut BodyDataStream,
) -> Result<SandboxResponse, ErrorResponse> {
    let session = find(context, id)?;
    let digest = upload_headers::digest(context.request.header("digest"))?;
    let (first, last, total) = upload_headers::content_range(context.request.header("content-range"))?;
    let length = session.part_size_at(first).filter(|length| first + length == last + 1);
    let length = length.filter(|_| total == session.size).ok_or_else(|| {
        let message = format!(
            "bytes {first}-{last}/{total} is no part: the file has {} bytes, and each part but the last {}, \
             beginning at a multiple of that",
            session.size, session.part_size
        );
        ErrorResponse::api(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
    })?;
    let bytes = read_part(body, length).await?;
    let part = session.store_part(first, bytes, digest).await?;
    Ok(SandboxResponse::json(json!({ "part": part_json(&part) })))
}

/// Reads a part of exactly `length` bytes.
async fn read_part(body: &mut BodyDataStream, length: u64) -> Result<Bytes, ErrorResponse> {
    let length = usize::try_from(length).map_err(|_| ErrorResponse::bad_request("The part is too large"))?;
    let mut bytes = BytesMut::with_capacity(length);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|_| ErrorResponse::bad_request("The body broke off"))?;
        if bytes.len() + chunk.len() > length {
            return Err(ErrorResponse::bad_request("The body is longer than 'Content-Range' says"));
        }
        bytes.extend_from_slice(&chunk);
    }
    if bytes.len() < length {
        return Err(ErrorResponse::bad_request("The body is shorter than 'Content-Range' says"));
    }
    Ok(bytes.freeze())
}

fn part_json(part: &UploadPart) -> Value {
    json!({ "part_id": part.id, "offset": part.offset, "size": part.size, "sha1": part.sha1 })
}

/// Answers `GET /2.0/files/upload_sessions/{id}/parts`.
pub(super) fn list_parts(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let parts = find(context, id)?.parts();
    let page = Paging::of_request(context)?;
    let entries: Vec<Value> = page.entries(&parts).map(part_json).collect();
    Ok(SandboxResponse::json(json!({
        "total_count": parts.len(), "entries": entries, "offset": page.offset, "limit": page.limit,
        "order": [{ "by": "offset", "direction": "ASC" }],
    })))
}

/// Answers `POST /2.0/files/upload_sessions/{id}/commit`.
pub(super) async fn commit(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let session = find(context, id)?;
    let body = json_body::parse_request(context.request)?;
    let digest = upload_headers::digest(context.request.header("digest"))?;
    let BodyDigest::Sha1(sha1) = digest else {
        return Err(ErrorResponse::bad_digest("'Digest' must tell the SHA-1 of the whole file"));
    };
    check_parts(&body, &session)?;
    let new_name = match body.get("attributes") {
        Some(Value::Object(attributes)) => json_body::item_name(attributes)?,
        _ => None,
    };
    if let UploadTarget::NewFile { folder, name } = &session.target {
        uploads::check_new_file(context, folder, new_name.as_deref().unwrap_or(name))?;
    }
    let content = session.finish(sha1).await?;
    let (enterprise, item) = match &session.target {
        UploadTarget::NewFile { folder, name } => {
            uploads::store_new_file(context, folder, new_name.as_deref().unwrap_or(name), content)?
        }
        UploadTarget::NewVersion { file } => {
            uploads::store_new_version(context, file, new_name.as_deref(), content)?
        }
    };
    context.state.upload_sessions.remove(&session.id);
    Ok(uploads::respond(&context.with_enterprise(enterprise), &item))
}

/// Checks that all parts have arrived, and that the body of a commit lists exactly these.
fn check_parts(body: &Map<String, Value>, session: &UploadSession) -> Result<(), ErrorResponse> {
    let mismatch = |message: String| ErrorResponse::api(StatusCode::BAD_REQUEST, "parts_mismatch", message);
    let parts = session.parts();
    if parts.len() as u64 != session.total_parts() {
        let message = format!("{} of {} parts arrived", parts.len(), session.total_parts());
        return Err(mismatch(message));
    }
    let Some(Value::Array(listed)) = body.get("parts") else {
        return Err(ErrorResponse::bad_request("'parts' must list the parts"));
    };
    let is_same = |part: &UploadPart, listed: &Value| {
        listed["part_id"] == json!(part.id)
            && listed["offset"] == json!(part.offset)
            && listed["size"] == json!(part.size)
    };
    // Clients that upload parts in parallel list them in the order in which they finished.
    let mut listed: Vec<&Value> = listed.iter().collect();
    listed.sort_by_key(|part| part["offset"].as_u64());
    if listed.len() == parts.len() && parts.iter().zip(listed).all(|(part, listed)| is_same(part, listed)) {
        Ok(())
    } else {
        Err(mismatch("'parts' are not those that were uploaded".to_owned()))
    }
}

/// Answers `POST /2.0/files/upload_sessions/{id}/log`, by which pages report their progress. The report is ignored.
pub(super) fn log(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    find(context, id)?;
    Ok(SandboxResponse::status_only(StatusCode::NO_CONTENT))
}

/// Answers `DELETE /2.0/files/upload_sessions/{id}`.
pub(super) fn abort(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let session = find(context, id)?;
    context.state.upload_sessions.remove(&session.id);
    Ok(SandboxResponse::status_only(StatusCode::NO_CONTENT))
}
