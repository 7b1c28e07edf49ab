//! The process's clock, the only place that reads the time.
//!
//! It owns two clocks: the wall clock, which other machines can see and which an operator or NTP may step, and
//! the monotonic clock, which measures elapsed time alone. A deadline is checked against both. Nothing here
//! sleeps or schedules.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A point on the process's monotonic clock: the time since the clock was created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// The moment at which the clock was created.
    pub const START: Self = Self(Duration::ZERO);

    /// Returns the point that is `duration` after this one.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// Returns the time from `earlier` to this point, or zero if `earlier` is the later of the two.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// A source of time.
pub trait Clock: Send + Sync + Debug {
    /// Returns the time of day, which an operator or NTP may step either way.
    fn wall(&self) -> Timestamp;
    /// Returns the time since the clock was created; it never goes back.
    fn monotonic(&self) -> Monotonic;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// Returns a clock whose monotonic time begins now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's time enters")]
    pub fn new() -> Self {
        Self { origin: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where the machine's time enters")]
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.origin.elapsed())
    }
}

/// A clock for tests, which moves only when a test moves it.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// Returns a clock with this wall time and a monotonic time of zero.
    #[must_use]
    pub fn new(wall: Timestamp) -> Self {
        Self { now: Mutex::new((wall, Duration::ZERO)) }
    }

    /// Moves both clocks forward by `by`.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.0 = now.0.checked_add(by).unwrap_or(Timestamp::MAX);
        now.1 = now.1.saturating_add(by);
    }

    /// Steps the wall clock alone, as NTP or an operator does.
    pub fn step(&self, by: SignedDuration) {
        let mut now = self.lock();
        now.0 = now.0.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Timestamp, Duration)> {
        self.now.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.lock().0
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic(self.lock().1)
    }
}
