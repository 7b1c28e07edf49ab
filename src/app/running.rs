//! The handle of a serving broker: its addresses, its orderly end, and its periodic jobs on demand.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::maintenance::Maintenance;

/// The longest time that mints and revocations may go on after the last request has ended.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(6);

/// A serving broker. Its methods other than [`RunningBroker::stop`] run a periodic job at once; tests use them
/// with a clock that they move.
#[derive(Debug)]
pub struct RunningBroker {
    /// The address for internal services.
    pub service: SocketAddr,
    /// The address for admins.
    pub admin: SocketAddr,
    /// The address for pages in browsers.
    pub browser: SocketAddr,
    /// The address for orchestrators' health checks.
    pub operations: SocketAddr,
    pub(super) maintenance: Arc<Maintenance>,
    pub(super) stopping: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl RunningBroker {
    /// Stops accepting requests, lets open ones finish, writes what is still in memory, and returns.
    pub async fn stop(self) {
        self.stopping.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        let work = &self.maintenance.work;
        work.close();
        if tokio::time::timeout(DRAIN_TIMEOUT, work.wait()).await.is_err() {
            tracing::warn!(
                tasks = work.len(),
                "mints and revocations that did not end in time were cancelled"
            );
        }
        if let Err(error) = self.maintenance.authenticator.record_uses().await {
            tracing::warn!(%error, "the last uses of API keys were not recorded");
        }
        if let Err(error) = self.maintenance.broker.audit().write(true).await {
            tracing::error!(%error, "the last counts of the audit were not written");
        }
        self.maintenance.sign_checkpoint().await;
    }

    /// Writes counted releases and refusals to the audit (periodically: every second).
    pub async fn write_counts(&self) {
        self.maintenance.write_counts().await;
    }

    /// Signs an audit checkpoint (periodically: every ten seconds).
    pub async fn sign_checkpoint(&self) {
        self.maintenance.sign_checkpoint().await;
    }

    /// Runs housekeeping (periodically: every 30 seconds): deletes expired rows, completes lockdowns and
    /// revocations, purges deleted tenants and retries pending ones.
    pub async fn run_housekeeping(&self) {
        self.maintenance.run_housekeeping().await;
    }

    /// Renews the tokens that are due (periodically: every second), and waits until that is done.
    pub async fn renew_due(&self) {
        self.maintenance.renew_due().await;
        self.maintenance.broker.renewal().wait_until_idle().await;
    }

    /// Reads the changes that other processes made (periodically: every second).
    pub async fn poll_changes(&self) {
        self.maintenance.poll_changes().await;
    }
}
