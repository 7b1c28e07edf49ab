//! Changes of items: rename, describe, move, share, delete.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use super::context::ApiContext;
use super::item_names::check_rename;
use super::json_body;
use crate::http::{ErrorResponse, SandboxResponse};
use crate::random;
use crate::scopes::ItemAction;
use crate::world::{Item, ItemKind, ItemTree, ROOT};

/// Answers `PUT /2.0/folders/{id}`.
pub(super) fn update_folder(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    update(context, ItemKind::Folder, id)
}

/// Answers `PUT /2.0/files/{id}`.
pub(super) fn update_file(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    update(context, ItemKind::File, id)
}

/// The changes that a request body asks for. `None` keeps a property.
struct ItemChange {
    name: Option<String>,
    description: Option<String>,
    parent: Option<String>,
    /// True to create a shared link, false to remove it.
    shared_link: Option<bool>,
}

impl ItemChange {
    fn parse(body: &Map<String, Value>) -> Result<Self, ErrorResponse> {
        let shared_link = match body.get("shared_link") {
            None => None,
            Some(Value::Null) => Some(false),
            Some(Value::Object(_)) => Some(true),
            Some(_) => return Err(ErrorResponse::bad_request("'shared_link' must be an object or null")),
        };
        Ok(Self {
            name: json_body::item_name(body)?,
            description: json_body::string(body, "description")?,
            parent: json_body::parent_id(body)?,
            shared_link,
        })
    }

    /// Returns the actions that the change performs on an item. Repeating a current value performs none.
    fn actions(&self, item: &Item) -> Vec<ItemAction> {
        let renames = self.name.as_ref().is_some_and(|name| *name != item.name) || self.description.is_some();
        let moves = self.parent.as_ref().is_some_and(|parent| parent != item.parent_id());
        let actions = [
            (renames, ItemAction::Rename),
            (moves, ItemAction::Move),
            (self.shared_link.is_some(), ItemAction::Share),
        ];
        actions.into_iter().filter(|(performed, _)| *performed).map(|(_, action)| action).collect()
    }
}

fn update(context: &ApiContext<'_>, kind: ItemKind, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let change = ItemChange::parse(&json_body::parse_request(context.request)?)?;
    let (enterprise, changed) = context.state.directory.update_items(&context.enterprise, |items| {
        let item = changeable_item(context, items, kind, id)?;
        context.check_if_match(&item)?;
        let actions = change.actions(&item);
        if actions.is_empty() {
            return context.item_in(items, kind, id, ItemAction::Read).map(|item| (*item).clone());
        }
        for action in actions {
            context.item_in(items, kind, id, action)?;
        }
        let item = apply(context, items, item, &change)?;
        items.put(item.clone());
        Ok(item)
    })?;
    Ok(SandboxResponse::json(context.with_enterprise(enterprise).item_json(&changed)))
}

/// Returns an item for which the token permits at least one change, or at least reading.
fn changeable_item(
    context: &ApiContext<'_>,
    items: &ItemTree,
    kind: ItemKind,
    id: &str,
) -> Result<Item, ErrorResponse> {
    if id == ROOT {
        return Err(ErrorResponse::insufficient_permissions());
    }
    let changes = [ItemAction::Rename, ItemAction::Share, ItemAction::Move, ItemAction::Delete];
    let permitted = changes.into_iter().find(|&action| context.scopes_permit(action));
    context.item_in(items, kind, id, permitted.unwrap_or(ItemAction::Read)).map(|item| (*item).clone())
}

fn apply(
    context: &ApiContext<'_>,
    items: &ItemTree,
    mut item: Item,
    change: &ItemChange,
) -> Result<Item, ErrorResponse> {
    if let Some(parent) = change.parent.as_deref().filter(|parent| *parent != item.parent_id()) {
        let target = context.item_in(items, ItemKind::Folder, parent, ItemAction::Upload)?;
        if items.is_within(&target, &item.id) {
            let message = "A folder cannot be put into itself or below itself";
            return Err(ErrorResponse::api(StatusCode::BAD_REQUEST, "cyclical_folder_structure", message));
        }
        context.place_in(&mut item, parent);
    }
    if let Some(name) = &change.name {
        item.name.clone_from(name);
    }
    check_rename(context, items, &item, &item.name)?;
    if let Some(description) = &change.description {
        item.description.clone_from(description);
    }
    match change.shared_link {
        Some(true) if item.shared_link.is_none() => {
            item.shared_link = Some(format!("https://app.box.com/s/{}", random::lowercase(32)));
        }
        Some(false) => item.shared_link = None,
        _ => {}
    }
    context.stamp_change(&mut item);
    Ok(item)
}

/// Answers `DELETE /2.0/files/{id}`.
pub(super) fn delete_file(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    delete(context, ItemKind::File, id)
}

/// Answers `DELETE /2.0/folders/{id}`. With `recursive=true` it deletes everything below the folder too.
pub(super) fn delete_folder(context: &ApiContext<'_>, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    delete(context, ItemKind::Folder, id)
}

fn delete(context: &ApiContext<'_>, kind: ItemKind, id: &str) -> Result<SandboxResponse, ErrorResponse> {
    let recursive = context.request.query("recursive").as_deref() == Some("true");
    context.state.directory.update_items(&context.enterprise, |items| {
        let item = context.item_in(items, kind, id, ItemAction::Delete)?;
        context.check_if_match(&item)?;
        if !recursive && items.iter().any(|child| child.parent.as_deref() == Some(id)) {
            let message = "Cannot complete the operation: the folder is not empty";
            return Err(ErrorResponse::api(StatusCode::BAD_REQUEST, "folder_not_empty", message));
        }
        items.remove(id);
        Ok(())
    })?;
    Ok(SandboxResponse::status_only(StatusCode::NO_CONTENT))
}
