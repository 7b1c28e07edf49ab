//! An enterprise's made-up folders and files, and who sees which.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::storage::Content;

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

/// Who made or changed an item, as Box names people beside what they did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) login: String,
}

/// A file's newest version; Box keeps older ones, the sandbox does not.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) id: String,
    /// Counts from 1.
    pub(crate) number: u64,
    pub(crate) content: Content,
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
    /// What is said of it.
    pub description: String,
    /// The folder it lies in; absent for what lies at the top.
    pub parent: Option<String>,
    /// Who was invited to this very item.
    pub members: BTreeSet<Member>,
    /// An open shared link to it, as a URL.
    pub shared_link: Option<String>,
    /// Counts the changes, from 0; also the item's `etag`.
    pub(crate) sequence: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) modified_at: Timestamp,
    pub(crate) created_by: Person,
    pub(crate) modified_by: Person,
    /// Absent for a folder.
    pub(crate) version: Option<Version>,
}

impl Item {
    /// An item that a person makes at a moment, without a parent, members and bytes.
    pub(crate) fn new(kind: ItemKind, id: String, name: String, by: Person, at: Timestamp) -> Self {
        Self {
            id,
            kind,
            name,
            description: String::new(),
            parent: None,
            members: BTreeSet::new(),
            shared_link: None,
            sequence: 0,
            created_at: at,
            modified_at: at,
            created_by: by.clone(),
            modified_by: by,
            version: None,
        }
    }

    /// The id of the folder that it lies in, the root's where it lies at the top.
    pub(crate) fn folder(&self) -> &str {
        self.parent.as_deref().unwrap_or(ROOT)
    }

    /// The etag; the root folder has none.
    pub(crate) fn etag(&self) -> Option<String> {
        (self.id != ROOT).then(|| self.sequence.to_string())
    }

    /// Whether two items of one folder would have the same name: Box ignores case.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.name.to_lowercase() == name.to_lowercase()
    }
}

/// All items of one enterprise. Copies share the items, so that a change may copy the tree.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    items: BTreeMap<String, Arc<Item>>,
}

impl Tree {
    /// Adds an item, or replaces the one with its id.
    pub fn put(&mut self, item: Item) {
        self.items.insert(item.id.clone(), Arc::new(item));
    }

    /// Takes an item away and all that lies below it.
    pub(crate) fn remove(&mut self, id: &str) {
        let mut doomed = vec![id.to_owned()];
        while let Some(id) = doomed.pop() {
            self.items.remove(&id);
            let below = self.items.values().filter(|item| item.parent.as_deref() == Some(&id));
            doomed.extend(below.map(|item| item.id.clone()));
        }
    }

    /// The item with this id, be it visible or not.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<&Arc<Item>> {
        self.items.get(id)
    }

    /// All items, by id.
    pub fn items(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items.values()
    }

    /// The item that an open shared link leads to.
    #[must_use]
    pub fn linked(&self, link: &str) -> Option<&Arc<Item>> {
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

    /// What a folder shows, folders first and then by name: for the root, everything that was shared
    /// with the viewer at its top.
    pub(crate) fn children(&self, folder: &str, viewer: &Member) -> Vec<&Arc<Item>> {
        let here = |item: &&Arc<Item>| {
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

    /// The item of this name in a folder, as the viewer sees it.
    pub(crate) fn called(&self, folder: &str, name: &str, viewer: &Member) -> Option<&Arc<Item>> {
        self.children(folder, viewer).into_iter().find(|item| item.is_called(name))
    }

    /// The bytes of a file, or of all files below a folder.
    pub(crate) fn weight(&self, item: &Item) -> u64 {
        let size = |item: &Item| item.version.as_ref().map_or(0, |version| version.content.size());
        match item.kind {
            ItemKind::File => size(item),
            ItemKind::Folder => self
                .items
                .values()
                .filter(|below| self.within(below, &item.id))
                .map(|below| size(below))
                .sum(),
        }
    }

    /// The folders above an item that the viewer sees, the highest first.
    pub(crate) fn above<'a>(&'a self, item: &'a Item, viewer: &Member) -> Vec<&'a Item> {
        let mut above: Vec<_> = self.upwards(item).skip(1).filter(|item| self.sees(viewer, item)).collect();
        above.reverse();
        above
    }

    /// The item and the folders above it, from itself upwards.
    fn upwards<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = &'a Item> {
        // The bound keeps a loop made by hand from hanging a test.
        std::iter::successors(Some(item), |item| self.item(item.parent.as_deref()?).map(|parent| &**parent))
            .take(self.items.len())
    }
}
