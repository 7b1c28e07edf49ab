//! The time by which a sandbox runs.
//!
//! It owns the trait [`Clock`], through which the caller of [`Sandbox::start`](crate::Sandbox::start) passes the time
//! in. Nothing in this crate may read the machine's clock by itself.

use std::fmt;

use jiff::Timestamp;

/// A source of the time of day.
///
/// Every function that returns a [`Timestamp`] is a clock: pass `Timestamp::now` for the machine's time, or a closure
/// over a time that a test moves.
pub trait Clock: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

impl fmt::Debug for dyn Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
