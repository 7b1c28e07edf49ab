//! What is known of tenants: how they stand, whether their tokens can be had, and what is forgotten when
//! they change.

use std::sync::Arc;

use super::cache::{Known, View};
use super::health::Health;
use super::{Broker, TokenError};
use crate::auth::Identity;
use crate::domain::id::TenantId;
use crate::store::{AppRef, Changed, StoreError, TenantRef};

impl Broker {
    /// The tenant and its app as they stand, for this caller: whoever has no grant on a tenant does not
    /// learn from a row that is refused that it is there.
    ///
    /// # Errors
    /// As those of [`Broker::view`].
    pub async fn view_for(
        &self,
        identity: &Identity,
        tenant: &TenantRef,
    ) -> Result<Option<Arc<View>>, StoreError> {
        let (id, name) = match tenant {
            TenantRef::Id(id) => (Some(id), None),
            TenantRef::Name(name) => (None, Some(name)),
        };
        match self.view(tenant).await {
            Err(StoreError::Refused { .. } | StoreError::KeyUnavailable { .. })
                if !identity.any(|caller| caller.names(id, name)) =>
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
    pub async fn view(&self, by: &TenantRef) -> Result<Option<Arc<View>>, StoreError> {
        if let Some(known) = self.memory.tenant(by) {
            let current = match &known.view {
                Some(view) => {
                    self.watch.is_current(&known.stamp, &[view.tenant.id.as_str(), view.app.id.as_str()])
                }
                None => self.watch.is_still(&known.stamp),
            };
            if current && self.watch.age() <= self.max_policy_age {
                return Ok(known.view.clone());
            }
        }
        let stamp = self.watch.stamp();
        let view = match self.store.tenant(by).await? {
            None => None,
            Some(tenant) => {
                let app = self.store.app(&AppRef::Id(tenant.app.clone())).await?;
                match app.filter(|app| app.may_serve(&tenant.id)) {
                    Some(app) => Some(Arc::new(View { tenant, app })),
                    None => {
                        return Err(StoreError::Refused {
                            table: "apps",
                            id: tenant.app.as_str().to_owned(),
                        });
                    }
                }
            }
        };
        self.memory.keep_tenant(by, Arc::new(Known { stamp, view: view.clone() }));
        Ok(view)
    }

    /// Whether tokens of a tenant can be had, as far as anybody tried.
    #[must_use]
    pub fn health(&self, view: &View) -> Health {
        self.healths.of(view)
    }

    /// Takes note of what keeps a tenant from coming into service.
    pub fn note_failure(&self, view: &View, error: &TokenError) {
        self.healths.note_failure(&view.tenant.id, error);
    }

    /// Forgets a tenant that was erased.
    pub fn forget_erased(&self, tenant: &TenantId) {
        self.healths.forget(tenant);
        self.forget(&Changed::Tenant(tenant.clone()));
    }

    /// The tenants whose tokens cannot be had, as far as this process knows.
    #[must_use]
    pub fn failing(&self) -> Vec<TenantId> {
        self.healths.failing()
    }

    /// Forgets what Box refused to a tenant: a test showed that it refuses no more.
    pub fn forgive(&self, view: &View) {
        self.gate.forgive_tenant(&view.tenant.id);
        self.gate.forgive_app(&view.app.id);
    }

    /// Drops what is in memory of what changed; what was read from it meanwhile is told by its stamp.
    pub fn forget(&self, what: &Changed) {
        self.watch.note(what);
        match what {
            Changed::Tenant(tenant) => self.gate.forgive_tenant(tenant),
            Changed::App(app) => {
                self.gate.forgive_app(app);
                self.memory.forget_credentials(app);
            }
            Changed::Caller(_) | Changed::Session(_) => {}
        }
    }
}
