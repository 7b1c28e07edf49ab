//! The rule that names are unique within a folder.

use axum::http::StatusCode;
use serde_json::json;

use super::context::ApiContext;
use crate::http::ErrorResponse;
use crate::item_json;
use crate::scopes::ItemAction;
use crate::world::{Item, ItemKind, ItemTree};

/// Checks that a new item of this kind and name may be created in a folder.
pub(super) fn check_new_item(
    context: &ApiContext<'_>,
    items: &ItemTree,
    kind: ItemKind,
    (folder, name): (&str, &str),
) -> Result<(), ErrorResponse> {
    context.item_in(items, ItemKind::Folder, folder, ItemAction::Upload)?;
    check_unused(context, items, kind, (folder, name), None)
}

/// Checks that an item may get another name, or keep its own, in the folder that contains it.
pub(super) fn check_rename(
    context: &ApiContext<'_>,
    items: &ItemTree,
    item: &Item,
    name: &str,
) -> Result<(), ErrorResponse> {
    check_unused(context, items, item.kind, (item.parent_id(), name), Some(&item.id))
}

/// Checks that no item of the folder, other than `except`, has the name.
fn check_unused(
    context: &ApiContext<'_>,
    items: &ItemTree,
    kind: ItemKind,
    (folder, name): (&str, &str),
    except: Option<&str>,
) -> Result<(), ErrorResponse> {
    let existing = items.child_by_name(folder, name, &context.collaborator);
    let Some(other) = existing.filter(|item| Some(item.id.as_str()) != except) else { return Ok(()) };
    // Box reports one conflict for a file, and a list of them for a folder.
    let conflicts = match kind {
        ItemKind::File => item_json::mini(other),
        ItemKind::Folder => json!([item_json::mini(other)]),
    };
    let message = "Item with the same name already exists";
    let error = ErrorResponse::api(StatusCode::CONFLICT, "item_name_in_use", message);
    Err(error.with_context(json!({ "conflicts": conflicts })))
}
