//! The judgement whether a token lives long enough, by the settings and the clock.
//!
//! It owns no tokens and never asks Box.

use std::sync::Arc;
use std::time::Duration;

use super::{AccessToken, INTERVAL, RenewalTimes, TokenLifetime};
use crate::broker::request::TtlRequirement;
use crate::clock::Clock;
use crate::config::TokenSettings;
use crate::entropy::Entropy;

/// The settings that decide how long a token is served and when it is renewed.
#[derive(Debug)]
pub(in crate::broker) struct TtlPolicy {
    min_ttl: Duration,
    refresh_margin: Option<Duration>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl TtlPolicy {
    /// Returns the policy of these settings.
    pub(in crate::broker) fn new(
        settings: &TokenSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let TokenSettings { min_ttl, refresh_margin, .. } = *settings;
        Self { min_ttl, refresh_margin, clock, entropy }
    }

    /// Returns true if the token's remaining lifetime meets the requirement.
    pub(in crate::broker) fn meets(&self, token: &AccessToken, requirement: TtlRequirement) -> bool {
        let floor = token.lifetime.floor(self.min_ttl, requirement.min_ttl());
        let clock = self.clock.as_ref();
        match requirement {
            TtlRequirement::Serve(_) => token.outlives(floor, clock),
            TtlRequirement::Exchange(_) => token.outlives(floor.max(token.renewal.margin), clock),
            TtlRequirement::Renew => !self.is_due(token) && token.outlives(floor, clock),
        }
    }

    /// Returns true once the time of the token's renewal has come.
    pub(in crate::broker) fn is_due(&self, token: &AccessToken) -> bool {
        token.renewal.at < self.clock.monotonic().plus(INTERVAL)
    }

    /// Returns the renewal times of a new token, with a random jitter.
    pub(in crate::broker) fn renewal_times(&self, lifetime: TokenLifetime) -> RenewalTimes {
        let mut jitter = [0];
        self.entropy.fill(&mut jitter);
        let margin = lifetime.margin(self.refresh_margin, self.min_ttl);
        RenewalTimes { margin, at: lifetime.renewal_at(margin, jitter[0]) }
    }
}
