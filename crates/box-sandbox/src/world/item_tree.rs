//! The folders and files of an enterprise, and the rules of who sees which.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::item::{Collaborator, Item, ItemKind, ROOT};

/// All items of one enterprise. Clones share the items, so changing a clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct ItemTree {
    items: BTreeMap<String, Arc<Item>>,
}

impl ItemTree {
    /// Adds an item, or replaces the one with the same id.
    pub fn put(&mut self, item: Item) {
        self.items.insert(item.id.clone(), Arc::new(item));
    }

    /// Removes an item and everything below it.
    pub(crate) fn remove(&mut self, id: &str) {
        let mut pending = vec![id.to_owned()];
        while let Some(id) = pending.pop() {
            self.items.remove(&id);
            let children = self.items.values().filter(|item| item.parent.as_deref() == Some(&id));
            pending.extend(children.map(|item| item.id.clone()));
        }
    }

    /// Returns the item with this id, no matter who sees it.
    #[must_use]
    pub fn item(&self, id: &str) -> Option<&Arc<Item>> {
        self.items.get(id)
    }

    /// Returns all items, ordered by id.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Item>> {
        self.items.values()
    }

    /// Returns the item with this open shared link.
    #[must_use]
    pub fn by_shared_link(&self, link: &str) -> Option<&Arc<Item>> {
        self.items.values().find(|item| item.shared_link.as_deref() == Some(link))
    }

    /// Reports whether `viewer` was invited to the item or to a folder above it.
    #[must_use]
    pub fn can_see(&self, viewer: &Collaborator, item: &Item) -> bool {
        self.self_and_ancestors(item).any(|item| item.collaborators.contains(viewer))
    }

    /// Reports whether the item is `top` or is below it.
    #[must_use]
    pub fn is_within(&self, item: &Item, top: &str) -> bool {
        top == ROOT || self.self_and_ancestors(item).any(|item| item.id == top)
    }

    /// Returns the items in a folder, folders first and then by name. For the root folder these are the topmost items
    /// that the viewer sees.
    pub(crate) fn children(&self, folder: &str, viewer: &Collaborator) -> Vec<&Arc<Item>> {
        let is_child = |item: &&Arc<Item>| {
            if folder != ROOT {
                return item.parent.as_deref() == Some(folder);
            }
            let parent = item.parent.as_deref().and_then(|id| self.item(id));
            self.can_see(viewer, item) && parent.is_none_or(|parent| !self.can_see(viewer, parent))
        };
        let mut children: Vec<_> = self.items.values().filter(is_child).collect();
        children.sort_by_key(|item| (item.kind == ItemKind::File, item.name.as_str()));
        children
    }

    /// Returns the item of this name in a folder, as the viewer sees it.
    pub(crate) fn child_by_name(
        &self,
        folder: &str,
        name: &str,
        viewer: &Collaborator,
    ) -> Option<&Arc<Item>> {
        self.children(folder, viewer).into_iter().find(|item| item.has_name(name))
    }

    /// Returns the size of a file, or of all files below a folder, in bytes.
    pub(crate) fn size(&self, item: &Item) -> u64 {
        let file_size = |item: &Item| item.version.as_ref().map_or(0, |version| version.content.size());
        match item.kind {
            ItemKind::File => file_size(item),
            ItemKind::Folder => {
                let files = self.items.values().filter(|other| self.is_within(other, &item.id));
                files.map(|file| file_size(file)).sum()
            }
        }
    }

    /// Returns the folders above an item that the viewer sees, from the top down.
    pub(crate) fn visible_ancestors<'a>(&'a self, item: &'a Item, viewer: &Collaborator) -> Vec<&'a Item> {
        let ancestors = self.self_and_ancestors(item).skip(1);
        let mut visible: Vec<_> = ancestors.filter(|item| self.can_see(viewer, item)).collect();
        visible.reverse();
        visible
    }

    /// Returns the item and the folders above it, from the item up.
    fn self_and_ancestors<'a>(&'a self, item: &'a Item) -> impl Iterator<Item = &'a Item> {
        // The bound keeps a circle of parents, which a test could build, from looping forever.
        std::iter::successors(Some(item), |item| self.item(item.parent.as_deref()?).map(|parent| &**parent))
            .take(self.items.len())
    }
}
