//! Lockdown: every live token that an incident reaches leaves circulation at once, and is revoked at
//! Box, or waits for that in the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::broker::revocation::fence::{named_tenants, reaches};
use crate::broker::{Broker, TokenError};
use crate::domain::grant::Grant;
use crate::domain::id::{AppId, TenantId, TokenId};
use crate::store::{PageRequest, StoreError, StoredToken, TenantRef, TokenCursor, TokenFilter};

/// How many rows are looked at at once.
const STRETCH: usize = 500;

/// How long an answer waits for Box; the rest goes on without it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Which tokens a lockdown is about.
#[derive(Clone, Debug)]
pub enum LockdownScope {
    /// A tenant's.
    Tenant(TenantId),
    /// Those that came through an app.
    App(AppId),
    /// Those that a caller's grants give, as far as they were minted until then.
    Grants {
        /// The grants.
        grants: Arc<[Grant]>,
        /// Until when; `None` is until now.
        until: Option<Timestamp>,
    },
}

impl LockdownScope {
    /// Where its tokens are found.
    pub(in crate::broker) fn places(&self) -> Vec<TokenFilter> {
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

/// What a lockdown came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockdownReport {
    /// How many live tokens it reached.
    pub tokens: usize,
    /// How many of them are dead at Box; the others wait.
    pub revoked: usize,
}

/// A walk over live tokens, stretch by stretch.
#[derive(Debug)]
pub(in crate::broker) struct TokenScan {
    among: TokenFilter,
    next: Option<TokenCursor>,
}

impl Broker {
    /// Takes what `reach` names out of circulation, then revokes it at Box: within a few seconds as far
    /// as Box answers, and the rest as soon as it does.
    ///
    /// # Errors
    /// Where the store does not answer. What is out of circulation then, is.
    pub async fn lock_down(self: &Arc<Self>, reach: LockdownScope) -> Result<LockdownReport, TokenError> {
        let tokens = self.put_out(&reach).await?;
        self.queue.hurry();
        let dead = Arc::new(AtomicUsize::new(0));
        let work = {
            let (broker, dead) = (Arc::clone(self), Arc::clone(&dead));
            self.tasks.spawn(async move { broker.revoke_discarded(Some(&reach), &dead).await })
        };
        let left = match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(Ok(left))) => left,
            // It goes on, or the queue goes on for it.
            _ => tokens.saturating_sub(dead.load(Ordering::Acquire)),
        };
        Ok(LockdownReport { tokens, revoked: tokens.saturating_sub(left) })
    }

    /// Takes what `reach` names out of circulation: it is served to nobody from here on, and waits to be
    /// revoked. Answers how many live tokens there are, those that waited before included.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn put_out(&self, reach: &LockdownScope) -> Result<usize, TokenError> {
        // A tenant's or app's old tokens are never asked for again: its generation went on. A caller's
        // may be others' too, who wait here and then mint anew.
        let _closed = match reach {
            LockdownScope::Tenant(_) | LockdownScope::App(_) => None,
            LockdownScope::Grants { grants, .. } => {
                let closed = self.memory.fences.close(Arc::clone(grants));
                self.forget_reached(grants).await?;
                Some(closed)
            }
        };
        let mut tokens = 0;
        for mut walk in self.walks(reach.places()) {
            while let Some(rows) = self.stretch(&mut walk).await? {
                let rows = self.reached(reach, rows).await?;
                let kept = rows.iter().filter(|row| !row.discarded);
                let kept: Vec<TokenId> = kept.map(|row| row.id.clone()).collect();
                self.store.discard_tokens(&kept).await?;
                self.queue.note();
                tokens += rows.len();
            }
        }
        Ok(tokens)
    }

    /// Walks that begin now.
    pub(in crate::broker) fn walks(
        &self,
        places: Vec<TokenFilter>,
    ) -> impl Iterator<Item = TokenScan> + use<> {
        let now = self.clock.wall();
        places.into_iter().map(move |among| TokenScan { among, next: Some(TokenCursor::after(now)) })
    }

    /// The next stretch of a walk; `None` at its end.
    pub(in crate::broker) async fn stretch(
        &self,
        walk: &mut TokenScan,
    ) -> Result<Option<Vec<StoredToken>>, StoreError> {
        if walk.next.is_none() {
            return Ok(None);
        }
        let page = PageRequest { after: walk.next.clone(), limit: STRETCH };
        let tokens = self.store.live_tokens(&walk.among, &page).await?;
        walk.next = tokens.next;
        Ok(Some(tokens.items))
    }

    /// Those of some rows that are within reach.
    pub(in crate::broker) async fn reached(
        &self,
        reach: &LockdownScope,
        rows: Vec<StoredToken>,
    ) -> Result<Vec<StoredToken>, StoreError> {
        let LockdownScope::Grants { grants, until } = reach else { return Ok(rows) };
        let mut reached = Vec::with_capacity(rows.len());
        for row in rows {
            let is_old = until.is_none_or(|until| row.minted_at <= until);
            if is_old && self.is_reached(grants, &row).await? {
                reached.push(row);
            }
        }
        Ok(reached)
    }

    async fn is_reached(&self, grants: &[Grant], row: &StoredToken) -> Result<bool, StoreError> {
        let view = match self.view(&TenantRef::Id(row.tenant.clone())).await {
            Err(error @ StoreError::Unavailable(_)) => return Err(error),
            view => view.ok().flatten(),
        };
        let none = BTreeMap::new();
        let labels = view.as_ref().map_or(&none, |view| &view.tenant.labels);
        Ok(match self.opened(row).await.ok().and_then(|token| token.key()) {
            Some(key) => reaches(grants, &key, labels),
            // What it was minted for cannot be said as long as it cannot be opened.
            None => grants.iter().any(|grant| grant.applies_to(&row.tenant, labels)),
        })
    }

    /// Drops from memory what `grants` give.
    async fn forget_reached(&self, grants: &[Grant]) -> Result<(), StoreError> {
        let keys: Vec<_> = self.memory.keys().collect();
        for key in keys {
            let view = match self.view(&TenantRef::Id(key.tenant.clone())).await {
                Err(error @ StoreError::Unavailable(_)) => return Err(error),
                view => view.ok().flatten(),
            };
            // Nobody is served a token of a tenant that cannot be read.
            if view.is_none_or(|view| reaches(grants, &key, &view.tenant.labels)) {
                self.memory.forget_key(&key);
            }
        }
        Ok(())
    }
}
