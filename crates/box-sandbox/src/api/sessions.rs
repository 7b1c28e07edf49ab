//! Uploads in parts: sessions, their parts, and their end.

use std::sync::Arc;

use axum::body::BodyDataStream;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use jiff::SignedDuration;
use serde_json::{Map, Value, json};

use crate::api::body;
use crate::api::context::View;
use crate::api::fields::moment;
use crate::api::folders::page;
use crate::api::upload;
use crate::http::error::Refusal;
use crate::http::response::Answer;
use crate::scopes::Deed;
use crate::state::upload_sessions::{Checksum, Part, Session, Target};
use crate::world::item_tree::ItemKind;

/// How long a session stays open, in hours, as at Box.
const LIFE: i64 = 24 * 7;

/// `POST /2.0/files/upload_sessions`.
pub(crate) fn open(view: &View<'_>) -> Result<Answer, Refusal> {
    let body = body::object(view.call)?;
    let missing = |field: &str| Refusal::bad_request(format!("'{field}' is missing"));
    let id = body::id(&body, "folder_id")?.ok_or_else(|| missing("folder_id"))?;
    let name = body::text(&body, "file_name")?.ok_or_else(|| missing("file_name"))?;
    let name = body::checked_name(name)?;
    upload::check_new(view, &view.enterprise.tree, &id, &name)?;
    begin(view, &body, Target::Folder { id, name })
}

/// `POST /2.0/files/{id}/upload_sessions`.
pub(crate) fn open_version(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let body = body::object(view.call)?;
    view.item(ItemKind::File, id, Deed::Upload)?;
    begin(view, &body, Target::File { id: id.to_owned() })
}

fn begin(view: &View<'_>, body: &Map<String, Value>, target: Target) -> Result<Answer, Refusal> {
    let size = body::number(body, "file_size")?;
    let size = size.ok_or_else(|| Refusal::bad_request("'file_size' is missing"))?;
    let (least, part_size) = view.box_.parts();
    if size < least.max(1) {
        let message =
            format!("The file has {size} bytes: files of less than {least} bytes come in one request");
        return Err(Refusal::api(StatusCode::BAD_REQUEST, "file_size_too_small", message));
    }
    let now = view.box_.now();
    let expires_at = now.checked_add(SignedDuration::from_hours(LIFE)).unwrap_or(now);
    let whose = (view.token.client_id.as_str(), &view.actor);
    let session = Session::new(&view.box_.allowance, whose, target, (size, part_size), expires_at);
    let session = session.map_err(|problem| Refusal::not_kept(&problem))?;
    let session = view.box_.sessions.put(session, now);
    Ok(Answer::created(shown(view, &session)))
}

/// A session of the same app and subject, whose token may still upload to where it leads.
fn session(view: &View<'_>, id: &str) -> Result<Arc<Session>, Refusal> {
    let session = view
        .box_
        .sessions
        .find(id, view.box_.now())
        .filter(|session| session.client_id == view.token.client_id && session.subject == view.actor);
    let session = session.ok_or_else(Refusal::not_found)?;
    match &session.target {
        Target::Folder { id, .. } => view.item(ItemKind::Folder, id, Deed::Upload)?,
        Target::File { id } => view.item(ItemKind::File, id, Deed::Upload)?,
    };
    Ok(session)
}

/// `GET /2.0/files/upload_sessions/{id}`.
pub(crate) fn status(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    Ok(Answer::json(shown(view, &*session(view, id)?)))
}

fn shown(view: &View<'_>, session: &Session) -> Value {
    let url = format!("{}/api/2.0/files/upload_sessions/{}", view.base(), session.id);
    json!({
        "id": session.id,
        "type": "upload_session",
        "total_parts": session.total_parts(),
        "part_size": session.part_size,
        "num_parts_processed": session.parts().len(),
        "session_expires_at": moment(session.expires_at),
        "session_endpoints": {
            "upload_part": url, "commit": format!("{url}/commit"), "abort": url,
            "list_parts": format!("{url}/parts"), "status": url, "log_event": format!("{url}/log"),
        },
    })
}

/// `PUT /2.0/files/upload_sessions/{id}`.
pub(crate) async fn part(view: &View<'_>, id: &str, body: &mut BodyDataStream) -> Result<Answer, Refusal> {
    let session = session(view, id)?;
    let checksum = checksum(view.call.header("digest").unwrap_or_default())?;
    let (first, last, total) = content_range(view.call.header("content-range").unwrap_or_default())?;
    let length = session.length_at(first).filter(|length| first + length == last + 1);
    let length = length.filter(|_| total == session.size).ok_or_else(|| {
        let message = format!(
            "bytes {first}-{last}/{total} is no part: the file has {} bytes, and each part but the last {}, \
             beginning at a multiple of that",
            session.size, session.part_size
        );
        Refusal::api(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable", message)
    })?;
    let bytes = collected(body, length).await?;
    let part = session.put(first, bytes, checksum).await?;
    Ok(Answer::json(json!({ "part": shown_part(&part) })))
}

/// The bytes of a part, which must be as many as its range says.
async fn collected(body: &mut BodyDataStream, length: u64) -> Result<Bytes, Refusal> {
    let length = usize::try_from(length).map_err(|_| Refusal::bad_request("The part is too large"))?;
    let mut bytes = BytesMut::with_capacity(length);
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|_| Refusal::bad_request("The body broke off"))?;
        if bytes.len() + piece.len() > length {
            return Err(Refusal::bad_request("The body is longer than 'Content-Range' says"));
        }
        bytes.extend_from_slice(&piece);
    }
    if bytes.len() < length {
        return Err(Refusal::bad_request("The body is shorter than 'Content-Range' says"));
    }
    Ok(bytes.freeze())
}

/// `Digest: sha=…` or `sha-256=…`, in base64 (RFC 3230).
fn checksum(header: &str) -> Result<Checksum, Refusal> {
    let read = || {
        let (algorithm, value) = header.split_once('=')?;
        let bytes = STANDARD.decode(value.trim()).ok()?;
        match algorithm.trim().to_ascii_lowercase().as_str() {
            "sha" | "sha-1" => bytes.try_into().ok().map(Checksum::Sha1),
            "sha-256" => bytes.try_into().ok().map(Checksum::Sha256),
            _ => None,
        }
    };
    read().ok_or_else(|| {
        let message = "'Digest' must be 'sha=' and the SHA-1 in base64";
        Refusal::api(StatusCode::BAD_REQUEST, "bad_digest", message)
    })
}

/// `Content-Range: bytes first-last/total` (RFC 9110, section 14.4).
fn content_range(header: &str) -> Result<(u64, u64, u64), Refusal> {
    let read = || {
        let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        (first <= last && last < u64::MAX).then_some((first, last, total.parse().ok()?))
    };
    read().ok_or_else(|| Refusal::bad_request("'Content-Range' must be 'bytes first-last/total'"))
}

fn shown_part(part: &Part) -> Value {
    json!({ "part_id": part.id, "offset": part.offset, "size": part.size, "sha1": part.sha1 })
}

/// `GET /2.0/files/upload_sessions/{id}/parts`.
pub(crate) fn parts(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let parts = session(view, id)?.parts();
    let (offset, limit) = page(view)?;
    let entries: Vec<Value> = parts.iter().skip(offset).take(limit).map(shown_part).collect();
    let order = json!([{ "by": "offset", "direction": "ASC" }]);
    Ok(Answer::json(json!({
        "total_count": parts.len(), "entries": entries, "offset": offset, "limit": limit, "order": order,
    })))
}

/// `POST /2.0/files/upload_sessions/{id}/commit`.
pub(crate) async fn commit(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let session = session(view, id)?;
    let body = body::object(view.call)?;
    let Checksum::Sha1(sha1) = checksum(view.call.header("digest").unwrap_or_default())? else {
        let message = "'Digest' must tell the SHA-1 of the whole file";
        return Err(Refusal::api(StatusCode::BAD_REQUEST, "bad_digest", message));
    };
    agree(&body, &session)?;
    let name = match body.get("attributes") {
        Some(Value::Object(attributes)) => body::name(attributes)?,
        _ => None,
    };
    if let Target::Folder { id, name: first } = &session.target {
        let name = name.as_deref().unwrap_or(first);
        upload::check_new(view, &view.enterprise.tree, id, name)?;
    }
    let content = session.finish(sha1).await?;
    let (enterprise, item) = match &session.target {
        Target::Folder { id, name: first } => {
            upload::put_new(view, id, name.as_deref().unwrap_or(first), content)?
        }
        Target::File { id } => upload::put_version(view, id, name.as_deref(), content)?,
    };
    view.box_.sessions.remove(&session.id);
    Ok(upload::collection(&view.after(enterprise), &item))
}

/// Whether every part arrived, and the sender names exactly those, as they are.
fn agree(body: &Map<String, Value>, session: &Session) -> Result<(), Refusal> {
    let mismatch = |message: String| Refusal::api(StatusCode::BAD_REQUEST, "parts_mismatch", message);
    let parts = session.parts();
    if parts.len() as u64 != session.total_parts() {
        let message = format!("{} of {} parts arrived", parts.len(), session.total_parts());
        return Err(mismatch(message));
    }
    let Some(Value::Array(named)) = body.get("parts") else {
        return Err(Refusal::bad_request("'parts' must list the parts"));
    };
    let same = |part: &Part, named: &Value| {
        named["part_id"] == json!(part.id)
            && named["offset"] == json!(part.offset)
            && named["size"] == json!(part.size)
    };
    // Parts that were sent side by side may be named in the order in which they were done.
    let mut named: Vec<&Value> = named.iter().collect();
    named.sort_by_key(|part| part["offset"].as_u64());
    if named.len() == parts.len() && parts.iter().zip(named).all(|(part, named)| same(part, named)) {
        Ok(())
    } else {
        Err(mismatch("'parts' are not those that were uploaded".to_owned()))
    }
}

/// `POST /2.0/files/upload_sessions/{id}/log`: pages tell how it went; nobody reads it.
pub(crate) fn log(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    session(view, id)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// `DELETE /2.0/files/upload_sessions/{id}`.
pub(crate) fn abort(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let session = session(view, id)?;
    view.box_.sessions.remove(&session.id);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
