//! Uploads in one request: the preflight, new files, new versions.

use std::sync::Arc;

use axum::body::BodyDataStream;
use serde_json::{Map, Value, json};

use super::context::ApiContext;
use super::item_names::{check_new_item, check_rename};
use super::{json_body, multipart};
use crate::http::{ErrorResponse, SandboxResponse};
use crate::random;
use crate::scopes::ItemAction;
use crate::storage::{FileContent, StorageError};
use crate::world::{Enterprise, FileVersion, Item, ItemKind, ItemTree};

/// Answers `OPTIONS /2.0/files/content` and `OPTIONS /2.0/files/{id}/content`: whether an upload would be
/// accepted, and its URL.
pub(super) fn preflight(
    context: &ApiContext<'_>,
    segments: &[&str],
) -> Result<SandboxResponse, ErrorResponse> {
    let body = json_body::parse_request(context.request)?;
    let path = match segments {
        ["files", "content"] => {
            let (folder, name) = json_body::new_item(&body)?;
            check_new_file(context, &folder, &name)?;
            "files/content".to_owned()
        }
        ["files", id, "content"] => {
            let item = context.item(ItemKind::File, id, ItemAction::Upload)?;
            let name = json_body::item_name(&body)?;
            check_version_name(context, &context.enterprise.items, &item, name.as_deref())?;
            format!("files/{id}/content")
        }
        _ => return Err(ErrorResponse::method_not_allowed()),
    };
    let limit = context.state.quota.limit();
    if json_body::number(&body, "size")?.is_some_and(|size| size > limit) {
        return Err(StorageError::QuotaExceeded { limit }.into());
    }
    let url = format!("{}/api/2.0/{path}", context.base_url());
    Ok(SandboxResponse::json(json!({ "upload_url": url, "upload_token": random::alphanumeric(32) })))
}

/// Checks that a new file may be uploaded to a folder under this name.
pub(super) fn check_new_file(
    context: &ApiContext<'_>,
    folder: &str,
    name: &str,
) -> Result<(), ErrorResponse> {
    check_new_item(context, &context.enterprise.items, ItemKind::File, (folder, name))
}

/// Checks that a new version may give the file this name, if it names one.
fn check_version_name(
    context: &ApiContext<'_>,
    items: &ItemTree,
    file: &Item,
    name: Option<&str>,
) -> Result<(), ErrorResponse> {
    name.map_or(Ok(()), |name| check_rename(context, items, file, name))
}

/// Answers `POST /2.0/files/content`.
pub(super) async fn new_file(
    context: &ApiContext<'_>,
    body: &mut BodyDataStream,
) -> Result<SandboxResponse, ErrorResponse> {
    let check = |attributes: &Map<String, Value>| {
        let (folder, name) = json_body::new_item(attributes)?;
        check_new_file(context, &folder, &name)?;
        Ok((folder, name))
    };
    let ((folder, name), content) = multipart::read(context, body, check).await?;
    let (enterprise, item) = store_new_file(context, &folder, &name, content)?;
    Ok(respond(&context.with_enterprise(enterprise), &item))
}

/// Answers `POST /2.0/files/{id}/content`.
pub(super) async fn new_version(
    context: &ApiContext<'_>,
    id: &str,
    body: &mut BodyDataStream,
) -> Result<SandboxResponse, ErrorResponse> {
    let item = context.item(ItemKind::File, id, ItemAction::Upload)?;
    context.check_if_match(&item)?;
    let check = |attributes: &Map<String, Value>| {
        let name = json_body::item_name(attributes)?;
        check_version_name(context, &context.enterprise.items, &item, name.as_deref())?;
        Ok(name)
    };
    let (name, content) = multipart::read(context, body, check).await?;
    let (enterprise, item) = store_new_version(context, id, name.as_deref(), content)?;
    Ok(respond(&context.with_enterprise(enterprise), &item))
}

/// Adds a file to a folder. Returns the changed enterprise and the file.
pub(super) fn store_new_file(
    context: &ApiContext<'_>,
    folder: &str,
    name: &str,
    content: FileContent,
) -> Result<(Arc<Enterprise>, Item), ErrorResponse> {
    let directory = &context.state.directory;
    directory.update_items(&context.enterprise, |items| {
        check_new_item(context, items, ItemKind::File, (folder, name))?;
        let mut item = context.new_item(ItemKind::File, folder, name.to_owned());
        item.version = Some(FileVersion { id: directory.new_item_id(), number: 1, content });
        items.put(item.clone());
        Ok(item)
    })
}

/// Replaces the content of a file, and its name if there is a new one. Returns the changed enterprise and the file.
pub(super) fn store_new_version(
    context: &ApiContext<'_>,
    id: &str,
    name: Option<&str>,
    content: FileContent,
) -> Result<(Arc<Enterprise>, Item), ErrorResponse> {
    let directory = &context.state.directory;
    directory.update_items(&context.enterprise, |items| {
        let mut item = (*context.item_in(items, ItemKind::File, id, ItemAction::Upload)?).clone();
        context.check_if_match(&item)?;
        check_version_name(context, items, &item, name)?;
        if let Some(name) = name {
            name.clone_into(&mut item.name);
        }
        let number = item.version.as_ref().map_or(1, |version| version.number + 1);
        item.version = Some(FileVersion { id: directory.new_item_id(), number, content });
        context.stamp_change(&mut item);
        items.put(item.clone());
        Ok(item)
    })
}

/// Returns the response to a completed upload.
pub(super) fn respond(context: &ApiContext<'_>, item: &Item) -> SandboxResponse {
    SandboxResponse::created(json!({ "total_count": 1, "entries": [context.item_json(item)] }))
}
