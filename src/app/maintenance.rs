//! What is done by itself, whoever calls or not.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

use crate::audit::{Day, SignedCheckpoint};
use crate::auth::Authenticator;
use crate::auth::limits::RateLimits;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::registry::Registry;
use crate::store::Store;
use crate::store::change_feed::ChangeFeed;

/// A checkpoint in the log, out of reach of whoever has the database.
fn tell(signed: &SignedCheckpoint) {
    let signature = data_encoding::BASE64.encode(&signed.signature.bytes);
    tracing::info!(
        target: "box_token_broker::audit",
        checkpoint = %signed.content,
        key = %signed.signature.key,
        %signature,
        "how far the audit goes"
    );
}

/// Looks after what needs it now and then.
#[derive(Debug)]
pub(super) struct Maintenance {
    pub(super) store: Arc<dyn Store>,
    pub(super) change_feed: Arc<ChangeFeed>,
    pub(super) broker: Arc<Broker>,
    pub(super) registry: Arc<Registry>,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) limits: Arc<RateLimits>,
    pub(super) clock: Arc<dyn Clock>,
    /// What outlives its caller.
    pub(super) work: TaskTracker,
    /// How long the audit is kept.
    pub(super) retention: Option<Duration>,
    /// Held while the house is kept, so that one does it at a time.
    pub(super) house: tokio::sync::Mutex<()>,
}

impl Maintenance {
    pub(super) async fn hear_changes(self: Arc<Self>) {
        if let Err(error) = self.change_feed.poll().await {
            tracing::warn!(%error, "what changed cannot be heard");
        }
        self.change_feed.take_changes().iter().for_each(|what| self.broker.forget(what));
    }

    pub(super) async fn renew_due(self: Arc<Self>) {
        self.broker.renew_due().await;
    }

    pub(super) async fn write_counts(self: Arc<Self>) {
        if let Err(error) = self.broker.write_counts(false).await {
            tracing::warn!(%error, "what was counted is written to the audit later");
        }
    }

    pub(super) async fn make_checkpoint(&self) {
        match self.store.sign_checkpoint(self.clock.wall(), None).await {
            Ok(Some(signed)) => tell(&signed),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "how far the audit goes is signed later"),
        }
    }

    /// Drops the audit's days that were kept long enough, and makes room for the next ones.
    async fn keep_audit(&self) {
        let now = self.clock.wall();
        let today = Day::of(now);
        if let Err(error) = self.store.create_audit_partitions(today).await {
            tracing::warn!(%error, "no partition was made for the audit's next days");
        }
        let Some(retention) = self.retention else { return };
        let days = i64::try_from(retention.as_secs() / (24 * 3600)).unwrap_or(i64::MAX);
        match self.store.drop_audit_before(today.plus_days(-days), now).await {
            Ok(Some(signed)) => tell(&signed),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "old days of the audit are dropped later"),
        }
    }

    /// With `look` also where nobody knows of anything that waits.
    pub(super) async fn revoke_waiting(&self, look: bool) {
        if let Err(error) = self.broker.revoke_waiting(look).await {
            tracing::warn!(%error, "what waits to be revoked cannot be seen");
        }
    }

    pub(super) async fn keep_house(self: Arc<Self>) {
        let _alone = self.house.lock().await;
        self.limits.sweep();
        if let Err(error) = self.store.delete_expired(self.clock.wall()).await {
            tracing::warn!(%error, "what is old could not be swept out");
        }
        if let Err(error) = self.registry.finish_lockdowns().await {
            tracing::warn!(%error, "what is locked could not be taken out of circulation");
        }
        if let Err(error) = self.registry.wind_up_deleted().await {
            tracing::warn!(%error, "deleted tenants could not be wound up");
        }
        self.revoke_waiting(true).await;
        if let Err(error) = self.authenticator.record_uses().await {
            tracing::warn!(%error, "when keys were last used was not written down");
        }
        if let Err(error) = self.registry.try_pending().await {
            tracing::warn!(%error, "pending tenants could not be tried");
        }
        self.registry.try_failing().await;
        self.keep_audit().await;
    }
}
