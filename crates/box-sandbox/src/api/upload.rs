//! Uploads in one request: the question whether they would do, new files, new versions.

use std::sync::Arc;

use axum::body::BodyDataStream;
use serde_json::{Map, Value, json};

use crate::api::body;
use crate::api::changes::{fresh, touch};
use crate::api::context::View;
use crate::api::folders::free_name;
use crate::api::multipart;
use crate::http::error::Refusal;
use crate::http::response::Answer;
use crate::random;
use crate::scopes::Deed;
use crate::storage::{Content, NotKept};
use crate::world::enterprise::Enterprise;
use crate::world::item_tree::{Item, ItemKind, Tree, Version};

/// `OPTIONS /2.0/files/content`, `OPTIONS /2.0/files/{id}/content`: whether an upload would do, and
/// where to.
pub(crate) fn preflight(view: &View<'_>, segments: &[&str]) -> Result<Answer, Refusal> {
    let body = body::object(view.call)?;
    let path = match segments {
        ["files", "content"] => {
            let (folder, name) = place(&body)?;
            check_new(view, &view.enterprise.tree, &folder, &name)?;
            "files/content".to_owned()
        }
        ["files", id, "content"] => {
            let item = view.item(ItemKind::File, id, Deed::Upload)?;
            check_rename(view, &view.enterprise.tree, &item, body::name(&body)?.as_deref())?;
            format!("files/{id}/content")
        }
        _ => return Err(Refusal::method_not_allowed()),
    };
    if body::number(&body, "size")?.is_some_and(|size| size > view.box_.allowance.limit()) {
        let limit = view.box_.allowance.limit();
        return Err(Refusal::not_kept(&NotKept::Full { limit }));
    }
    let url = format!("{}/api/2.0/{path}", view.base());
    Ok(Answer::json(json!({ "upload_url": url, "upload_token": random::alphanumeric(32) })))
}

/// The folder and name that a new file's attributes tell.
fn place(attributes: &Map<String, Value>) -> Result<(String, String), Refusal> {
    let name = body::name(attributes)?.ok_or_else(|| Refusal::bad_request("'name' is missing"))?;
    let folder = body::parent(attributes)?.ok_or_else(|| Refusal::bad_request("'parent.id' is missing"))?;
    Ok((folder, name))
}

/// Whether a new file may lie in a folder under this name.
pub(crate) fn check_new(view: &View<'_>, tree: &Tree, folder: &str, name: &str) -> Result<(), Refusal> {
    view.item_in(tree, ItemKind::Folder, folder, Deed::Upload)?;
    free_name(view, tree, folder, name, None, ItemKind::File)
}

/// Whether a new version may give the file this name.
fn check_rename(view: &View<'_>, tree: &Tree, item: &Item, name: Option<&str>) -> Result<(), Refusal> {
    match name {
        Some(name) => free_name(view, tree, item.folder(), name, Some(&item.id), ItemKind::File),
        None => Ok(()),
    }
}

/// `POST /2.0/files/content`.
pub(crate) async fn file(view: &View<'_>, body: &mut BodyDataStream) -> Result<Answer, Refusal> {
    let check = |attributes: &Map<String, Value>| {
        let (folder, name) = place(attributes)?;
        check_new(view, &view.enterprise.tree, &folder, &name)?;
        Ok((folder, name))
    };
    let ((folder, name), content) = multipart::read(view, body, check).await?;
    let (enterprise, item) = put_new(view, &folder, &name, content)?;
    Ok(collection(&view.after(enterprise), &item))
}

/// `POST /2.0/files/{id}/content`.
pub(crate) async fn version(view: &View<'_>, id: &str, body: &mut BodyDataStream) -> Result<Answer, Refusal> {
    let item = view.item(ItemKind::File, id, Deed::Upload)?;
    fresh(view, &item)?;
    let check = |attributes: &Map<String, Value>| {
        let name = body::name(attributes)?;
        check_rename(view, &view.enterprise.tree, &item, name.as_deref())?;
        Ok(name)
    };
    let (name, content) = multipart::read(view, body, check).await?;
    let (enterprise, item) = put_version(view, id, name.as_deref(), content)?;
    Ok(collection(&view.after(enterprise), &item))
}

/// Puts a new file into a folder.
pub(crate) fn put_new(
    view: &View<'_>,
    folder: &str,
    name: &str,
    content: Content,
) -> Result<(Arc<Enterprise>, Item), Refusal> {
    view.box_.change_tree(&view.enterprise, |tree| {
        check_new(view, tree, folder, name)?;
        let mut item = view.made(ItemKind::File, folder, name.to_owned());
        item.version = Some(Version { id: view.box_.next_id(), number: 1, content });
        tree.put(item.clone());
        Ok(item)
    })
}

/// Puts a new version upon a file.
pub(crate) fn put_version(
    view: &View<'_>,
    id: &str,
    name: Option<&str>,
    content: Content,
) -> Result<(Arc<Enterprise>, Item), Refusal> {
    view.box_.change_tree(&view.enterprise, |tree| {
        let mut item = (*view.item_in(tree, ItemKind::File, id, Deed::Upload)?).clone();
        fresh(view, &item)?;
        check_rename(view, tree, &item, name)?;
        if let Some(name) = name {
            name.clone_into(&mut item.name);
        }
        let number = item.version.as_ref().map_or(1, |version| version.number + 1);
        item.version = Some(Version { id: view.box_.next_id(), number, content });
        touch(view, &mut item);
        tree.put(item.clone());
        Ok(item)
    })
}

/// What every upload ends with.
pub(crate) fn collection(view: &View<'_>, item: &Item) -> Answer {
    Answer::created(json!({ "total_count": 1, "entries": [view.whole(item)] }))
}
