//! The time by which a sandbox runs.

use std::fmt;

use jiff::Timestamp;

/// A source of the time of day. Every function that returns a [`Timestamp`] is one: pass
/// `Timestamp::now` for the machine's clock, or a closure over a time that a test moves.
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
