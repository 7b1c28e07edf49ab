//! Changes of items: another name, description, folder or shared link; and their end.

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::api::body;
use crate::api::context::View;
use crate::api::folders::free_name;
use crate::http::error::Refusal;
use crate::http::response::Answer;
use crate::random;
use crate::scopes::Deed;
use crate::world::item_tree::{Item, ItemKind, ROOT, Tree};

/// `PUT /2.0/folders/{id}`.
pub(crate) fn folder(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    change(view, ItemKind::Folder, id)
}

/// `PUT /2.0/files/{id}`.
pub(crate) fn file(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    change(view, ItemKind::File, id)
}

/// What a body wants changed; what is left out stays.
struct Change {
    name: Option<String>,
    description: Option<String>,
    folder: Option<String>,
    /// Opens or closes the shared link.
    link: Option<bool>,
}

impl Change {
    fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let link = match body.get("shared_link") {
            None => None,
            Some(Value::Null) => Some(false),
            Some(Value::Object(_)) => Some(true),
            Some(_) => return Err(Refusal::bad_request("'shared_link' must be an object or null")),
        };
        Ok(Self {
            name: body::name(body)?,
            description: body::text(body, "description")?,
            folder: body::parent(body)?,
            link,
        })
    }

    /// What the change does to this item: to say what it is anyway takes no more than to read it.
    fn deeds(&self, item: &Item) -> Vec<Deed> {
        let renames = self.name.as_ref().is_some_and(|name| *name != item.name) || self.description.is_some();
        let moves = self.folder.as_ref().is_some_and(|folder| folder != item.folder());
        let deeds = [(renames, Deed::Rename), (moves, Deed::Move), (self.link.is_some(), Deed::Share)];
        deeds.into_iter().filter(|(done, _)| *done).map(|(_, deed)| deed).collect()
    }
}

fn change(view: &View<'_>, kind: ItemKind, id: &str) -> Result<Answer, Refusal> {
    let change = Change::read(&body::object(view.call)?)?;
    let (enterprise, changed) = view.box_.change_tree(&view.enterprise, |tree| {
        let item = reached(view, tree, kind, id)?;
        fresh(view, &item)?;
        let deeds = change.deeds(&item);
        if deeds.is_empty() {
            return view.item_in(tree, kind, id, Deed::Read).map(|item| (*item).clone());
        }
        for deed in deeds {
            view.item_in(tree, kind, id, deed)?;
        }
        let item = apply(view, tree, item, &change)?;
        tree.put(item.clone());
        Ok(item)
    })?;
    Ok(Answer::json(view.after(enterprise).whole(&changed)))
}

/// The item, for a token that may change something about it or look at it.
fn reached(view: &View<'_>, tree: &Tree, kind: ItemKind, id: &str) -> Result<Item, Refusal> {
    if id == ROOT {
        return Err(Refusal::insufficient());
    }
    let deeds = [Deed::Rename, Deed::Share, Deed::Move, Deed::Delete];
    let deed = deeds.into_iter().find(|&deed| view.allows(deed)).unwrap_or(Deed::Read);
    view.item_in(tree, kind, id, deed).map(|item| (*item).clone())
}

fn apply(view: &View<'_>, tree: &Tree, mut item: Item, change: &Change) -> Result<Item, Refusal> {
    if let Some(folder) = change.folder.as_deref().filter(|folder| *folder != item.folder()) {
        let target = view.item_in(tree, ItemKind::Folder, folder, Deed::Upload)?;
        if tree.within(&target, &item.id) {
            let message = "A folder cannot be put into itself or below itself";
            return Err(Refusal::api(StatusCode::BAD_REQUEST, "cyclical_folder_structure", message));
        }
        item.parent = (folder != ROOT).then(|| folder.to_owned());
        if folder == ROOT {
            item.members.insert(view.member.clone());
        }
    }
    if let Some(name) = &change.name {
        item.name.clone_from(name);
    }
    free_name(view, tree, item.folder(), &item.name, Some(&item.id), item.kind)?;
    if let Some(description) = &change.description {
        item.description.clone_from(description);
    }
    match change.link {
        Some(true) if item.shared_link.is_none() => {
            item.shared_link = Some(format!("https://app.box.com/s/{}", random::lower(32)));
        }
        Some(false) => item.shared_link = None,
        _ => {}
    }
    touch(view, &mut item);
    Ok(item)
}

/// Notes that the item was changed, by whom and when.
pub(crate) fn touch(view: &View<'_>, item: &mut Item) {
    item.sequence += 1;
    item.modified_at = view.box_.now();
    item.modified_by = view.person();
}

/// Refuses a change of another version than the one that `If-Match` names.
pub(crate) fn fresh(view: &View<'_>, item: &Item) -> Result<(), Refusal> {
    let Some(wanted) = view.call.header("if-match") else { return Ok(()) };
    let wanted = wanted.trim().trim_matches('"');
    if wanted == "*" || item.etag().as_deref() == Some(wanted) {
        return Ok(());
    }
    Err(Refusal::precondition("The resource has been modified. Please retrieve the resource again and retry"))
}

/// `DELETE /2.0/files/{id}`.
pub(crate) fn delete_file(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    delete(view, ItemKind::File, id)
}

/// `DELETE /2.0/folders/{id}`; with `recursive=true` all that lies below it too.
pub(crate) fn delete_folder(view: &View<'_>, id: &str) -> Result<Answer, Refusal> {
    delete(view, ItemKind::Folder, id)
}

fn delete(view: &View<'_>, kind: ItemKind, id: &str) -> Result<Answer, Refusal> {
    let recursive = view.call.query("recursive").as_deref() == Some("true");
    view.box_.change_tree(&view.enterprise, |tree| {
        let item = view.item_in(tree, kind, id, Deed::Delete)?;
        fresh(view, &item)?;
        if !recursive && tree.items().any(|child| child.parent.as_deref() == Some(id)) {
            let message = "Cannot complete the operation: the folder is not empty";
            return Err(Refusal::api(StatusCode::BAD_REQUEST, "folder_not_empty", message));
        }
        tree.remove(id);
        Ok(())
    })?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
