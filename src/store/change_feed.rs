//! The change feed: it polls the log of changes, so that this process learns what other processes changed.
//!
//! It owns the knowledge of which entities changed and since when. It must not cache entities itself: a cache holds
//! a [`ChangeToken`] beside each value and compares it here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::{ChangedEntity, Result, Store};
use crate::clock::{Clock, Monotonic};

/// The time between two polls. Every process refuses a revoked key or suspended tenant within twice this time.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The maximum number of changed ids that are tracked one by one; beyond it everything counts as changed.
const MAX_TRACKED_IDS: usize = 10_000;

/// The feed of changes. A value in memory carries a [`ChangeToken`] from before it was read, and is current only
/// while nothing that it was made of has changed since.
#[derive(Debug)]
pub struct ChangeFeed {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The number of changes that this process has seen.
    epoch: AtomicU64,
    last_changes: RwLock<LastChanges>,
    /// When the last successful poll began.
    last_poll: Mutex<Monotonic>,
    is_failing: AtomicBool,
    /// The number of the last change that was read; locked during a poll, so that there is only one at a time.
    last_number: tokio::sync::Mutex<i64>,
    /// The changes that were read and not taken yet.
    untaken: Mutex<Vec<ChangedEntity>>,
}

/// The epochs of the last changes.
#[derive(Debug, Default)]
struct LastChanges {
    by_id: HashMap<String, u64>,
    any_caller: u64,
    /// The epoch since when everything counts as changed.
    everything: u64,
}

/// A token for the state of the feed at one moment, taken before something is read.
#[derive(Debug)]
pub struct ChangeToken(AtomicU64);

impl ChangeFeed {
    /// Starts to follow the log of changes from its current end.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self> {
        let last_poll = clock.monotonic();
        let last_number = store.last_change_number().await?;
        Ok(Self {
            store,
            clock,
            epoch: AtomicU64::new(0),
            last_changes: RwLock::default(),
            last_poll: Mutex::new(last_poll),
            is_failing: AtomicBool::new(false),
            last_number: tokio::sync::Mutex::new(last_number),
            untaken: Mutex::default(),
        })
    }

    /// Returns a token for what is going to be read now.
    #[must_use]
    pub fn change_token(&self) -> ChangeToken {
        ChangeToken(AtomicU64::new(self.epoch.load(Ordering::Acquire)))
    }

    /// Returns true if none of `ids` has changed since the token was taken.
    #[must_use]
    pub fn unchanged_since(&self, since: &ChangeToken, ids: &[&str]) -> bool {
        self.compare(since, |changes, then| {
            changes.everything <= then
                && ids.iter().all(|id| changes.by_id.get(*id).is_none_or(|changed| *changed <= then))
        })
    }

    /// Returns true if nothing at all has changed since the token was taken. After any change, an entity that was
    /// absent may exist.
    #[must_use]
    pub fn nothing_changed_since(&self, since: &ChangeToken) -> bool {
        since.0.load(Ordering::Acquire) == self.epoch.load(Ordering::Acquire)
    }

    /// Returns true if no caller has changed or been added since the token was taken.
    #[must_use]
    pub fn no_caller_changed_since(&self, since: &ChangeToken) -> bool {
        self.compare(since, |changes, then| changes.everything.max(changes.any_caller) <= then)
    }

    /// Compares a token with the changes, and moves a token that is current forward, so that the next comparison is
    /// quick.
    fn compare(&self, since: &ChangeToken, is_unchanged: impl FnOnce(&LastChanges, u64) -> bool) -> bool {
        let then = since.0.load(Ordering::Acquire);
        let now = self.epoch.load(Ordering::Acquire);
        if then == now {
            return true;
        }
        let changes = self.last_changes.read().unwrap_or_else(PoisonError::into_inner);
        let is_unchanged = is_unchanged(&changes, then);
        if is_unchanged {
            since.0.fetch_max(now, Ordering::AcqRel);
        }
        is_unchanged
    }

    /// Marks an entity as changed at once, without waiting for the next poll.
    pub fn mark_changed(&self, entity: &ChangedEntity) {
        let id = match entity {
            ChangedEntity::Tenant(id) => id.as_str(),
            ChangedEntity::App(id) => id.as_str(),
            ChangedEntity::Caller(id) => id.as_str(),
            ChangedEntity::Session(id) => id.as_str(),
        };
        let mut changes = self.last_changes.write().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.epoch.load(Ordering::Acquire) + 1;
        if changes.by_id.len() >= MAX_TRACKED_IDS {
            changes.by_id.clear();
            changes.everything = epoch;
        }
        changes.by_id.insert(id.to_owned(), epoch);
        if matches!(entity, ChangedEntity::Caller(_)) {
            changes.any_caller = epoch;
        }
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Reads the new changes from the store; [`ChangeFeed::take_changes`] returns them.
    ///
    /// # Errors
    /// If the store does not answer. Caches may use their values for as long as [`ChangeFeed::staleness`] permits.
    pub async fn poll(&self) -> Result<()> {
        self.poll_from(self.last_number.lock().await).await
    }

    async fn poll_from(&self, mut last_number: MutexGuard<'_, i64>) -> Result<()> {
        let began = self.clock.monotonic();
        let changes = self.store.changes_since(*last_number).await;
        self.is_failing.store(changes.is_err(), Ordering::Release);
        match changes? {
            Some(changes) => {
                for change in &changes {
                    self.mark_changed(&change.entity);
                    *last_number = change.number;
                }
                let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
                untaken.extend(changes.into_iter().map(|change| change.entity));
                untaken.truncate(MAX_TRACKED_IDS);
            }
            None => {
                *last_number = self.store.last_change_number().await?;
                self.mark_everything_changed();
            }
        }
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner) = began;
        Ok(())
    }

    fn mark_everything_changed(&self) {
        let mut changes = self.last_changes.write().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.epoch.load(Ordering::Acquire) + 1;
        changes.by_id.clear();
        changes.everything = epoch;
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Returns the changes that were read since the last call, for caches that drop what changed. Until then the
    /// [`ChangeToken`] of a changed value shows that it is not current.
    #[must_use]
    pub fn take_changes(&self) -> Vec<ChangedEntity> {
        std::mem::take(&mut *self.untaken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Polls if there was no poll for two intervals, as after the process was frozen. If the last poll failed, this
    /// is left to the task that polls every interval.
    pub async fn catch_up(&self) {
        if self.is_behind() {
            let last_number = self.last_number.lock().await;
            // If another task polled while this one waited for the lock, its result is enough.
            if self.is_behind() {
                // A failure shows in the staleness, which the caches check.
                let _ = self.poll_from(last_number).await;
            }
        }
    }

    fn is_behind(&self) -> bool {
        self.staleness() > 2 * POLL_INTERVAL && !self.is_failing.load(Ordering::Acquire)
    }

    /// Returns the time since the last successful poll.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        let last_poll = *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock.monotonic().since(last_poll)
    }
}
