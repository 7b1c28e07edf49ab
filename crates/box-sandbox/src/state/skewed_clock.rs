//! The sandbox's time.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// A clock with a skew that the control plane sets.
#[derive(Debug)]
pub(crate) struct SkewedClock {
    clock: Box<dyn Clock>,
    skew_seconds: AtomicI64,
}

impl SkewedClock {
    /// Returns a clock without skew.
    pub(crate) fn new(clock: Box<dyn Clock>) -> Self {
        Self { clock, skew_seconds: AtomicI64::new(0) }
    }

    /// Returns the time of the underlying clock plus the skew.
    pub(crate) fn now(&self) -> Timestamp {
        let skew = SignedDuration::from_secs(self.skew_seconds.load(Ordering::Relaxed));
        let now = self.clock.now();
        now.checked_add(skew).unwrap_or(now)
    }

    /// Sets the skew, in seconds.
    pub(crate) fn set_skew(&self, seconds: i64) {
        self.skew_seconds.store(seconds, Ordering::Relaxed);
    }
}
