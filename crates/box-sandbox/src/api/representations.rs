//! Download URLs, and the representations of texts and pictures that previews show.

use serde_json::{Value, json};

use super::context::ApiContext;
use crate::download;
use crate::media_types;
use crate::scopes::ItemAction;
use crate::world::Item;

/// Returns a URL that opens a file once; `None` if the token may not download it.
pub(super) fn download_url(context: &ApiContext<'_>, item: &Item) -> Option<String> {
    let content = item.version.as_ref()?.content.clone();
    if !context.is_permitted(ItemAction::Download, item) {
        return None;
    }
    let (state, client_id) = (context.state, &context.token.client_id);
    let ticket = state.download_tickets.issue(content, &item.name, client_id, state.now());
    Some(format!("{}{}?ticket={ticket}", context.base_url(), download::PATH))
}

/// Reports whether the sandbox has representations of a file.
pub(super) fn available_for(item: &Item) -> bool {
    !kinds(item).is_empty()
}

/// Returns the representations of a file: none if the token may not preview it.
pub(super) fn list(context: &ApiContext<'_>, item: &Item) -> Vec<Value> {
    let Some(version) = item.version.as_ref().filter(|_| context.is_permitted(ItemAction::Preview, item))
    else {
        return Vec::new();
    };
    let base = format!("{}/2.0/internal_files/{}/versions/{}", context.base_url(), item.id, version.id);
    let entry = |(name, dimensions): &(&str, Option<&str>)| {
        let label = dimensions.map_or_else(|| (*name).to_owned(), |size| format!("{name}_{size}"));
        let url = format!("{base}/representations/{label}");
        let properties = match dimensions {
            Some(size) => json!({ "dimensions": size, "paged": "false", "thumb": "false" }),
            None => json!({}),
        };
        json!({
            "representation": name,
            "properties": properties,
            "info": { "url": url },
            "status": { "state": "success" },
            "content": { "url_template": format!("{url}/content/{{+asset_path}}") },
        })
    };
    kinds(item).iter().map(entry).collect()
}

/// Returns the name and the dimensions of each representation of a file.
fn kinds(item: &Item) -> &'static [(&'static str, Option<&'static str>)] {
    match media_types::of_file_name(&item.name) {
        "text/plain; charset=utf-8" | "application/json" => &[("text", None)],
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => {
            &[("jpg", Some("1024x1024")), ("png", Some("1024x1024")), ("png", Some("2048x2048"))]
        }
        _ => &[],
    }
}
