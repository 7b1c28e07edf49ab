//! A clock that counts how often it is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use box_token_broker::clock::{Clock, ManualClock, Monotonic};
use jiff::Timestamp;

/// Readings of the two clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Readings {
    pub(crate) wall: u64,
    pub(crate) monotonic: u64,
}

/// A clock that shows another clock's time and counts the readings.
#[derive(Debug)]
pub(crate) struct CountingClock {
    time: Arc<ManualClock>,
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl CountingClock {
    pub(crate) fn new(time: Arc<ManualClock>) -> Self {
        Self { time, wall: AtomicU64::new(0), monotonic: AtomicU64::new(0) }
    }

    /// Returns the readings so far and starts again at zero.
    pub(crate) fn take(&self) -> Readings {
        Readings {
            wall: self.wall.swap(0, Ordering::Relaxed),
            monotonic: self.monotonic.swap(0, Ordering::Relaxed),
        }
    }
}

impl Clock for CountingClock {
    fn wall(&self) -> Timestamp {
        self.wall.fetch_add(1, Ordering::Relaxed);
        self.time.wall()
    }

    fn monotonic(&self) -> Monotonic {
        self.monotonic.fetch_add(1, Ordering::Relaxed);
        self.time.monotonic()
    }
}
