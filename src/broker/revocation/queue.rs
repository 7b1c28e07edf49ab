//! Tokens that wait to be revoked at Box: they are out of circulation, and whoever has one can use it
//! until Box hears of it. Their rows are the queue, so that it outlives the process.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::broker::revocation::lockdown::LockdownScope;
use crate::broker::revocation::retirement::RevocationReport;
use crate::broker::{Broker, TokenError};
use crate::clock::Monotonic;
use crate::domain::id::AppId;
use crate::store::{AppRef, StoreError, StoredToken, TokenFilter};

/// How often [`Broker::revoke_waiting`] is to be called.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// How long an app is left alone after none of its tokens could be revoked, and at most; the time
/// doubles, and is no shorter than Box asks for.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// After how many tokens it shows how far the work is.
const COUNTED: usize = 64;

/// When an app is asked again, and how long it is left alone after that.
#[derive(Clone, Copy, Debug)]
struct AppBackoff {
    until: Monotonic,
    next: Duration,
}

/// What is known of the queue beside its rows.
#[derive(Debug)]
pub(in crate::broker) struct RevocationQueue {
    /// True where there may be rows.
    is_due: AtomicBool,
    pauses: Mutex<HashMap<AppId, AppBackoff>>,
    /// Held while it is worked off, so that one does it at a time.
    working: tokio::sync::Mutex<()>,
}

impl Default for RevocationQueue {
    /// What an earlier process left behind is not known yet.
    fn default() -> Self {
        let is_due = AtomicBool::new(true);
        Self { is_due, pauses: Mutex::default(), working: tokio::sync::Mutex::default() }
    }
}

impl RevocationQueue {
    /// Takes note that a row waits.
    pub(in crate::broker) fn note(&self) {
        self.is_due.store(true, Ordering::Release);
    }

    /// Has every app asked at once, whatever it failed before.
    pub(in crate::broker) fn hurry(&self) {
        self.calm();
        self.note();
    }

    /// Forgets what failed: nothing waits any more.
    fn calm(&self) {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The apps that are left alone at the moment.
    fn resting(&self, now: Monotonic) -> HashSet<AppId> {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.iter().filter(|(_, pause)| now < pause.until).map(|(app, _)| app.clone()).collect()
    }

    /// True where some app is to be asked again.
    fn has_paused(&self) -> bool {
        !self.pauses.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes note that an app's tokens can be revoked.
    fn resume(&self, app: &AppId) {
        self.pauses.lock().unwrap_or_else(PoisonError::into_inner).remove(app);
    }

    /// Leaves an app alone for a while.
    fn pause(&self, app: &AppId, asked: Option<Duration>, now: Monotonic) {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = pauses.entry(app.clone()).or_insert(AppBackoff { until: now, next: FIRST_PAUSE });
        let time = pause.next.max(asked.unwrap_or_default()).min(LONGEST_PAUSE);
        *pause = AppBackoff { until: now.plus(time), next: (2 * pause.next).min(LONGEST_PAUSE) };
    }
}

impl Broker {
    /// Revokes what waits for it, where something may; with `look` also where nobody knows of anything.
    ///
    /// # Errors
    /// Where the store does not answer; what Box does not take is tried again later.
    pub async fn revoke_waiting(&self, look: bool) -> Result<(), TokenError> {
        let _one = self.queue.working.lock().await;
        if !self.queue.is_due.swap(false, Ordering::AcqRel) && !look {
            return Ok(());
        }
        let left =
            self.revoke_discarded(None, &AtomicUsize::new(0)).await.inspect_err(|_| self.queue.note())?;
        // Where no app rests, the rest cannot be opened, or Box refuses it alone: it is looked at each time
        // that the house is kept.
        match (left, self.queue.has_paused()) {
            (0, _) => self.queue.calm(),
            (_, true) => self.queue.note(),
            (left, false) => tracing::warn!(
                left,
                "tokens cannot be opened, or are not taken back; they may live until they expire"
            ),
        }
        Ok(())
    }

    /// Revokes what waits for it, of `reach` or of everything, and counts what is dead in `dead`.
    /// Answers how many are left.
    pub(in crate::broker) async fn revoke_discarded(
        &self,
        reach: Option<&LockdownScope>,
        dead: &AtomicUsize,
    ) -> Result<usize, TokenError> {
        // Whoever asks for a lockdown waits for nothing that failed before.
        let mut resting = match reach {
            Some(_) => HashSet::new(),
            None => self.queue.resting(self.clock.monotonic()),
        };
        let mut left = 0;
        let places = reach.map_or_else(|| vec![TokenFilter::Discarded], LockdownScope::places);
        for mut walk in self.walks(places) {
            while let Some(rows) = self.stretch(&mut walk).await? {
                let rows = match reach {
                    Some(reach) => self.reached(reach, rows).await?,
                    None => rows,
                };
                let mut of_apps: HashMap<AppId, Vec<StoredToken>> = HashMap::new();
                for row in rows.into_iter().filter(|row| row.discarded) {
                    of_apps.entry(row.app.clone()).or_default().push(row);
                }
                left += of_apps.values().map(Vec::len).sum::<usize>();
                of_apps.retain(|app, _| !resting.contains(app));
                let revoked = of_apps.iter().map(|(app, rows)| self.revoke_of_app(app, rows, dead));
                for (app, (revoked, goes_on)) in of_apps.keys().zip(futures::future::join_all(revoked).await)
                {
                    left -= revoked;
                    if !goes_on {
                        resting.insert(app.clone());
                    }
                }
            }
        }
        Ok(left)
    }

    /// Revokes some tokens of an app; answers how many, and whether to go on with others.
    async fn revoke_of_app(&self, app: &AppId, rows: &[StoredToken], dead: &AtomicUsize) -> (usize, bool) {
        let mut revoked = 0;
        for some in rows.chunks(COUNTED) {
            let done = self.try_to_revoke(app, some).await;
            if let Ok(done) = &done {
                revoked += done.dead.len();
                dead.fetch_add(done.dead.len(), Ordering::AcqRel);
            }
            // What Box refuses once it refuses the next time too.
            let error = match done {
                Ok(RevocationReport { dead, failed: Some(error) })
                    if dead.is_empty() || error.is_outage() =>
                {
                    error.into()
                }
                Ok(done) => {
                    if !done.dead.is_empty() {
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

    async fn try_to_revoke(&self, app: &AppId, rows: &[StoredToken]) -> Result<RevocationReport, TokenError> {
        let found = self.store.app(&AppRef::Id(app.clone())).await?;
        // Without its credentials nothing revokes its tokens: they live until they expire.
        let gone = || StoreError::Tampered { table: "apps", id: app.as_str().to_owned() };
        self.revoke_rows(&found.ok_or_else(gone)?, rows).await
    }
}
