//! Lockdown: every live token that an incident affects leaves circulation at once, and is revoked at Box or waits
//! for that in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::Revocation;
use super::fence::{grants_allow, named_tenants};
use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::domain::grant::Grant;
use crate::domain::id::{AppId, TenantId, TokenId};
use crate::store::{PageRequest, StoreError, StoredToken, TenantRef, TokenCursor, TokenFilter};

/// The most rows that are read at a time.
const PAGE: usize = 500;

/// The longest time that a response waits for Box; the rest continues without it.
const LOCKDOWN_WAIT_LIMIT: Duration = Duration::from_secs(3);

/// The tokens that a lockdown affects.
#[derive(Clone, Debug)]
pub enum LockdownScope {
    /// All tokens of a tenant.
    Tenant(TenantId),
    /// All tokens that were minted through an app.
    App(AppId),
    /// The tokens that a caller's grants allow.
    Grants {
        /// The grants.
        grants: Arc<[Grant]>,
        /// Only tokens minted until then; `None` for all.
        until: Option<Timestamp>,
    },
}

impl LockdownScope {
    /// Returns the filters that find the rows of its tokens.
    pub(super) fn filters(&self) -> Vec<TokenFilter> {
        match self {
            Self::Tenant(tenant) => vec![TokenFilter::Tenant(tenant.clone())],
            Self::App(app) => vec![TokenFilter::App(app.clone())],
            Self::Grants { grants, .. } => match named_tenants(grants) {
                Some(tenants) => tenants.into_iter().map(TokenFilter::Tenant).collect(),
                None => vec![TokenFilter::All],
            },
        }
    }
}

/// The result of a lockdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockdownReport {
    /// The number of live tokens that it affects.
    pub tokens: usize,
    /// The number of them that are dead at Box; the others wait.
    pub revoked: usize,
}

/// A scan over live tokens, page by page.
#[derive(Debug)]
pub(super) struct TokenScan {
    filter: TokenFilter,
    next: Option<TokenCursor>,
}

impl Revocation {
    /// Takes the tokens of `scope` out of circulation, then revokes them at Box: within a few seconds as far as
    /// Box answers, and the rest later.
    ///
    /// # Errors
    /// If the store does not answer. Tokens that left circulation before then stay out of it.
    pub async fn lock_down(self: &Arc<Self>, scope: LockdownScope) -> Result<LockdownReport, TokenError> {
        let tokens = self.withdraw(&scope).await?;
        self.queue.retry_all();
        let dead = Arc::new(AtomicUsize::new(0));
        let work = {
            let (revocation, dead) = (Arc::clone(self), Arc::clone(&dead));
            self.tasks.spawn(async move { revocation.revoke_discarded(Some(&scope), &dead).await })
        };
        let left = match tokio::time::timeout(LOCKDOWN_WAIT_LIMIT, work).await {
            Ok(Ok(Ok(left))) => left,
            // The task continues, or the queue does its work later.
            _ => tokens.saturating_sub(dead.load(Ordering::Acquire)),
        };
        Ok(LockdownReport { tokens, revoked: tokens.saturating_sub(left) })
    }

    /// Takes the tokens of `scope` out of circulation: they are never served again, and wait to be revoked.
    /// Returns the number of live tokens, including those that waited before.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn withdraw(&self, scope: &LockdownScope) -> Result<usize, TokenError> {
        // Old tokens of a tenant or an app are never requested again: its generation has advanced. A caller's
        // tokens may be others' too, whose requests wait here and then mint anew.
        let _closed = match scope {
            LockdownScope::Tenant(_) | LockdownScope::App(_) => None,
            LockdownScope::Grants { grants, .. } => {
                let closed = self.fence.close(Arc::clone(grants));
                self.forget_cached(grants).await?;
                Some(closed)
            }
        };
        let mut tokens = 0;
        for mut scan in self.scans(scope.filters()) {
            while let Some(rows) = self.next_page(&mut scan).await? {
                let rows = self.in_scope(scope, rows).await?;
                let kept = rows.iter().filter(|row| !row.discarded);
                let kept: Vec<TokenId> = kept.map(|row| row.id.clone()).collect();
                self.store.discard_tokens(&kept).await?;
                self.queue.note_waiting();
                tokens += rows.len();
            }
        }
        Ok(tokens)
    }

    /// Returns a scan for each filter, over the tokens that are alive now.
    pub(super) fn scans(&self, filters: Vec<TokenFilter>) -> impl Iterator<Item = TokenScan> + use<> {
        let now = self.clock.wall();
        filters.into_iter().map(move |filter| TokenScan { filter, next: Some(TokenCursor::after(now)) })
    }

    /// Returns the next page of a scan; `None` at its end.
    pub(super) async fn next_page(
        &self,
        scan: &mut TokenScan,
    ) -> Result<Option<Vec<StoredToken>>, StoreError> {
        if scan.next.is_none() {
            return Ok(None);
        }
        let request = PageRequest { after: scan.next.clone(), limit: PAGE };
        let page = self.store.live_tokens(&scan.filter, &request).await?;
        scan.next = page.next;
        Ok(Some(page.items))
    }

    /// Returns those of some rows that are in scope.
    pub(super) async fn in_scope(
        &self,
        scope: &LockdownScope,
        rows: Vec<StoredToken>,
    ) -> Result<Vec<StoredToken>, StoreError> {
        let LockdownScope::Grants { grants, until } = scope else { return Ok(rows) };
        let mut affected = Vec::with_capacity(rows.len());
        for row in rows {
            let is_old = until.is_none_or(|until| row.minted_at <= until);
            if is_old && self.grants_cover(grants, &row).await? {
                affected.push(row);
            }
        }
        Ok(affected)
    }

    async fn grants_cover(&self, grants: &[Grant], row: &StoredToken) -> Result<bool, StoreError> {
        let tenant = self.readable_tenant(&row.tenant).await?;
        let none = BTreeMap::new();
        let labels = tenant.as_ref().map_or(&none, |tenant| tenant.labels());
        Ok(match self.tokens.open(row).await.ok().and_then(|token| token.key()) {
            Some(key) => grants_allow(grants, &key, labels),
            // Its key is unknown as long as it cannot be opened.
            None => grants.iter().any(|grant| grant.applies_to(&row.tenant, labels)),
        })
    }

    /// Removes the tokens that `grants` allow from memory.
    async fn forget_cached(&self, grants: &[Grant]) -> Result<(), StoreError> {
        let keys: Vec<_> = self.cache.keys().collect();
        for key in keys {
            let tenant = self.readable_tenant(&key.tenant).await?;
            // A token of a tenant that cannot be read is served to nobody.
            if tenant.is_none_or(|tenant| grants_allow(grants, &key, tenant.labels())) {
                self.cache.remove_key(&key);
            }
        }
        Ok(())
    }

    /// Returns a tenant, or `None` if there is none or its row is refused.
    async fn readable_tenant(&self, id: &TenantId) -> Result<Option<Arc<TenantContext>>, StoreError> {
        match self.tenants.find(&TenantRef::Id(id.clone())).await {
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            found => Ok(found.ok().flatten()),
        }
    }
}
