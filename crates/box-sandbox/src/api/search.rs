//! Search, and the recently used items.

use std::sync::Arc;

use serde_json::{Value, json};

use super::context::ApiContext;
use super::listing::Paging;
use crate::http::{ErrorResponse, SandboxResponse};
use crate::item_json::timestamp;
use crate::scopes::ItemAction;
use crate::world::{Item, ItemKind};

/// The largest number of recently used items.
const MAX_RECENT: usize = 100;

/// Answers `GET /2.0/search`: items whose name or description contains each word of `query`, below the folders of
/// `ancestor_folder_ids` if there are any.
pub(super) fn search(context: &ApiContext<'_>) -> Result<SandboxResponse, ErrorResponse> {
    let query = context.request.query("query").unwrap_or_default().to_lowercase();
    let page = Paging::of_request(context)?;
    let words: Vec<&str> = query.split_whitespace().collect();
    if words.is_empty() {
        return Err(ErrorResponse::missing_field("query"));
    }
    let list = |name: &str| {
        let list = context.request.query(name).filter(|list| !list.is_empty());
        list.map(|list| list.split(',').map(|one| one.trim().to_owned()).collect::<Vec<_>>())
    };
    let (ancestors, extensions) = (list("ancestor_folder_ids"), list("file_extensions"));
    let kind = context.request.query("type");
    let matches = |item: &Item| {
        let text = format!("{} {}", item.name, item.description).to_lowercase();
        let is_below =
            |folder: &String| item.id != *folder && context.enterprise.items.is_within(item, folder);
        words.iter().all(|word| text.contains(word))
            && ancestors.as_ref().is_none_or(|ancestors| ancestors.iter().any(is_below))
            && kind.as_deref().is_none_or(|kind| kind == item.kind.as_str())
            && extensions.as_ref().is_none_or(|extensions| {
                let has = |extension: &String| item.name.ends_with(&format!(".{extension}"));
                item.kind == ItemKind::File && extensions.iter().any(has)
            })
    };
    let mut found = readable_items(context)?;
    found.retain(|item| matches(item));
    let entries: Vec<Value> = page.entries(&found).map(|item| context.entry_json(item)).collect();
    Ok(SandboxResponse::json(json!({
        "total_count": found.len(), "entries": entries, "offset": page.offset, "limit": page.limit,
        "type": "search_results_items",
    })))
}

/// Answers `GET /2.0/recent_items`: the files that were changed last.
pub(super) fn recent_items(context: &ApiContext<'_>) -> Result<SandboxResponse, ErrorResponse> {
    let Paging { limit, .. } = Paging::of_request(context)?;
    let mut files = readable_items(context)?;
    files.retain(|item| item.kind == ItemKind::File);
    files.sort_by(|one, other| {
        other.modified.at.cmp(&one.modified.at).then_with(|| one.name.cmp(&other.name))
    });
    let entry = |item: &Arc<Item>| {
        json!({
            "type": "recent_item", "interaction_type": "item_modify",
            "interacted_at": timestamp(item.modified.at), "item": context.entry_json(item),
        })
    };
    let entries: Vec<Value> = files.iter().take(limit.min(MAX_RECENT)).map(entry).collect();
    Ok(SandboxResponse::json(json!({
        "entries": entries, "limit": limit, "next_marker": null,
        "order": { "by": "interacted_at", "direction": "DESC" },
    })))
}

/// Returns all items that the token may read, ordered by id.
fn readable_items(context: &ApiContext<'_>) -> Result<Vec<Arc<Item>>, ErrorResponse> {
    if !context.scopes_permit(ItemAction::Read) {
        return Err(ErrorResponse::insufficient_permissions());
    }
    let readable = |item: &&Arc<Item>| context.is_permitted(ItemAction::Read, item);
    Ok(context.enterprise.items.iter().filter(readable).cloned().collect())
}
