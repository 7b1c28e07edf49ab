//! What is found or was used lately, and the lists that are always empty here.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::context::View;
use crate::api::fields::moment;
use crate::api::folders::page;
use crate::http::error::Refusal;
use crate::http::response::Answer;
use crate::scopes::Deed;
use crate::world::item_tree::{Item, ItemKind};

/// How many items were used lately, at most.
const RECENT: usize = 100;

/// `GET /2.0/search`: items whose name or description has each word of `query`, below the folders of
/// `ancestor_folder_ids` where these are named.
pub(crate) fn search(view: &View<'_>) -> Result<Answer, Refusal> {
    let query = view.call.query("query").unwrap_or_default().to_lowercase();
    let (offset, limit) = page(view)?;
    let words: Vec<&str> = query.split_whitespace().collect();
    if words.is_empty() {
        return Err(Refusal::bad_request("'query' is missing"));
    }
    let listed = |name: &str| {
        let list = view.call.query(name).filter(|list| !list.is_empty());
        list.map(|list| list.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
    };
    let (above, endings) = (listed("ancestor_folder_ids"), listed("file_extensions"));
    let kind = view.call.query("type");
    let fits = |item: &Item| {
        let text = format!("{} {}", item.name, item.description).to_lowercase();
        let below = |folder: &String| item.id != *folder && view.enterprise.tree.within(item, folder);
        words.iter().all(|word| text.contains(word))
            && above.as_ref().is_none_or(|above| above.iter().any(below))
            && kind.as_deref().is_none_or(|kind| kind == item.kind.as_str())
            && endings.as_ref().is_none_or(|endings| {
                item.kind == ItemKind::File
                    && endings.iter().any(|ending| item.name.ends_with(&format!(".{ending}")))
            })
    };
    let mut found = visible(view)?;
    found.retain(|item| fits(item));
    let entries: Vec<Value> = found.iter().skip(offset).take(limit).map(|item| view.listed(item)).collect();
    Ok(Answer::json(json!({
        "total_count": found.len(), "entries": entries, "offset": offset, "limit": limit,
        "type": "search_results_items",
    })))
}

/// `GET /2.0/recent_items`: the files changed last.
pub(crate) fn recent(view: &View<'_>) -> Result<Answer, Refusal> {
    let (_, limit) = page(view)?;
    let mut files = visible(view)?;
    files.retain(|item| item.kind == ItemKind::File);
    files.sort_by(|one, other| {
        other.modified_at.cmp(&one.modified_at).then_with(|| one.name.cmp(&other.name))
    });
    let entry = |item: &Arc<Item>| {
        json!({
            "type": "recent_item", "interaction_type": "item_modify", "interacted_at": moment(item.modified_at),
            "item": view.listed(item),
        })
    };
    let entries: Vec<Value> = files.iter().take(limit.min(RECENT)).map(entry).collect();
    Ok(Answer::json(json!({
        "entries": entries, "limit": limit, "next_marker": null,
        "order": { "by": "interacted_at", "direction": "DESC" },
    })))
}

/// Every item that the token reads, by id.
fn visible(view: &View<'_>) -> Result<Vec<Arc<Item>>, Refusal> {
    if !view.allows(Deed::Read) {
        return Err(Refusal::insufficient());
    }
    Ok(view.enterprise.tree.items().filter(|item| view.may(Deed::Read, item)).cloned().collect())
}

/// Lists that pages ask for and that are always empty: collaborations, comments, tasks, versions,
/// metadata and its templates, collections.
pub(crate) fn empty(view: &View<'_>, segments: &[&str]) -> Result<Answer, Refusal> {
    match segments {
        ["folders", id, "collaborations" | "metadata" | "watermark"] => {
            view.item(ItemKind::Folder, id, Deed::Read)?;
        }
        ["files", id, "collaborations" | "comments" | "tasks" | "versions" | "metadata"] => {
            view.item(ItemKind::File, id, Deed::Read)?;
        }
        ["metadata_templates", "global" | "enterprise"]
        | ["metadata_queries", "execute_read"]
        | ["collections" | "collaborations"] => {}
        _ => return Err(Refusal::not_found()),
    }
    Ok(Answer::json(json!({
        "total_count": 0, "entries": [], "offset": 0, "limit": 100, "next_marker": null, "prev_marker": null,
    })))
}
