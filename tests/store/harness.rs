//! A fresh database, and the store on it.

use std::path::PathBuf;
use std::sync::Arc;

use box_token_broker::config::DatabaseUrl;
use box_token_broker::crypto::{KeySet, Vault};
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::store::{self, OpenMode, Store};

use super::database::Database;
pub(crate) use super::database::{Hand, Holds};

/// A store on a database of its own, and direct access to that database.
pub(crate) struct Harness {
    pub(crate) url: DatabaseUrl,
    pub(crate) keys: KeySet,
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) database: Database,
}

pub(crate) fn vault(keys: &KeySet) -> Arc<Vault> {
    Arc::new(Vault::local(keys, Arc::new(SystemEntropy)).unwrap())
}

impl Harness {
    pub(crate) async fn sqlite() -> Self {
        Self::on(Database::sqlite().await).await
    }

    pub(crate) async fn postgres() -> Self {
        Self::on(Database::postgres().await).await
    }

    async fn on(database: Database) -> Self {
        let keys = KeySet::generate(&SystemEntropy);
        let vault = vault(&keys);
        let url = database.url.clone();
        let store = store::open(&url, Arc::clone(&vault), OpenMode::Exclusive).await.unwrap();
        Self { url, keys, vault, store, database }
    }

    /// Opens the same database with other keys.
    pub(crate) async fn reopened(&self, keys: &KeySet) -> Arc<dyn Store> {
        store::open(&self.url, vault(keys), OpenMode::Shared).await.unwrap()
    }

    /// Returns the file of the database.
    pub(crate) fn path(&self) -> PathBuf {
        self.database.path()
    }

    /// Removes the database after a successful test.
    pub(crate) async fn end(self) {
        drop(self.store);
        self.database.end().await;
    }
}
