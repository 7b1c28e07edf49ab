//! The tenants with the apps that serve them.
//!
//! [`TenantDirectory`] reads them through a cache that follows the change feed. It decides nothing about
//! access, except that it hides from a caller a tenant whose row is refused and on which it has no grant.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::TokenError;
use crate::auth::RequestContext;
use crate::domain::app::App;
use crate::domain::id::{Generation, TenantId};
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::domain::tenant::Tenant;
use crate::domain::token_key::TokenKey;
use crate::store::change_feed::{ChangeFeed, ChangeToken};
use crate::store::read_through_cache::{Cacheable, ReadThroughCache};
use crate::store::{AppRef, ChangedEntity, Store, StoreError, TenantRef};

/// The largest number of names and ids of tenants in the cache.
const MAX_TENANTS: u64 = 100_000;

/// A tenant together with the app that serves it.
#[derive(Debug)]
pub struct TenantContext {
    /// The tenant.
    pub tenant: Tenant,
    /// Its app.
    pub app: App,
}

impl TenantContext {
    /// Returns the generation that tokens minted now belong to.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.tenant.effective_generation(&self.app)
    }

    /// Returns the tenant's id.
    #[must_use]
    pub fn id(&self) -> &TenantId {
        &self.tenant.id
    }

    /// Returns the tenant's labels, by which grants select tenants.
    #[must_use]
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.tenant.labels
    }

    /// Returns the key of a token of this tenant, in the current generation.
    #[must_use]
    pub fn token_key(&self, subject: &Subject, restriction: Option<&Restriction>) -> TokenKey {
        TokenKey {
            tenant: self.tenant.id.clone(),
            generation: self.generation(),
            subject: subject.clone(),
            restriction: restriction.cloned(),
        }
    }

    async fn read(store: Arc<dyn Store>, by: TenantRef) -> Result<Option<Arc<Self>>, StoreError> {
        let Some(tenant) = store.tenant(&by).await? else { return Ok(None) };
        let app = store.app(&AppRef::Id(tenant.app.clone())).await?;
        match app.filter(|app| app.may_serve(&tenant.id)) {
            Some(app) => Ok(Some(Arc::new(Self { tenant, app }))),
            None => Err(StoreError::Tampered { table: "apps", id: tenant.app.as_str().to_owned() }),
        }
    }
}

impl Cacheable<TenantRef> for Option<Arc<TenantContext>> {
    fn is_current(&self, _: &TenantRef, since: &ChangeToken, change_feed: &ChangeFeed) -> bool {
        match self {
            Some(context) => {
                change_feed.unchanged_since(since, &[context.tenant.id.as_str(), context.app.id.as_str()])
            }
            None => change_feed.nothing_changed_since(since),
        }
    }
}

/// The tenants of the store, read through a cache.
#[derive(Debug)]
pub struct TenantDirectory {
    store: Arc<dyn Store>,
    changes: Arc<ChangeFeed>,
    contexts: ReadThroughCache<TenantRef, Option<Arc<TenantContext>>>,
}

impl TenantDirectory {
    /// Returns a directory with an empty cache, whose entries count for `max_age` while the store is away.
    pub(super) fn new(
        store: Arc<dyn Store>,
        changes: Arc<ChangeFeed>,
        max_age: Duration,
        tasks: &TaskTracker,
    ) -> Self {
        let contexts = ReadThroughCache::new(Arc::clone(&changes), max_age, MAX_TENANTS, tasks);
        Self { store, changes, contexts }
    }

    /// Returns a tenant and its app in their current state.
    ///
    /// # Errors
    /// If the store is unavailable and the cached entry is too old, or if a row is refused.
    pub async fn find(&self, by: &TenantRef) -> Result<Option<Arc<TenantContext>>, StoreError> {
        let read = || TenantContext::read(Arc::clone(&self.store), by.clone());
        Ok(self.contexts.get_or_load(by, read).await?.value.clone())
    }

    /// Returns a tenant and its app in their current state, for this caller. To a caller without a grant on
    /// it, a tenant whose row is refused does not exist.
    ///
    /// # Errors
    /// As [`TenantDirectory::find`].
    pub async fn find_for(
        &self,
        context: &RequestContext,
        by: &TenantRef,
    ) -> Result<Option<Arc<TenantContext>>, StoreError> {
        let (id, name) = match by {
            TenantRef::Id(id) => (Some(id), None),
            TenantRef::Name(name) => (None, Some(name)),
        };
        match self.find(by).await {
            Err(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })
                if !context.any(|caller| caller.names(id, name)) =>
            {
                Ok(None)
            }
            found => found,
        }
    }

    /// Returns the tenant of a token in its current state.
    ///
    /// # Errors
    /// As [`TenantDirectory::find`].
    pub async fn find_by_key(&self, key: &TokenKey) -> Result<Option<Arc<TenantContext>>, TokenError> {
        Ok(self.find(&TenantRef::Id(key.tenant.clone())).await?)
    }

    /// Returns the id of a tenant, if it is known without asking the store.
    #[must_use]
    pub fn cached_id(&self, by: &TenantRef) -> Option<TenantId> {
        match by {
            TenantRef::Id(id) => Some(id.clone()),
            TenantRef::Name(_) => {
                self.contexts.peek(by)?.value.as_ref().map(|context| context.tenant.id.clone())
            }
        }
    }

    /// Asks the store for changes now.
    pub(super) async fn refresh(&self) -> Result<(), StoreError> {
        self.changes.poll().await
    }

    /// Outdates what the caches hold of an entity that changed.
    pub(super) fn note_change(&self, entity: &ChangedEntity) {
        self.changes.mark_changed(entity);
    }
}
