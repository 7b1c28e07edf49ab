//! How a process learns what others changed, and how long it may go on while it cannot.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::MutexGuard;

use super::{ChangedEntity, Result, Store};
use crate::clock::{Clock, Monotonic};

/// How long a process may go without asking what changed: a revoked key or suspended tenant is
/// refused everywhere within twice that.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// How many changed ids are remembered one by one; beyond that everything counts as changed.
const MAX_TRACKED_IDS: usize = 10_000;

/// Follows the log of changes. Whatever is kept in memory bears a [`ChangeToken`] from before it was read,
/// and counts only while nothing that it was made of changed since.
#[derive(Debug)]
pub struct ChangeFeed {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    epoch: AtomicU64,
    changed: RwLock<Epochs>,
    last_poll: Mutex<Monotonic>,
    failing: AtomicBool,
    /// The number of the last change that was heard of; held while asking, so that one asks at a time.
    number: tokio::sync::Mutex<i64>,
    /// What was last_poll, whoever asked, and is not handed on yet.
    untaken: Mutex<Vec<ChangedEntity>>,
}

#[derive(Debug, Default)]
struct Epochs {
    each: HashMap<String, u64>,
    /// When any caller changed last.
    callers: u64,
    all: u64,
}

/// The moment before something was read.
#[derive(Debug)]
pub struct ChangeToken(AtomicU64);

impl ChangeFeed {
    /// Begins to follow the log from where it ends now.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Result<Self> {
        let last_poll = clock.monotonic();
        let number = store.last_change_number().await?;
        Ok(Self {
            store,
            clock,
            epoch: AtomicU64::new(0),
            changed: RwLock::new(Epochs::default()),
            last_poll: Mutex::new(last_poll),
            failing: AtomicBool::new(false),
            number: tokio::sync::Mutex::new(number),
            untaken: Mutex::default(),
        })
    }

    /// A since for what is going to be read now.
    #[must_use]
    pub fn change_token(&self) -> ChangeToken {
        ChangeToken(AtomicU64::new(self.epoch.load(Ordering::Acquire)))
    }

    /// True where none of `ids` changed since `since`.
    #[must_use]
    pub fn unchanged_since(&self, since: &ChangeToken, ids: &[&str]) -> bool {
        let then = since.0.load(Ordering::Acquire);
        let now = self.epoch.load(Ordering::Acquire);
        if then == now {
            return true;
        }
        let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
        let untouched = changed.all <= then
            && ids.iter().all(|id| changed.each.get(*id).is_none_or(|changed| *changed <= then));
        if untouched {
            since.0.fetch_max(now, Ordering::AcqRel);
        }
        untouched
    }

    /// True where nothing at all changed since `since`: what is known to be absent may exist by now.
    #[must_use]
    pub fn nothing_changed_since(&self, since: &ChangeToken) -> bool {
        since.0.load(Ordering::Acquire) == self.epoch.load(Ordering::Acquire)
    }

    /// True where no caller changed since `since`: of those who are known, and of all that may exist by now.
    #[must_use]
    pub fn no_caller_changed_since(&self, since: &ChangeToken) -> bool {
        let then = since.0.load(Ordering::Acquire);
        let now = self.epoch.load(Ordering::Acquire);
        if then == now {
            return true;
        }
        let changed = self.changed.read().unwrap_or_else(PoisonError::into_inner);
        let untouched = changed.all.max(changed.callers) <= then;
        if untouched {
            since.0.fetch_max(now, Ordering::AcqRel);
        }
        untouched
    }

    /// Takes note of a change, before anybody else's is heard of.
    pub fn mark_changed(&self, what: &ChangedEntity) {
        let id = match what {
            ChangedEntity::Tenant(id) => id.as_str(),
            ChangedEntity::App(id) => id.as_str(),
            ChangedEntity::Caller(id) => id.as_str(),
            ChangedEntity::Session(id) => id.as_str(),
        };
        let mut changed = self.changed.write().unwrap_or_else(PoisonError::into_inner);
        let epoch = self.epoch.load(Ordering::Acquire) + 1;
        if changed.each.len() >= MAX_TRACKED_IDS {
            changed.each.clear();
            changed.all = epoch;
        }
        changed.each.insert(id.to_owned(), epoch);
        if matches!(what, ChangedEntity::Caller(_)) {
            changed.callers = epoch;
        }
        self.epoch.store(epoch, Ordering::Release);
    }

    /// Asks the store what changed: [`ChangeFeed::take_changes`] tells it.
    ///
    /// # Errors
    /// Where the store does not answer; what is in memory goes on for as long as [`ChangeFeed::staleness`] lets it.
    pub async fn poll(&self) -> Result<()> {
        self.ask(self.number.lock().await).await
    }

    async fn ask(&self, mut number: MutexGuard<'_, i64>) -> Result<()> {
        let asked = self.clock.monotonic();
        let changes = self.store.changes_since(*number).await;
        self.failing.store(changes.is_err(), Ordering::Release);
        match changes? {
            Some(changes) => {
                for change in &changes {
                    self.mark_changed(&change.entity);
                    *number = change.number;
                }
                let mut untaken = self.untaken.lock().unwrap_or_else(PoisonError::into_inner);
                untaken.extend(changes.into_iter().map(|change| change.entity));
                untaken.truncate(MAX_TRACKED_IDS);
            }
            None => {
                *number = self.store.last_change_number().await?;
                let mut changed = self.changed.write().unwrap_or_else(PoisonError::into_inner);
                let epoch = self.epoch.load(Ordering::Acquire) + 1;
                changed.each.clear();
                changed.all = epoch;
                self.epoch.store(epoch, Ordering::Release);
            }
        }
        *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        Ok(())
    }

    /// What was heard of since this was last asked, for those who keep things in memory that depend on
    /// it. What counts no more is refused by its [`ChangeToken`] meanwhile.
    #[must_use]
    pub fn take_changes(&self) -> Vec<ChangedEntity> {
        std::mem::take(&mut *self.untaken.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks the store where nobody did for two intervals, as after the process was frozen. A store
    /// that is known to be away is left to the one who asks every interval.
    pub async fn catch_up(&self) {
        if self.is_behind() {
            let number = self.number.lock().await;
            // Whoever waited while another asked has the answer, or knows that there is none.
            if self.is_behind() {
                // The failure is remembered, and judged by age.
                let _ = self.ask(number).await;
            }
        }
    }

    fn is_behind(&self) -> bool {
        self.staleness() > 2 * POLL_INTERVAL && !self.failing.load(Ordering::Acquire)
    }

    /// How long ago the store last told what changed.
    #[must_use]
    pub fn staleness(&self) -> Duration {
        let last_poll = *self.last_poll.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock.monotonic().since(last_poll)
    }
}
