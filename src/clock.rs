//! The only place that reads time.
//!
//! Two clocks are kept apart: the wall clock, which others can see and which may be stepped, and
//! the monotonic one, which only measures how much time went by. A deadline is judged by both.

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// A point on the process's monotonic clock: the time since that clock was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Monotonic(Duration);

impl Monotonic {
    /// When the clock was made.
    pub const START: Self = Self(Duration::ZERO);

    /// This point and `later` more.
    #[must_use]
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }

    /// What lies between `earlier` and this point; zero when `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where the process gets its time.
pub trait Clock: Send + Sync + Debug {
    /// The time of day, which an operator or NTP may step either way.
    fn wall(&self) -> Timestamp;
    /// The time that went by since the clock was made; it never goes back.
    fn monotonic(&self) -> Monotonic;
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    origin: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time begins now.
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

/// A clock that stands still until it is told to move; for tests.
#[derive(Debug)]
pub struct ManualClock {
    now: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// A clock that shows `wall` and no monotonic time yet.
    #[must_use]
    pub fn new(wall: Timestamp) -> Self {
        Self { now: Mutex::new((wall, Duration::ZERO)) }
    }

    /// Lets `by` go by, on both clocks.
    pub fn advance(&self, by: Duration) {
        let mut now = self.lock();
        now.0 = now.0.checked_add(by).unwrap_or(Timestamp::MAX);
        now.1 = now.1.saturating_add(by);
    }

    /// Steps the wall clock alone, as NTP or an operator would.
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
