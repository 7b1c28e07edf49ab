//! An enterprise's made-up folders and files, and who sees which.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// The id of everybody's root folder.
pub const ROOT: &str = "0";

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A folder, which holds items.
    Folder,
    /// A file.
    File,
}

impl ItemKind {
    /// Box's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::File => "file",
        }
    }
}

/// Who was invited to an item, and so sees it and all that it holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Member {
    /// The service account of every app in the enterprise.
    ServiceAccounts,
    /// One user, by id.
    User(String),
}

/// A folder or file.
#[derive(Clone, Debug)]
pub struct Item {
    /// Box's id: decimal digits.
    pub id: String,
    /// Folder or file.
    pub kind: ItemKind,
    /// The name shown.
    pub name: String,
    /// The folder it lies in; absent for what lies at the top.
    pub parent: Option<String>,
    /// Who was invited to this very item.
    pub members: BTreeSet<Member>,
    /// An open shared link to it, as a URL.
    pub shared_link: Option<String>,
}

/// All items of one enterprise.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    items: BTreeMap<String, Item>,
}

impl Tree {
    /// Adds an item, or replaces the one with its id.
    pub fn put(&mut self, item: Item) {
        self.items.insert(item.id.clone(), item);
    }

    /// The item with this id, be it visible or not.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<&Item> {
        self.items.get(id)
    }

    /// All items, by id.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    /// The item that an open shared link leads to.
    #[must_use]
    pub fn linked(&self, link: &str) -> Option<&Item> {
        self.items.values().find(|item| item.shared_link.as_deref() == Some(link))
    }

    /// Whether `viewer` was invited to the item or to a folder above it.
    #[must_use]
    pub fn sees(&self, viewer: &Member, item: &Item) -> bool {
        self.upwards(item).any(|item| item.members.contains(viewer))
    }

    /// Whether the item is `top` or lies below it.
    #[must_use]
    pub fn within(&self, item: &Item, top: &str) -> bool {
        top == ROOT || self.upwards(item).any(|item| item.id == top)
    }

    /// What a folder shows: for the root, everything that was shared with the viewer at its top.
    pub(super) fn children(&self, folder: &str, viewer: &Member) -> Vec<&Item> {
        let here = |item: &&Item| {
            if folder != ROOT {
                return item.parent.as_deref() == Some(folder);
            }
            let parent = item.parent.as_deref().and_then(|id| self.item(id));
            self.sees(viewer, item) && parent.is_none_or(|parent| !self.sees(viewer, parent))
        };
        let mut children: Vec<_> = self.items.values().filter(here).collect();
        children.sort_by_key(|item| (item.kind == ItemKind::File, item.name.as_str()));
        children
    }

    /// The item and the folders above it, from itself upwards.
    fn upwards<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = &'a Item> {
        // A tree is a few levels deep; the bound keeps a loop made by hand from hanging a test.
        std::iter::successors(Some(item), |item| self.item(item.parent.as_deref()?)).take(64)
    }

    /// The item as Box shows it by itself, with the path that leads to it.
    pub(super) fn whole(&self, item: &Item, viewer: &Member) -> Value {
        let mut above: Vec<_> =
            self.upwards(item).skip(1).filter(|item| self.sees(viewer, item)).map(Item::mini).collect();
        above.push(root());
        above.reverse();
        let mut whole = item.mini();
        whole["parent"] = above.last().cloned().unwrap_or_default();
        whole["path_collection"] = json!({ "total_count": above.len(), "entries": above });
        whole["item_status"] = json!("active");
        whole["shared_link"] =
            item.shared_link.as_ref().map_or(Value::Null, |url| json!({ "url": url, "access": "open" }));
        whole
    }
}

impl Item {
    /// The item as Box shows it in lists.
    pub(super) fn mini(&self) -> Value {
        let mut mini = json!({
            "type": self.kind.as_str(), "id": self.id, "sequence_id": "0", "etag": "0", "name": self.name,
        });
        if self.kind == ItemKind::File {
            mini["size"] = json!(1024);
        }
        mini
    }
}

/// The root folder as Box shows it in lists.
pub(super) fn root() -> Value {
    json!({ "type": "folder", "id": ROOT, "sequence_id": null, "etag": null, "name": "All Files" })
}
