//! The folders that contain an item, for browser sessions with several folders. Box is asked once, with a token
//! that no caller receives.
//!
//! [`AncestorLookup`] owns what Box reported, for a few minutes. It does not decide what a session may see.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use super::TokenError;
use super::cache::BoundedCache;
use super::minter::Minter;
use super::request::TtlRequirement;
use super::tenant_context::TenantContext;
use super::token_store::SealedTokenStore;
use super::upstream::Upstream;
use crate::box_api::{BoxClient, BoxError};
use crate::clock::{Clock, Monotonic};
use crate::domain::audit_event::AuditContext;
use crate::domain::id::BoxId;
use crate::domain::resource::Resource;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;
use crate::flight::Flights;

/// The time for which an item's folders are remembered. An item that was moved meanwhile gets a token of its old
/// folder, through which Box no longer shows it.
const FOUND_TTL: Duration = Duration::from_mins(5);
/// The time for which it is remembered that the subject does not see an item.
const NOT_FOUND_TTL: Duration = Duration::from_secs(10);
/// The most bytes of memory that remembered items take. Each counts for at least half a kilobyte.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// The folders that contain an item, the outermost first; `None` if the subject does not see the item.
pub type Ancestors = Option<Arc<[BoxId]>>;

/// An item, and the key of the full token with which it is looked up.
type ItemKey = (TokenKey, Resource);

/// The look-up of the folders that contain items.
#[derive(Debug)]
pub struct AncestorLookup {
    minter: Arc<Minter>,
    tokens: Arc<SealedTokenStore>,
    upstream: Arc<Upstream>,
    clock: Arc<dyn Clock>,
    /// The known folders, and the time until which they count.
    known: BoundedCache<ItemKey, (Ancestors, Monotonic)>,
    lookups: Flights<ItemKey, Result<Ancestors, TokenError>>,
}

impl AncestorLookup {
    /// Returns a look-up that knows nothing yet.
    pub(super) fn new(
        minter: Arc<Minter>,
        tokens: Arc<SealedTokenStore>,
        upstream: Arc<Upstream>,
        clock: Arc<dyn Clock>,
        tasks: TaskTracker,
    ) -> Self {
        let known = BoundedCache::with_max_bytes(MAX_BYTES, |_, (ancestors, _): &(Ancestors, Monotonic)| {
            512 + 64 * ancestors.as_ref().map_or(0, |folders| folders.len())
        });
        Self { minter, tokens, upstream, clock, known, lookups: Flights::new(tasks) }
    }

    /// Returns the folders that contain an item, if they are known without asking Box.
    #[must_use]
    pub fn cached(&self, tenant: &TenantContext, subject: &Subject, item: &Resource) -> Option<Ancestors> {
        self.get(&(tenant.token_key(subject, None), item.clone()))
    }

    /// Returns the folders that contain an item, as the subject sees them. Concurrent calls share one request to
    /// Box.
    ///
    /// # Errors
    /// If the subject's token cannot be minted, or Box does not answer.
    pub async fn find(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        subject: &Subject,
        item: &Resource,
        cause: &AuditContext,
    ) -> Result<Ancestors, TokenError> {
        let item = (tenant.token_key(subject, None), item.clone());
        if let Some(ancestors) = self.get(&item) {
            return Ok(ancestors);
        }
        let request = || {
            let (lookup, tenant, item, cause) =
                (Arc::clone(self), Arc::clone(tenant), item.clone(), cause.clone());
            async move { lookup.request(&tenant, item, &cause).await }
        };
        self.lookups.join(item.clone(), request).await.map_err(|_| TokenError::Crashed)?
    }

    fn get(&self, item: &ItemKey) -> Option<Ancestors> {
        let (ancestors, until) = self.known.get(item)?;
        (self.clock.monotonic() < until).then_some(ancestors)
    }

    fn insert(&self, item: ItemKey, ancestors: &Ancestors) {
        let ttl = if ancestors.is_some() { FOUND_TTL } else { NOT_FOUND_TTL };
        self.known.insert(item, (ancestors.clone(), self.clock.monotonic().plus(ttl)));
    }

    /// Asks Box for the folders of an item. A dead token is replaced once.
    async fn request(
        &self,
        tenant: &Arc<TenantContext>,
        item: ItemKey,
        cause: &AuditContext,
    ) -> Result<Ancestors, TokenError> {
        let (key, resource) = &item;
        let mut is_renewed = false;
        loop {
            let by = || cause.clone();
            let token = self.minter.obtain(tenant, key, TtlRequirement::Serve(None), &by).await?;
            let request = async |client: &BoxClient| match client.ancestors(&token.secret, resource).await {
                // A response that makes no sense for one item says nothing of the token.
                Err(error @ BoxError::Protocol { .. }) => {
                    tracing::warn!(%error, tenant = %key.tenant, item = %resource, "where an item lies cannot be read");
                    Ok(None)
                }
                result => result,
            };
            match self.upstream.call(tenant, key, request).await? {
                Err(BoxError::TokenDead { .. }) if !is_renewed => {
                    is_renewed = true;
                    self.tokens.forget(&token).await?;
                }
                Err(error) => return Err(error.into()),
                Ok(ancestors) => {
                    let ancestors = ancestors.map(Arc::from);
                    self.insert(item, &ancestors);
                    return Ok(ancestors);
                }
            }
        }
    }
}
