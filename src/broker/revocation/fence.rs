//! The fence between the mints before a revocation and those after it.
//!
//! A mint that began before a revocation that affects it is not served afterwards. A mint that begins while a
//! lockdown is under way waits until every affected token is out of circulation. The fence revokes nothing itself.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::watch;

use crate::broker::cache::BoundedCache;
use crate::broker::tenant_context::TenantContext;
use crate::domain::grant::{Grant, TenantSelector};
use crate::domain::id::TenantId;
use crate::domain::policy;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// The most lockdowns that are remembered one by one; earlier ones count for every key.
const MAX_FENCES: usize = 64;
/// The most subjects whose last revocation is remembered.
const MAX_SUBJECTS: u64 = 10_000;

/// The revocations by number, and what they affect.
#[derive(Debug)]
pub(in crate::broker) struct RevocationFence {
    /// The number of the last revocation.
    number: AtomicU64,
    /// The number of each subject's last revocation.
    subjects: BoundedCache<(TenantId, Subject), u64>,
    lockdowns: RwLock<Lockdowns>,
    /// Notified when a lockdown has withdrawn every token that it affects.
    opened: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Lockdowns {
    fences: VecDeque<LockdownFence>,
    /// The last revocation that is not remembered by what it affects.
    forgotten: u64,
}

/// The fence of one lockdown.
#[derive(Debug)]
struct LockdownFence {
    number: u64,
    grants: Arc<[Grant]>,
    is_closed: bool,
}

/// Makes every mint that a lockdown affects wait, until it is dropped.
#[derive(Debug)]
pub(super) struct ClosedFence<'a> {
    fence: &'a RevocationFence,
    number: u64,
}

/// A view of the fence, which does not change while the view lives.
#[derive(Debug)]
pub(in crate::broker) struct FenceView<'a> {
    subjects: &'a BoundedCache<(TenantId, Subject), u64>,
    fences: RwLockReadGuard<'a, Lockdowns>,
}

impl Default for RevocationFence {
    fn default() -> Self {
        Self {
            number: AtomicU64::new(0),
            subjects: BoundedCache::new(MAX_SUBJECTS),
            lockdowns: RwLock::default(),
            opened: watch::Sender::new(()),
        }
    }
}

impl RevocationFence {
    /// Returns the number of the last revocation.
    pub(in crate::broker) fn last_revocation(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// Waits until no closed fence affects `key`, and returns the number of the last revocation then: a mint
    /// that begins now is past all of them.
    pub(in crate::broker) async fn wait_until_open(
        &self,
        key: &TokenKey,
        labels: &BTreeMap<String, String>,
    ) -> u64 {
        let mut opened = self.opened.subscribe();
        loop {
            if let Some(number) = self.view().number_if_open(key, labels, self) {
                return number;
            }
            // The sender lives as long as the fence does.
            if opened.changed().await.is_err() {
                return self.last_revocation();
            }
        }
    }

    /// Returns a view of the fence, for a caller that acts on it before it changes.
    pub(in crate::broker) fn view(&self) -> FenceView<'_> {
        let fences = self.lockdowns.read().unwrap_or_else(PoisonError::into_inner);
        FenceView { subjects: &self.subjects, fences }
    }

    /// Records that a subject's tokens are being revoked, including those whose mint is under way.
    pub(super) fn note_subject(&self, tenant: &TenantId, subject: &Subject) {
        let number = self.advance();
        self.subjects.insert((tenant.clone(), subject.clone()), number);
        // Waits until the views that miss this revocation are gone: their mints have kept their tokens by then,
        // where the revocation finds them.
        drop(self.lockdowns.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Closes a fence around all that `grants` allow.
    pub(super) fn close(&self, grants: Arc<[Grant]>) -> ClosedFence<'_> {
        let mut lockdowns = self.lockdowns.write().unwrap_or_else(PoisonError::into_inner);
        let number = self.advance();
        if lockdowns.fences.len() >= MAX_FENCES
            && let Some(open) = lockdowns.fences.iter().position(|fence| !fence.is_closed)
            && let Some(oldest) = lockdowns.fences.remove(open)
        {
            lockdowns.forgotten = lockdowns.forgotten.max(oldest.number);
        }
        lockdowns.fences.push_back(LockdownFence { number, grants, is_closed: true });
        ClosedFence { fence: self, number }
    }

    fn advance(&self) -> u64 {
        self.number.fetch_add(1, Ordering::AcqRel) + 1
    }
}

impl FenceView<'_> {
    /// Returns true if a mint of `key` that began after revocation `number` was revoked since, by its subject
    /// or by a lockdown.
    pub(in crate::broker) fn is_revoked(&self, tenant: &TenantContext, key: &TokenKey, number: u64) -> bool {
        let subject = (key.tenant.clone(), key.subject.clone());
        self.subjects.get(&subject).is_some_and(|revoked| revoked > number)
            || self.is_locked_down(key, tenant.labels(), number)
    }

    /// Returns true if a lockdown that affects `key` came after revocation `number`.
    fn is_locked_down(&self, key: &TokenKey, labels: &BTreeMap<String, String>, number: u64) -> bool {
        let later = |fence: &&LockdownFence| fence.number > number;
        number < self.fences.forgotten
            || self.fences.fences.iter().filter(later).any(|fence| grants_allow(&fence.grants, key, labels))
    }

    fn number_if_open(
        &self,
        key: &TokenKey,
        labels: &BTreeMap<String, String>,
        fence: &RevocationFence,
    ) -> Option<u64> {
        let closed = |fence: &&LockdownFence| fence.is_closed;
        let waits =
            self.fences.fences.iter().filter(closed).any(|fence| grants_allow(&fence.grants, key, labels));
        (!waits).then(|| fence.last_revocation())
    }
}

impl Drop for ClosedFence<'_> {
    fn drop(&mut self) {
        let mut lockdowns = self.fence.lockdowns.write().unwrap_or_else(PoisonError::into_inner);
        for fence in lockdowns.fences.iter_mut().filter(|fence| fence.number == self.number) {
            fence.is_closed = false;
        }
        drop(lockdowns);
        self.fence.opened.send_replace(());
    }
}

/// Returns true if `grants` allow the token of `key`.
pub(super) fn grants_allow(grants: &[Grant], key: &TokenKey, labels: &BTreeMap<String, String>) -> bool {
    policy::grants_allow_token(grants, &key.tenant, labels, (&key.subject, key.restriction.as_ref()))
}

/// Returns the only tenants of which `grants` may allow a token; `None` if that depends on each tenant.
pub(super) fn named_tenants(grants: &[Grant]) -> Option<Vec<TenantId>> {
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
    fn a_mint_waits_until_the_fence_opens_and_is_not_stopped_afterwards() {
        let (fence, key, labels) = (RevocationFence::default(), key(), BTreeMap::new());
        let before = fence.wait_until_open(&key, &labels).now_or_never().unwrap();
        let closed = fence.close(Arc::from([Grant::everything()]));
        assert!(fence.view().is_locked_down(&key, &labels, before));
        let mut waiting = Box::pin(fence.wait_until_open(&key, &labels));
        assert_eq!((&mut waiting).now_or_never(), None);
        drop(closed);
        let after = waiting.now_or_never().unwrap();
        assert!(!fence.view().is_locked_down(&key, &labels, after));
        assert!(fence.view().is_locked_down(&key, &labels, before));
    }

    #[test]
    fn other_mints_go_on_and_a_fenced_mint_stays_stopped_after_many_lockdowns() {
        let (fence, key, labels) = (RevocationFence::default(), key(), BTreeMap::new());
        let empty = fence.close(Arc::from([]));
        let before = fence.wait_until_open(&key, &labels).now_or_never().unwrap();
        assert!(!fence.view().is_locked_down(&key, &labels, before - 1));
        drop(fence.close(Arc::from([Grant::everything()])));
        for _ in 0..3 * MAX_FENCES {
            drop(fence.close(Arc::from([])));
        }
        drop(empty);
        assert!(fence.view().is_locked_down(&key, &labels, before));
        let after = fence.wait_until_open(&key, &labels).now_or_never().unwrap();
        assert!(!fence.view().is_locked_down(&key, &labels, after));
        assert!(fence.view().fences.fences.len() <= MAX_FENCES + 1);
    }
}
