//! Folders: metadata, the items in them, and new folders.

use serde_json::{Value, json};

use super::context::ApiContext;
use super::item_names::check_new_item;
use super::json_body;
use super::listing::{ItemOrder, Paging, query_number, sorted_children};
use crate::http::{ErrorResponse, SandboxResponse};
use crate::scopes::ItemAction;
use crate::world::ItemKind;

/// Answers `GET /2.0/folders/{id}`.
pub(super) fn show(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let item = context.item(ItemKind::Folder, id, ItemAction::Read)?;
    Paging::of_request(context)?;
    Ok(SandboxResponse::json(context.item_json(&item)))
}

/// Answers `GET /2.0/folders/{id}/items`, with pages by offset or by marker.
pub(super) fn list_items(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let item = context.item(ItemKind::Folder, id, ItemAction::Read)?;
    let Paging { limit, .. } = Paging::of_request(context)?;
    if context.request.query("usemarker").as_deref() != Some("true") {
        return Ok(SandboxResponse::json(context.item_collection(&item)));
    }
    let children = sorted_children(context, &item, &ItemOrder::of_request(context));
    // The marker is the offset of the next page. Clients must treat it as opaque, like Box's own.
    let page = Paging { offset: query_number(context, "marker", 0)?, limit };
    let entries: Vec<Value> = page.entries(&children).map(|item| context.entry_json(item)).collect();
    let next = page.offset.saturating_add(limit);
    let next_marker = if next < children.len() { next.to_string() } else { String::new() };
    Ok(SandboxResponse::json(json!({ "entries": entries, "limit": limit, "next_marker": next_marker })))
}

/// Answers `POST /2.0/folders`.
pub(super) fn create(context: &ApiContext<'_>) -> Result<SandboxResponse, ErrorResponse> {
    let body = json_body::parse_request(context.request)?;
    let (parent, name) = json_body::new_item(&body)?;
    context.item(ItemKind::Folder, &parent, ItemAction::Upload)?;
    let (enterprise, created) = context.state.directory.update_items(&context.enterprise, |items| {
        check_new_item(context, items, ItemKind::Folder, (&parent, &name))?;
        let item = context.new_item(ItemKind::Folder, &parent, name);
        items.put(item.clone());
        Ok::<_, ErrorResponse>(item)
    })?;
    Ok(SandboxResponse::created(context.with_enterprise(enterprise).item_json(&created)))
}
