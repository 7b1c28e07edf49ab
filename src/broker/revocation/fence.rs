//! Lockdowns of callers that mints meet: what was begun before one is not served after it, and what comes
//! while one is under way waits until every token that it reaches is out of the way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use crate::domain::grant::Grant;
use crate::domain::id::TenantId;
use crate::domain::policy;
use crate::domain::token_key::TokenKey;

/// How many lockdowns are remembered one by one; those before them count for every key.
const REMEMBERED: usize = 64;

/// What stands between the mints before a revocation and those after it.
#[derive(Debug)]
pub(in crate::broker) struct RevocationFence {
    /// How many revocations there were.
    number: AtomicU64,
    inner: RwLock<Inner>,
    /// Told when a lockdown has every token that it reaches.
    opened: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    fences: VecDeque<Fence>,
    /// The last revocation that is not remembered by what it reached.
    forgotten: u64,
}

#[derive(Debug)]
struct Fence {
    number: u64,
    grants: Arc<[Grant]>,
    is_closed: bool,
}

/// Keeps every mint of what a lockdown reaches waiting, until it is dropped.
#[derive(Debug)]
pub(in crate::broker) struct ClosedFence<'a> {
    fences: &'a RevocationFence,
    number: u64,
}

/// Nobody closes a fence while this lives.
pub(in crate::broker) struct FenceView<'a>(RwLockReadGuard<'a, Inner>);

impl Default for RevocationFence {
    fn default() -> Self {
        Self { number: AtomicU64::new(0), inner: RwLock::default(), opened: watch::Sender::new(()) }
    }
}

impl RevocationFence {
    /// How many revocations there were.
    pub(in crate::broker) fn count(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Counts one more revocation, and tells its number.
    pub(in crate::broker) fn advance(&self) -> u64 {
        self.number.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Closes a fence around all that `grants` reach.
    pub(in crate::broker) fn close(&self, grants: Arc<[Grant]>) -> ClosedFence<'_> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        let number = self.advance();
        if inner.fences.len() >= REMEMBERED
            && let Some(place) = inner.fences.iter().position(|fence| !fence.is_closed)
            && let Some(oldest) = inner.fences.remove(place)
        {
            inner.forgotten = inner.forgotten.max(oldest.number);
        }
        inner.fences.push_back(Fence { number, grants, is_closed: true });
        ClosedFence { fences: self, number }
    }

    /// Waits until no fence is closed around `key`, and tells how many revocations there were then: a
    /// mint that begins now is past all of them.
    pub(in crate::broker) async fn pass(&self, key: &TokenKey, labels: &BTreeMap<String, String>) -> u64 {
        let mut opened = self.opened.subscribe();
        loop {
            if let Some(count) = self.look().count_where_open(key, labels, self) {
                return count;
            }
            // The sender lives as long as the broker does.
            if opened.changed().await.is_err() {
                return self.count();
            }
        }
    }

    /// Returns once everybody has ended who looks at this moment.
    pub(in crate::broker) fn wait_for_looks(&self) {
        drop(self.inner.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Looks at the fences, which stay as they are meanwhile.
    pub(in crate::broker) fn look(&self) -> FenceView<'_> {
        FenceView(self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl FenceView<'_> {
    /// True where a lockdown that reaches `key` came after the first `count` revocations.
    pub(in crate::broker) fn stops(
        &self,
        key: &TokenKey,
        labels: &BTreeMap<String, String>,
        count: u64,
    ) -> bool {
        let later = |fence: &&Fence| fence.number > count;
        count < self.0.forgotten
            || self.0.fences.iter().filter(later).any(|fence| reaches(&fence.grants, key, labels))
    }

    fn count_where_open(
        &self,
        key: &TokenKey,
        labels: &BTreeMap<String, String>,
        fences: &RevocationFence,
    ) -> Option<u64> {
        let closed = |fence: &&Fence| fence.is_closed;
        let waits = self.0.fences.iter().filter(closed).any(|fence| reaches(&fence.grants, key, labels));
        (!waits).then(|| fences.count())
    }
}

impl Drop for ClosedFence<'_> {
    fn drop(&mut self) {
        let mut inner = self.fences.inner.write().unwrap_or_else(PoisonError::into_inner);
        for fence in inner.fences.iter_mut().filter(|fence| fence.number == self.number) {
            fence.is_closed = false;
        }
        drop(inner);
        self.fences.opened.send_replace(());
    }
}

/// True where `grants` give the token under `key`.
pub(in crate::broker) fn reaches(
    grants: &[Grant],
    key: &TokenKey,
    labels: &BTreeMap<String, String>,
) -> bool {
    policy::grants_allow_token(grants, &key.tenant, labels, (&key.subject, key.restriction.as_ref()))
}

/// Of which tenants alone `grants` may reach a token; `None` where that shows in each tenant.
pub(in crate::broker) fn named_tenants(grants: &[Grant]) -> Option<Vec<TenantId>> {
    use crate::domain::grant::TenantSelector;
    let named = grants.iter().map(|grant| match &grant.tenants {
        TenantSelector::One { id, .. } => Some(id.clone()),
        TenantSelector::Every | TenantSelector::Labels(_) => None,
    });
    let mut named = named.collect::<Option<Vec<_>>>()?;
    named.sort();
    named.dedup();
    Some(named)
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::domain::id::Generation;
    use crate::domain::subject::Subject;

    fn key() -> TokenKey {
        TokenKey {
            tenant: TenantId::parse("ten_a").unwrap(),
            generation: Generation(1),
            subject: Subject::ENTERPRISE,
            restriction: None,
        }
    }

    #[test]
    fn a_mint_waits_for_a_closed_fence_and_is_past_it_then() {
        let (fences, key, labels) = (RevocationFence::default(), key(), BTreeMap::new());
        let before = fences.pass(&key, &labels).now_or_never().unwrap();
        let closed = fences.close(Arc::from([Grant::everything()]));
        assert!(fences.look().stops(&key, &labels, before));
        let mut waiting = Box::pin(fences.pass(&key, &labels));
        assert_eq!((&mut waiting).now_or_never(), None);
        drop(closed);
        let after = waiting.now_or_never().unwrap();
        assert!(!fences.look().stops(&key, &labels, after));
        assert!(fences.look().stops(&key, &labels, before));
    }

    #[test]
    fn what_is_not_reached_goes_on_and_many_lockdowns_later_what_was_begun_before_stays_stopped() {
        let (fences, key, labels) = (RevocationFence::default(), key(), BTreeMap::new());
        let nothing = fences.close(Arc::from([]));
        let before = fences.pass(&key, &labels).now_or_never().unwrap();
        assert!(!fences.look().stops(&key, &labels, before - 1));
        drop(fences.close(Arc::from([Grant::everything()])));
        for _ in 0..3 * REMEMBERED {
            drop(fences.close(Arc::from([])));
        }
        drop(nothing);
        assert!(fences.look().stops(&key, &labels, before));
        let after = fences.pass(&key, &labels).now_or_never().unwrap();
        assert!(!fences.look().stops(&key, &labels, after));
        assert!(fences.look().0.fences.len() <= REMEMBERED + 1);
    }
}
