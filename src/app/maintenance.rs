//! Periodic jobs, independent of any request: polling changes, renewing tokens, writing counts, signing the audit,
//! revoking discarded tokens, and housekeeping.
//!
//! A failed job is logged and runs again at its next time; it never ends the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::audit::{Day, SignedCheckpoint};
use crate::auth::Authenticator;
use crate::auth::limits::RateLimits;
use crate::broker::{Broker, RENEWAL_INTERVAL, REVOCATION_INTERVAL};
use crate::clock::Clock;
use crate::registry::Registry;
use crate::store::Store;
use crate::store::change_feed::{self, ChangeFeed};

/// The interval at which counted events are written to the audit.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);
/// The interval at which an audit checkpoint is signed.
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(10);
/// The interval of housekeeping.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(30);

/// The parts that periodic jobs work on.
#[derive(Debug)]
pub(super) struct Maintenance {
    pub(super) store: Arc<dyn Store>,
    pub(super) change_feed: Arc<ChangeFeed>,
    pub(super) broker: Arc<Broker>,
    pub(super) registry: Arc<Registry>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) limits: Arc<RateLimits>,
    pub(super) clock: Arc<dyn Clock>,
    /// Tasks that may outlive the request that started them.
    pub(super) work: TaskTracker,
    /// The time for which audit records are kept; `None` keeps them for ever.
    pub(super) retention: Option<Duration>,
    /// Held during housekeeping, so that two runs never overlap.
    pub(super) housekeeping: tokio::sync::Mutex<()>,
}

impl Maintenance {
    /// Starts every periodic job as one of `tasks`; they end when `stopping` is cancelled.
    pub(super) fn start(self: &Arc<Self>, tasks: &TaskTracker, stopping: &CancellationToken) {
        let schedule = Schedule { jobs: self, tasks, stopping };
        schedule.every(change_feed::POLL_INTERVAL, |jobs| async move { jobs.poll_changes().await });
        schedule.every(RENEWAL_INTERVAL, |jobs| async move { jobs.renew_due().await });
        schedule.every(COUNT_INTERVAL, |jobs| async move { jobs.write_counts().await });
        schedule.every(CHECKPOINT_INTERVAL, |jobs| async move { jobs.sign_checkpoint().await });
        schedule.every(REVOCATION_INTERVAL, |jobs| async move { jobs.revoke_discarded(false).await });
        schedule.every(HOUSEKEEPING_INTERVAL, |jobs| async move { jobs.run_housekeeping().await });
    }

    pub(super) async fn poll_changes(&self) {
        if let Err(error) = self.change_feed.poll().await {
            tracing::warn!(%error, "changes of other processes cannot be read");
        }
        self.change_feed.take_changes().iter().for_each(|changed| self.broker.forget(changed));
    }

    pub(super) async fn renew_due(&self) {
        self.broker.renewal().renew_due().await;
    }

    pub(super) async fn write_counts(&self) {
        if let Err(error) = self.broker.audit().write(false).await {
            tracing::warn!(%error, "counts could not be written to the audit; the next run retries");
        }
    }

    pub(super) async fn sign_checkpoint(&self) {
        match self.store.sign_checkpoint(self.clock.wall(), None).await {
            Ok(Some(signed)) => log_checkpoint(&signed),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "no audit checkpoint was signed; the next run retries"),
        }
    }

    /// Creates the audit's partitions for the next days, and drops the days whose retention is over.
    async fn rotate_audit(&self) {
        let now = self.clock.wall();
        let today = Day::of(now);
        if let Err(error) = self.store.create_audit_partitions(today).await {
            tracing::warn!(%error, "no partition was created for the audit's next days");
        }
        let Some(retention) = self.retention else { return };
        let days = i64::try_from(retention.as_secs() / (24 * 3600)).unwrap_or(i64::MAX);
        match self.store.drop_audit_before(today.plus_days(-days), now).await {
            Ok(Some(signed)) => log_checkpoint(&signed),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "old days of the audit could not be dropped; the next run retries")
            }
        }
    }

    /// Revokes discarded tokens at Box; with `look`, reads the store even if no token is known to be waiting.
    pub(super) async fn revoke_discarded(&self, look: bool) {
        if let Err(error) = self.broker.revocation().revoke_waiting(look).await {
            tracing::warn!(%error, "tokens that wait to be revoked could not be read");
        }
    }

    pub(super) async fn run_housekeeping(&self) {
        let _guard = self.housekeeping.lock().await;
        self.limits.sweep();
        if let Err(error) = self.store.delete_expired(self.clock.wall()).await {
            tracing::warn!(%error, "expired rows could not be deleted");
        }
        if let Err(error) = self.registry.lockdowns.finish().await {
            tracing::warn!(%error, "the tokens of a lockdown could not be discarded");
        }
        if let Err(error) = self.registry.tenants.purge_due().await {
            tracing::warn!(%error, "deleted tenants could not be purged");
        }
        self.revoke_discarded(true).await;
        if let Err(error) = self.authenticator.record_uses().await {
            tracing::warn!(%error, "the last uses of API keys could not be recorded");
        }
        if let Err(error) = self.registry.pending_tenants.try_due().await {
            tracing::warn!(%error, "pending tenants could not be retried");
        }
        self.registry.tenants.probe_failing().await;
        self.rotate_audit().await;
    }
}

/// Starts jobs at fixed intervals.
struct Schedule<'a> {
    jobs: &'a Arc<Maintenance>,
    tasks: &'a TaskTracker,
    stopping: &'a CancellationToken,
}

impl Schedule<'_> {
    /// Runs `job` every `interval`, the first time at once. A job that panics is logged and runs again.
    fn every<F>(&self, interval: Duration, job: impl Fn(Arc<Maintenance>) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (jobs, stopping) = (Arc::clone(self.jobs), self.stopping.clone());
        self.tasks.spawn(async move {
            let mut ticks = tokio::time::interval(interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    _ = ticks.tick() => {
                        if let Err(error) = tokio::spawn(job(Arc::clone(&jobs))).await {
                            tracing::error!(%error, "a periodic job panicked");
                        }
                    }
                    () = stopping.cancelled() => return,
                }
            }
        });
    }
}

/// Writes a checkpoint to the log, where a manual edit of the database cannot reach it.
fn log_checkpoint(signed: &SignedCheckpoint) {
    let signature = data_encoding::BASE64.encode(&signed.signature.bytes);
    tracing::info!(
        target: "box_token_broker::audit",
        checkpoint = %signed.content,
        key = %signed.signature.key,
        %signature,
        "audit checkpoint"
    );
}
