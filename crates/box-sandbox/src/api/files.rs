//! Files: metadata, content and representations.

use axum::http::{HeaderValue, StatusCode, header};

use super::context::ApiContext;
use super::representations;
use crate::download;
use crate::http::{ErrorResponse, SandboxResponse};
use crate::scopes::ItemAction;
use crate::world::ItemKind;

/// Answers `GET /2.0/files/{id}`.
pub(super) fn show(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let item = context.item(ItemKind::File, id, ItemAction::Read)?;
    Ok(SandboxResponse::json(context.item_json(&item)))
}

/// Answers `GET /2.0/files/{id}/content` with a redirect to a download URL, which needs no token.
pub(super) fn download(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let item = context.item(ItemKind::File, id, ItemAction::Download)?;
    let url = representations::download_url(context, &item).ok_or_else(ErrorResponse::not_found)?;
    let url = HeaderValue::from_str(&url).map_err(|_| ErrorResponse::bad_request("'Host' is no host"))?;
    Ok(SandboxResponse::status_only(StatusCode::FOUND).with_header(header::LOCATION, url))
}

/// Answers `GET …/representations/{name}`, the state of a representation. It is always ready.
pub(super) fn show_representation(
    context: &ApiContext<'_>,
    id: &str,
) -> Result<SandboxResponse, ErrorResponse> {
    let item = context.item(ItemKind::File, id, ItemAction::Preview)?;
    let first = representations::list(context, &item).into_iter().next();
    first.map(SandboxResponse::json).ok_or_else(ErrorResponse::not_found)
}

/// Answers `GET …/representations/{name}/content/…` with the file's own content, which is what texts and pictures
/// are shown by.
pub(super) fn representation_content(
    context: &ApiContext<'_>,
    id: &str,
) -> Result<SandboxResponse, ErrorResponse> {
    let item = context.item(ItemKind::File, id, ItemAction::Preview)?;
    let version = item.version.as_ref().filter(|_| representations::available_for(&item));
    let version = version.ok_or_else(ErrorResponse::not_found)?;
    download::file_response(&version.content, &item.name, context.request)
}
