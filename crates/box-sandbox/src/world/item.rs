//! A folder or file.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::storage::FileContent;

/// The id of every user's root folder.
pub const ROOT: &str = "0";

/// The creation time of the root folder and of all seed data: 2024-01-01T00:00:00Z.
pub(crate) const SEEDED_AT: Timestamp = Timestamp::constant(1_704_067_200, 0);

/// The kind of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A folder, which contains items.
    Folder,
    /// A file.
    File,
}

impl ItemKind {
    /// Returns Box's word for the kind.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::File => "file",
        }
    }
}

/// A party that was invited to an item, and so sees it and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Collaborator {
    /// The service accounts of all apps in the enterprise.
    ServiceAccounts,
    /// One user, by id.
    User(String),
}

/// A user as Box shows them next to what they created or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) login: String,
}

/// The author and the time of a change.
#[derive(Clone, Debug)]
pub(crate) struct Attribution {
    pub(crate) by: Author,
    pub(crate) at: Timestamp,
}

/// The newest version of a file. Unlike Box, the sandbox keeps no older ones.
#[derive(Clone, Debug)]
pub(crate) struct FileVersion {
    pub(crate) id: String,
    /// The version's number, counted from 1.
    pub(crate) number: u64,
    pub(crate) content: FileContent,
}

/// A folder or file.
#[derive(Clone, Debug)]
pub struct Item {
    /// Box's id: decimal digits.
    pub id: String,
    /// Folder or file.
    pub kind: ItemKind,
    /// The name.
    pub name: String,
    /// The description.
    pub description: String,
    /// The id of the parent folder; `None` at the top.
    pub parent: Option<String>,
    /// The collaborators that were invited to this very item.
    pub collaborators: BTreeSet<Collaborator>,
    /// The URL of an open shared link to the item.
    pub shared_link: Option<String>,
    /// The number of changes so far, which is also the item's `etag`.
    pub(crate) sequence: u64,
    pub(crate) created: Attribution,
    pub(crate) modified: Attribution,
    /// `None` for a folder.
    pub(crate) version: Option<FileVersion>,
}

impl Item {
    /// Returns an item at the top, without collaborators and content.
    pub(crate) fn new(kind: ItemKind, id: String, name: String, by: Author, at: Timestamp) -> Self {
        let created = Attribution { by, at };
        Self {
            id,
            kind,
            name,
            description: String::new(),
            parent: None,
            collaborators: BTreeSet::new(),
            shared_link: None,
            sequence: 0,
            modified: created.clone(),
            created,
            version: None,
        }
    }

    /// Returns the root folder, which every user has and nobody created.
    pub(crate) fn root() -> Self {
        let nobody = Author { id: String::new(), name: String::new(), login: String::new() };
        Self::new(ItemKind::Folder, ROOT.to_owned(), "All Files".to_owned(), nobody, SEEDED_AT)
    }

    /// Returns the id of the parent folder: the root's if the item is at the top.
    pub(crate) fn parent_id(&self) -> &str {
        self.parent.as_deref().unwrap_or(ROOT)
    }

    /// Returns the `etag`. The root folder has none.
    pub(crate) fn etag(&self) -> Option<String> {
        (self.id != ROOT).then(|| self.sequence.to_string())
    }

    /// Reports whether the item has this name. Box ignores case.
    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.name.to_lowercase() == name.to_lowercase()
    }
}
