//! In which folders an item lies, for browser sessions that have several folders: Box is asked once, with
//! a token that nobody gets.

use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio_util::task::TaskTracker;

use super::{Broker, TokenError, TtlRequirement};
use crate::box_api::BoxError;
use crate::broker::tenant_context::TenantContext;
use crate::clock::{Clock, Monotonic};
use crate::domain::audit_event::AuditContext;
use crate::domain::id::BoxId;
use crate::domain::resource::Resource;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;
use crate::flight::Flights;

/// For how long it is remembered. An item that was moved meanwhile gets a token of its old folder, by
/// which Box shows it no more.
const SEEN: Duration = Duration::from_mins(5);
/// And that the subject does not see an item.
const UNSEEN: Duration = Duration::from_secs(10);
/// How many bytes of this are remembered; each item counts for at least half a kilobyte.
const MEMORY: u64 = 32 * 1024 * 1024;

/// The folders that an item lies in, the outermost first; `None` where the subject does not see it.
pub type Ancestors = Option<Arc<[BoxId]>>;

/// An item, and by whose full token it is looked at.
type Looked = (TokenKey, Resource);

/// What is known of where items lie.
#[derive(Debug)]
pub(super) struct AncestorLookup {
    known: Cache<Looked, (Ancestors, Monotonic)>,
    looks: Flights<Looked, Result<Ancestors, TokenError>>,
}

impl AncestorLookup {
    pub(super) fn new(tasks: TaskTracker) -> Self {
        let weight = |_: &Looked, (ancestors, _): &(Ancestors, Monotonic)| {
            let folders = ancestors.as_ref().map_or(0, |folders| folders.len());
            u32::try_from(512 + 64 * folders).unwrap_or(u32::MAX)
        };
        let known = Cache::builder()
            .max_capacity(MEMORY)
            .weigher(weight)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { known, looks: Flights::new(tasks) }
    }

    fn recall(&self, looked: &Looked, clock: &dyn Clock) -> Option<Ancestors> {
        let (ancestors, until) = self.known.get(looked)?;
        (clock.monotonic() < until).then_some(ancestors)
    }

    fn keep(&self, looked: Looked, ancestors: &Ancestors, clock: &dyn Clock) {
        let time = if ancestors.is_some() { SEEN } else { UNSEEN };
        self.known.insert(looked, (ancestors.clone(), clock.monotonic().plus(time)));
    }
}

impl Broker {
    /// In which folders an item lies, as far as that is known without asking Box.
    #[must_use]
    pub fn known_ancestors(
        &self,
        view: &TenantContext,
        subject: &Subject,
        item: &Resource,
    ) -> Option<Ancestors> {
        self.items.recall(&(full_key(view, subject), item.clone()), self.clock.as_ref())
    }

    /// In which folders an item lies, as the subject sees them. All who ask at the same time share one
    /// look at Box.
    ///
    /// # Errors
    /// Where the subject's token cannot be had, or Box does not answer.
    pub async fn ancestors(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        subject: &Subject,
        item: &Resource,
        cause: &AuditContext,
    ) -> Result<Ancestors, TokenError> {
        let looked = (full_key(view, subject), item.clone());
        if let Some(ancestors) = self.items.recall(&looked, self.clock.as_ref()) {
            return Ok(ancestors);
        }
        let look = || {
            let (broker, view, looked, cause) =
                (Arc::clone(self), Arc::clone(view), looked.clone(), cause.clone());
            async move { broker.look_at(&view, looked, &cause).await }
        };
        self.items.looks.join(looked.clone(), look).await.map_err(|_| TokenError::Crashed)?
    }

    async fn look_at(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        looked: Looked,
        cause: &AuditContext,
    ) -> Result<Ancestors, TokenError> {
        let (key, item) = &looked;
        let mut renewed = false;
        loop {
            let by = || cause.clone();
            let token = self.obtain(view, key, TtlRequirement::Serve(None), &by).await?;
            let asked = self.ask(view, key, async |upstream| match upstream.ancestors(&token.secret, item).await {
                // What is wrong with one item says nothing of the token.
                Err(error @ BoxError::Protocol { .. }) => {
                    tracing::warn!(%error, tenant = %key.tenant, %item, "where an item lies cannot be read");
                    Ok(None)
                }
                seen => seen,
            });
            match asked.await? {
                Err(BoxError::TokenDead { .. }) if !renewed => {
                    renewed = true;
                    // The row first: whoever misses it in memory must not find it in the store.
                    self.store.delete_tokens(std::slice::from_ref(&token.row)).await?;
                    self.memory.forget_token(key, &token);
                }
                Err(error) => return Err(error.into()),
                Ok(ancestors) => {
                    let ancestors = ancestors.map(Arc::from);
                    self.items.keep(looked, &ancestors, self.clock.as_ref());
                    return Ok(ancestors);
                }
            }
        }
    }
}

fn full_key(view: &TenantContext, subject: &Subject) -> TokenKey {
    TokenKey {
        tenant: view.tenant.id.clone(),
        generation: view.generation(),
        subject: subject.clone(),
        restriction: None,
    }
}
