//! The apps and enterprises, which change while the sandbox runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::world::{BoxApp, Enterprise, ItemTree, User};

/// The first id of items that are created while the sandbox runs; seed data has smaller ones.
const FIRST_ITEM_ID: u64 = 50_000_000_001;

/// The apps and enterprises. Each is replaced as a whole when it changes, so a reader never sees half a change.
#[derive(Debug)]
pub(crate) struct AccountDirectory {
    apps: RwLock<BTreeMap<String, Arc<BoxApp>>>,
    enterprises: RwLock<BTreeMap<String, Arc<Enterprise>>>,
    next_item_id: AtomicU64,
}

impl AccountDirectory {
    pub(crate) fn new(apps: BTreeMap<String, BoxApp>, enterprises: BTreeMap<String, Enterprise>) -> Self {
        Self {
            apps: RwLock::new(in_arcs(apps)),
            enterprises: RwLock::new(in_arcs(enterprises)),
            next_item_id: AtomicU64::new(FIRST_ITEM_ID),
        }
    }

    /// Returns the app with this client id as it is now.
    pub(crate) fn app(&self, client_id: &str) -> Option<Arc<BoxApp>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).get(client_id).cloned()
    }

    /// Returns all apps, ordered by client id.
    pub(crate) fn apps(&self) -> Vec<Arc<BoxApp>> {
        self.apps.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Changes an app and returns it, or leaves it as it was if `change` fails. Returns `None` if there is no such app.
    pub(crate) fn update_app<Problem>(
        &self,
        client_id: &str,
        change: impl FnOnce(&mut BoxApp) -> Result<(), Problem>,
    ) -> Option<Result<Arc<BoxApp>, Problem>> {
        let mut apps = self.apps.write().unwrap_or_else(PoisonError::into_inner);
        let current = apps.get_mut(client_id)?;
        let mut app = BoxApp::clone(current);
        Some(change(&mut app).map(|()| {
            *current = Arc::new(app);
            current.clone()
        }))
    }

    /// Reports whether `id` is the service account of any app.
    pub(crate) fn is_automation_user(&self, id: &str) -> bool {
        self.apps().iter().any(|app| app.is_automation_user(id))
    }

    /// Returns the enterprise with this id as it is now.
    pub(crate) fn enterprise(&self, id: &str) -> Option<Arc<Enterprise>> {
        self.enterprises.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    /// Returns all enterprises, ordered by id.
    pub(crate) fn enterprises(&self) -> Vec<Arc<Enterprise>> {
        self.enterprises.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Returns the user with this id, and the user's enterprise.
    pub(crate) fn user(&self, id: &str) -> Option<(Arc<Enterprise>, User)> {
        self.enterprises().into_iter().find_map(|enterprise| {
            let user = enterprise.user(id)?.clone();
            Some((enterprise, user))
        })
    }

    /// Changes the items of an enterprise, or leaves them as they were if `change` fails. Returns the changed
    /// enterprise and the result of `change`.
    pub(crate) fn update_items<Output, Problem>(
        &self,
        enterprise: &Arc<Enterprise>,
        change: impl FnOnce(&mut ItemTree) -> Result<Output, Problem>,
    ) -> Result<(Arc<Enterprise>, Output), Problem> {
        let mut enterprises = self.enterprises.write().unwrap_or_else(PoisonError::into_inner);
        let current = enterprises.entry(enterprise.id.clone()).or_insert_with(|| enterprise.clone());
        let mut changed = Enterprise::clone(current);
        let output = change(&mut changed.items)?;
        *current = Arc::new(changed);
        Ok((current.clone(), output))
    }

    /// Returns a new id for an item or a file version.
    pub(crate) fn new_item_id(&self) -> String {
        self.next_item_id.fetch_add(1, Ordering::Relaxed).to_string()
    }
}

fn in_arcs<T>(things: BTreeMap<String, T>) -> BTreeMap<String, Arc<T>> {
    things.into_iter().map(|(id, thing)| (id, Arc::new(thing))).collect()
}
