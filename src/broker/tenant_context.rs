//! What is known of tenants: how they stand, whether their tokens can be had, and what is forgotten when
//! they change.

use std::sync::Arc;

use super::{Broker, TokenError};
use crate::auth::RequestContext;
use crate::broker::upstream::health::Health;
use crate::domain::app::App;
use crate::domain::id::{Generation, TenantId};
use crate::domain::tenant::Tenant;
use crate::store::change_feed::{ChangeFeed, ChangeToken};
use crate::store::read_through_cache::Cacheable;
use crate::store::{AppRef, ChangedEntity, Store, StoreError, TenantRef};

/// How many names and ids of tenants are remembered at most.
pub(super) const TENANTS: u64 = 100_000;

/// A tenant together with the app that serves it.
#[derive(Debug)]
pub struct TenantContext {
    /// The tenant.
    pub tenant: Tenant,
    /// Its app.
    pub app: App,
}

impl TenantContext {
    /// The generation that tokens of this moment belong to.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.tenant.effective_generation(&self.app)
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
            Some(view) => {
                change_feed.unchanged_since(since, &[view.tenant.id.as_str(), view.app.id.as_str()])
            }
            None => change_feed.nothing_changed_since(since),
        }
    }
}

impl Broker {
    /// The tenant and its app as they stand, for this caller: whoever has no grant on a tenant does not
    /// learn from a row that is refused that it is there.
    ///
    /// # Errors
    /// As those of [`Broker::view`].
    pub async fn view_for(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<Option<Arc<TenantContext>>, StoreError> {
        let (id, name) = match tenant {
            TenantRef::Id(id) => (Some(id), None),
            TenantRef::Name(name) => (None, Some(name)),
        };
        match self.view(tenant).await {
            Err(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. })
                if !context.any(|caller| caller.names(id, name)) =>
            {
                Ok(None)
            }
            view => view,
        }
    }

    /// The tenant and its app as they stand.
    ///
    /// # Errors
    /// Where the store does not answer and what is in memory is too old, or where a row is refused.
    pub async fn view(&self, by: &TenantRef) -> Result<Option<Arc<TenantContext>>, StoreError> {
        let read = || TenantContext::read(Arc::clone(&self.store), by.clone());
        Ok(self.tenants.get_or_load(by, read).await?.value.clone())
    }

    /// Whether tokens of a tenant can be had, as far as anybody tried.
    #[must_use]
    pub fn health(&self, view: &TenantContext) -> Health {
        self.healths.of(view)
    }

    /// Takes note of what keeps a tenant from coming into service.
    pub fn note_failure(&self, view: &TenantContext, error: &TokenError) {
        self.healths.note_failure(&view.tenant.id, error);
    }

    /// Forgets a tenant that was erased.
    pub fn forget_erased(&self, tenant: &TenantId) {
        self.healths.forget(tenant);
        self.forget(&ChangedEntity::Tenant(tenant.clone()));
    }

    /// The tenants whose tokens cannot be had, as far as this process knows.
    #[must_use]
    pub fn failing(&self) -> Vec<TenantId> {
        self.healths.failing()
    }

    /// Forgets what Box refused to a tenant: a test showed that it refuses no more.
    pub fn forgive(&self, view: &TenantContext) {
        self.gate.forgive_tenant(&view.tenant.id);
        self.gate.forgive_app(&view.app.id);
    }

    /// Drops what is in memory of what changed; what was read from it meanwhile is told by its stamp.
    pub fn forget(&self, what: &ChangedEntity) {
        self.change_feed.mark_changed(what);
        match what {
            ChangedEntity::Tenant(tenant) => self.gate.forgive_tenant(tenant),
            ChangedEntity::App(app) => {
                self.gate.forgive_app(app);
                self.memory.forget_credentials(app);
            }
            ChangedEntity::Caller(_) | ChangedEntity::Session(_) => {}
        }
    }
}
