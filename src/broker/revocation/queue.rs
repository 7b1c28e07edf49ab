//! The queue of tokens that wait to be revoked at Box. They are out of circulation, but their holders can use them
//! until Box has revoked them. The queue is their rows in the store; [`RevocationQueue`] owns what is known beside
//! the rows.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Revocation;
use super::lockdown::LockdownScope;
use super::retirement::RevocationReport;
use crate::broker::error::TokenError;
use crate::clock::Monotonic;
use crate::domain::id::AppId;
use crate::store::{AppRef, StoreError, StoredToken, TokenFilter};

/// The interval at which [`Revocation::revoke_waiting`] is to be called.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// The first and the longest pause of an app after none of its tokens could be revoked. The pause doubles with
/// each failure, and is no shorter than Box asks for.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// The number of tokens after which the progress is counted.
const PROGRESS_STEP: usize = 64;

/// The pause of one app.
#[derive(Clone, Copy, Debug)]
struct AppBackoff {
    until: Monotonic,
    next: Duration,
}

/// The state of the queue beside its rows.
#[derive(Debug)]
pub(super) struct RevocationQueue {
    /// True if there may be rows to work on.
    is_due: AtomicBool,
    pauses: Mutex<HashMap<AppId, AppBackoff>>,
    /// Held while rows are worked on, so that one task does it at a time.
    working: tokio::sync::Mutex<()>,
}

impl Default for RevocationQueue {
    /// Returns a queue in which an earlier process may have left rows.
    fn default() -> Self {
        let is_due = AtomicBool::new(true);
        Self { is_due, pauses: Mutex::default(), working: tokio::sync::Mutex::default() }
    }
}

impl RevocationQueue {
    /// Records that a row waits.
    pub(super) fn note_waiting(&self) {
        self.is_due.store(true, Ordering::Release);
    }

    /// Ends all pauses, so that every app's tokens are tried at once.
    pub(super) fn retry_all(&self) {
        self.end_pauses();
        self.note_waiting();
    }

    fn end_pauses(&self) {
        self.pauses().clear();
    }

    /// Returns the apps that pause at the moment.
    fn pausing(&self, now: Monotonic) -> HashSet<AppId> {
        let pauses = self.pauses();
        pauses.iter().filter(|(_, pause)| now < pause.until).map(|(app, _)| app.clone()).collect()
    }

    /// Returns true if an app is to be tried again after a pause.
    fn has_pauses(&self) -> bool {
        !self.pauses().is_empty()
    }

    /// Ends an app's pause, because its tokens can be revoked.
    fn resume(&self, app: &AppId) {
        self.pauses().remove(app);
    }

    /// Begins an app's next pause, no shorter than `retry_after`.
    fn pause(&self, app: &AppId, retry_after: Option<Duration>, now: Monotonic) {
        let mut pauses = self.pauses();
        let pause = pauses.entry(app.clone()).or_insert(AppBackoff { until: now, next: FIRST_PAUSE });
        let time = pause.next.max(retry_after.unwrap_or_default()).min(LONGEST_PAUSE);
        *pause = AppBackoff { until: now.plus(time), next: (2 * pause.next).min(LONGEST_PAUSE) };
    }

    fn pauses(&self) -> MutexGuard<'_, HashMap<AppId, AppBackoff>> {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Revocation {
    /// Revokes waiting tokens if there may be any; with `look`, also if none is known of.
    ///
    /// # Errors
    /// If the store does not answer. Tokens that Box does not revoke are tried again later.
    pub async fn revoke_waiting(&self, look: bool) -> Result<(), TokenError> {
        let _alone = self.queue.working.lock().await;
        if !self.queue.is_due.swap(false, Ordering::AcqRel) && !look {
            return Ok(());
        }
        let revoked = self.revoke_discarded(None, &AtomicUsize::new(0)).await;
        let left = revoked.inspect_err(|_| self.queue.note_waiting())?;
        // If no app pauses, the rest cannot be opened, or Box refuses it alone: it is tried with each `look`.
        match (left, self.queue.has_pauses()) {
            (0, _) => self.queue.end_pauses(),
            (_, true) => self.queue.note_waiting(),
            (left, false) => tracing::warn!(
                left,
                "tokens cannot be opened, or are not taken back; they may live until they expire"
            ),
        }
        Ok(())
    }

    /// Revokes the waiting tokens of `scope`, or all, and counts dead ones in `dead`. Returns the number of
    /// tokens that are left.
    pub(super) async fn revoke_discarded(
        &self,
        scope: Option<&LockdownScope>,
        dead: &AtomicUsize,
    ) -> Result<usize, TokenError> {
        // A lockdown does not wait for the pauses of earlier failures.
        let mut pausing = match scope {
            Some(_) => HashSet::new(),
            None => self.queue.pausing(self.clock.monotonic()),
        };
        let mut left = 0;
        let filters = scope.map_or_else(|| vec![TokenFilter::Discarded], LockdownScope::filters);
        for mut scan in self.scans(filters) {
            while let Some(rows) = self.next_page(&mut scan).await? {
                let rows = match scope {
                    Some(scope) => self.in_scope(scope, rows).await?,
                    None => rows,
                };
                let mut by_app: HashMap<AppId, Vec<StoredToken>> = HashMap::new();
                for row in rows.into_iter().filter(|row| row.discarded) {
                    by_app.entry(row.app.clone()).or_default().push(row);
                }
                left += by_app.values().map(Vec::len).sum::<usize>();
                by_app.retain(|app, _| !pausing.contains(app));
                let revoked = by_app.iter().map(|(app, rows)| self.revoke_of_app(app, rows, dead));
                for (app, (revoked, goes_on)) in by_app.keys().zip(futures::future::join_all(revoked).await) {
                    left -= revoked;
                    if !goes_on {
                        pausing.insert(app.clone());
                    }
                }
            }
        }
        Ok(left)
    }

    /// Revokes some tokens of an app. Returns the number of dead ones, and whether to go on with others.
    async fn revoke_of_app(&self, app: &AppId, rows: &[StoredToken], dead: &AtomicUsize) -> (usize, bool) {
        let mut revoked = 0;
        for step in rows.chunks(PROGRESS_STEP) {
            let report = self.revoke_step(app, step).await;
            if let Ok(report) = &report {
                revoked += report.dead.len();
                dead.fetch_add(report.dead.len(), Ordering::AcqRel);
            }
            // If Box refuses all tokens of a step, it refuses those of the next one.
            let error = match report {
                Ok(RevocationReport { dead, failed: Some(error) })
                    if dead.is_empty() || error.is_outage() =>
                {
                    error.into()
                }
                Ok(report) => {
                    if !report.dead.is_empty() {
                        self.queue.resume(app);
                    }
                    continue;
                }
                Err(error) => error,
            };
            tracing::warn!(%app, %error, "an app's tokens wait to be revoked");
            self.queue.pause(app, error.retry_after(), self.clock.monotonic());
            return (revoked, false);
        }
        (revoked, true)
    }

    async fn revoke_step(&self, app: &AppId, rows: &[StoredToken]) -> Result<RevocationReport, TokenError> {
        let found = self.store.app(&AppRef::Id(app.clone())).await?;
        // Without its credentials nothing revokes its tokens: they live until they expire.
        let gone = || StoreError::Tampered { table: "apps", id: app.as_str().to_owned() };
        self.revoke_rows(&found.ok_or_else(gone)?, rows).await
    }
}
