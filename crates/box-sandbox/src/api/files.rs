//! Files: what is said of them, their bytes, and what Preview shows.

use axum::http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::api::context::View;
use crate::download::{self, media_type};
use crate::http::error::Refusal;
use crate::http::response::Answer;
use crate::scopes::Deed;
use crate::world::item_tree::{Item, ItemKind};

/// `GET /2.0/files/{id}`.
pub(crate) fn file(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let item = view.item(ItemKind::File, id, Deed::Read)?;
    Ok(Answer::json(view.whole(&item)))
}

/// `GET /2.0/files/{id}/content`: leads to a URL that opens once, with no token.
pub(crate) fn download(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let item = view.item(ItemKind::File, id, Deed::Download)?;
    let url = view.ticket_url(&item).ok_or_else(Refusal::not_found)?;
    let url = HeaderValue::from_str(&url).map_err(|_| Refusal::bad_request("'Host' is no host"))?;
    Ok(Answer::empty(StatusCode::FOUND).header(header::LOCATION, url))
}

/// `GET …/representations/{name}`: how far the making of a representation is; it is there at once.
pub(crate) fn representation(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let item = view.item(ItemKind::File, id, Deed::Preview)?;
    let all = view.representations(&item);
    all["entries"].get(0).cloned().map(Answer::json).ok_or_else(Refusal::not_found)
}

/// `GET …/representations/{name}/content/…`: the file's own bytes, which texts and pictures are shown
/// by.
pub(crate) fn shown(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    let item = view.item(ItemKind::File, id, Deed::Preview)?;
    let version =
        item.version.as_ref().filter(|_| !kinds(&item).is_empty()).ok_or_else(Refusal::not_found)?;
    download::bytes(&version.content, &item.name, view.call)
}

/// The representations that a file has: its name, dimensions.
fn kinds(item: &Item) -> &'static [(&'static str, Option<&'static str>)] {
    match media_type(&item.name) {
        "text/plain; charset=utf-8" | "application/json" => &[("text", None)],
        "image/png" | "image/jpeg" | "image/gif" | "image/webp" => {
            &[("jpg", Some("1024x1024")), ("png", Some("1024x1024")), ("png", Some("2048x2048"))]
        }
        _ => &[],
    }
}

impl View<'_> {
    /// The URL that opens a file once, where the token may download it.
    pub(crate) fn ticket_url(&self, item: &Item) -> Option<String> {
        let content = item.version.as_ref()?.content.clone();
        if !self.may(Deed::Download, item) {
            return None;
        }
        let now = self.box_.now();
        let ticket = self.box_.tickets.issue(content, &item.name, &self.token.client_id, now);
        Some(format!("{}{}?ticket={ticket}", self.base(), download::PATH))
    }

    /// What Preview can show of a file: texts and pictures.
    pub(crate) fn representations(&self, item: &Item) -> Value {
        let Some(version) = item.version.as_ref().filter(|_| self.may(Deed::Preview, item)) else {
            return json!({ "entries": [] });
        };
        let entry = |(name, dimensions): &(&str, Option<&str>)| {
            let folder = format!("{}/2.0/internal_files/{}/versions/{}", self.base(), item.id, version.id);
            let label = dimensions.map_or_else(|| (*name).to_owned(), |size| format!("{name}_{size}"));
            let url = format!("{folder}/representations/{label}");
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
        let entries: Vec<Value> = kinds(item).iter().map(entry).collect();
        json!({ "entries": entries })
    }
}
