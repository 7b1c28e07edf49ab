//! Folders: what is said of them, what lies in them, and new ones.

use std::cmp::Ordering;
use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::api::body;
use crate::api::context::View;
use crate::api::fields::mini;
use crate::http::error::Refusal;
use crate::http::response::Answer;
use crate::scopes::Deed;
use crate::world::item_tree::{Item, ItemKind, ROOT, Tree};

/// The most entries of a page.
const LONGEST: usize = 1000;

/// `GET /2.0/folders/{id}`.
pub(crate) fn folder(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let item = view.item(ItemKind::Folder, id, Deed::Read)?;
    page(view)?;
    Ok(Answer::json(view.whole(&item)))
}

/// `GET /2.0/folders/{id}/items`, by offset or by marker.
pub(crate) fn items(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let item = view.item(ItemKind::Folder, id, Deed::Read)?;
    let (_, limit) = page(view)?;
    if view.call.query("usemarker").as_deref() != Some("true") {
        return Ok(Answer::json(view.inside(&item)));
    }
    let children = sorted(view, &item);
    // A marker is where the next page begins; Box's own are as little to be made up.
    let from = view.number("marker", 0)?;
    let next = from.saturating_add(limit);
    let entries: Vec<Value> = children.iter().skip(from).take(limit).map(|item| view.listed(item)).collect();
    let mut listing = json!({ "entries": entries, "limit": limit });
    listing["next_marker"] = if next < children.len() { json!(next.to_string()) } else { json!("") };
    Ok(Answer::json(listing))
}

/// The offset and limit that the call asks for.
pub(crate) fn page(view: &View<'_>) -> Result<(usize, usize), Refusal> {
    let limit = view.number("limit", 100)?;
    if limit == 0 {
        return Err(Refusal::bad_request("'limit' must be at least 1"));
    }
    Ok((view.number("offset", 0)?, limit.min(LONGEST)))
}

/// What lies in a folder, in the order that the call asks for.
fn sorted(view: &View<'_>, folder: &Item) -> Vec<Arc<Item>> {
    let mut children: Vec<Arc<Item>> =
        view.enterprise.tree.children(&folder.id, &view.member).into_iter().cloned().collect();
    let by = view.call.query("sort").unwrap_or_default();
    let descending = view.call.query("direction").is_some_and(|way| way.eq_ignore_ascii_case("desc"));
    children.sort_by(|one, other| {
        let by_kind = (one.kind == ItemKind::File).cmp(&(other.kind == ItemKind::File));
        let order = compared(&view.enterprise.tree, &by, one, other);
        by_kind.then(if descending { order.reverse() } else { order })
    });
    children
}

fn compared(tree: &Tree, by: &str, one: &Item, other: &Item) -> Ordering {
    let by_name = || one.name.to_lowercase().cmp(&other.name.to_lowercase());
    match by {
        "id" => one.id.cmp(&other.id),
        "date" | "modified_at" => one.modified_at.cmp(&other.modified_at).then_with(by_name),
        "size" => tree.weight(one).cmp(&tree.weight(other)).then_with(by_name),
        _ => by_name(),
    }
}

impl View<'_> {
    /// A page of what lies in a folder, as the folder shows it and as `items` lists it.
    pub(crate) fn inside(&self, folder: &Item) -> Value {
        let (offset, limit) = page(self).unwrap_or((0, LONGEST));
        let children = sorted(self, folder);
        let page = children.iter().skip(offset).take(limit);
        let entries: Vec<Value> = page.map(|item| self.listed(item)).collect();
        let by = self.call.query("sort").filter(|by| !by.is_empty()).unwrap_or_else(|| "name".to_owned());
        let descending = self.call.query("direction").is_some_and(|way| way.eq_ignore_ascii_case("desc"));
        json!({
            "total_count": children.len(), "entries": entries, "offset": offset, "limit": limit,
            "order": [
                { "by": "type", "direction": "ASC" },
                { "by": by, "direction": if descending { "DESC" } else { "ASC" } },
            ],
        })
    }
}

/// `POST /2.0/folders`.
pub(crate) fn create(view: &View<'_>) -> Result<Answer, Refusal> {
    let body = body::object(view.call)?;
    let name = body::name(&body)?.ok_or_else(|| Refusal::bad_request("'name' is missing"))?;
    let parent = body::parent(&body)?.ok_or_else(|| Refusal::bad_request("'parent.id' is missing"))?;
    view.item(ItemKind::Folder, &parent, Deed::Upload)?;
    let (enterprise, made) = view.box_.change_tree(&view.enterprise, |tree| {
        view.item_in(tree, ItemKind::Folder, &parent, Deed::Upload)?;
        free_name(view, tree, &parent, &name, None, ItemKind::Folder)?;
        let item = view.made(ItemKind::Folder, &parent, name);
        tree.put(item.clone());
        Ok(item)
    })?;
    Ok(Answer::created(view.after(enterprise).whole(&made)))
}

impl View<'_> {
    /// A new item in a folder.
    pub(crate) fn made(&self, kind: ItemKind, folder: &str, name: String) -> Item {
        let mut item = Item::new(kind, self.box_.next_id(), name, self.person(), self.box_.now());
        if folder == ROOT {
            item.members.insert(self.member.clone());
        } else {
            item.parent = Some(folder.to_owned());
        }
        item
    }
}

/// Refuses a name that an item of the folder has already, other than the one it is meant for.
pub(crate) fn free_name(
    view: &View<'_>,
    tree: &Tree,
    folder: &str,
    name: &str,
    of: Option<&str>,
    kind: ItemKind,
) -> Result<(), Refusal> {
    let Some(other) = tree.called(folder, name, &view.member).filter(|item| Some(item.id.as_str()) != of)
    else {
        return Ok(());
    };
    // Box shows one for a file, and a list for a folder.
    let conflicts = match kind {
        ItemKind::File => mini(other),
        ItemKind::Folder => json!([mini(other)]),
    };
    let message = "Item with the same name already exists";
    let refusal = Refusal::api(StatusCode::CONFLICT, "item_name_in_use", message);
    Err(refusal.with_context(json!({ "conflicts": conflicts })))
}
