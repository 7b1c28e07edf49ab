//! The lifetime of a token, judged by our own clocks.
//!
//! Values only: nothing here reads a setting or decides what is served.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Monotonic};

/// The largest floor, as a share of the lifetime: short-lived tokens stay usable.
const FLOOR_SHARE: u32 = 10;
/// The smallest floor: responses state whole seconds, and less would read as 0.
const SMALLEST_FLOOR: Duration = Duration::from_secs(1);
/// The largest renewal margin, and the largest as a share of the lifetime.
const WIDEST_MARGIN: Duration = Duration::from_mins(10);
const MARGIN_SHARE: u32 = 5;

/// The lifetime of a token: what Box gave, and its end on the wall clock and on the monotonic clock. Neither a
/// step of the wall clock nor a suspended machine can lengthen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLifetime {
    /// The lifetime that Box gave.
    pub given: Duration,
    /// Its begin, by the wall clock.
    pub began: Timestamp,
    ends: Monotonic,
}

impl TokenLifetime {
    /// Returns a lifetime of `given` that began when the request was sent to Box.
    #[must_use]
    pub fn new(given: Duration, (began, monotonic): (Timestamp, Monotonic)) -> Self {
        Self { given, began, ends: monotonic.plus(given) }
    }

    /// Returns a lifetime that began in an earlier process, of which only the wall clock's times are known.
    #[must_use]
    pub fn restored(given: Duration, began: Timestamp, clock: &dyn Clock) -> Self {
        let mut lifetime = Self { given, began, ends: clock.monotonic() };
        lifetime.ends = clock.monotonic().plus(lifetime.left_by_wall(clock.wall()));
        lifetime
    }

    /// Returns its end, by the wall clock.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.began
            .checked_add(SignedDuration::try_from(self.given).unwrap_or(SignedDuration::MAX))
            .unwrap_or(Timestamp::MAX)
    }

    /// Returns the remaining lifetime by the clock that leaves less; never more than Box gave.
    #[must_use]
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        self.left_by_wall(clock.wall()).min(self.ends.since(clock.monotonic()))
    }

    /// Returns the elapsed part of the lifetime.
    #[must_use]
    pub fn age(&self, clock: &dyn Clock) -> Duration {
        self.given - self.left(clock)
    }

    fn left_by_wall(&self, now: Timestamp) -> Duration {
        let left = self.ends_at().duration_since(now);
        Duration::try_from(left).unwrap_or(Duration::ZERO).min(self.given)
    }

    /// Returns the least remaining lifetime with which the token may be served: the smaller of the setting
    /// `min_ttl` and a tenth of the lifetime, or more if the caller demands it.
    #[must_use]
    pub fn floor(&self, min_ttl: Duration, demanded: Option<Duration>) -> Duration {
        min_ttl.min(self.given / FLOOR_SHARE).max(demanded.unwrap_or_default()).max(SMALLEST_FLOOR)
    }

    /// Returns the remaining lifetime at which the token is renewed at the latest: `setting`, or the smaller
    /// of 10 min and a fifth of the lifetime; always a little more than the floor, below which it cannot be
    /// served.
    #[must_use]
    pub fn margin(&self, setting: Option<Duration>, min_ttl: Duration) -> Duration {
        let floor = self.floor(min_ttl, None);
        setting.unwrap_or(WIDEST_MARGIN).min(self.given / MARGIN_SHARE).max(floor + floor / MARGIN_SHARE)
    }

    /// Returns the time at which a token in use is renewed: up to half the margin before the margin begins,
    /// by `jitter` (0 to 255), so that tokens minted at the same time are renewed at different times.
    #[must_use]
    pub fn renewal_at(&self, margin: Duration, jitter: u8) -> Monotonic {
        let lead = margin + margin / 2 * u32::from(jitter) / 255;
        Monotonic::START.plus(self.ends.since(Monotonic::START).saturating_sub(lead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap())
    }

    #[test]
    fn invariant_3_a_step_of_the_wall_clock_lengthens_no_life() {
        let clock = clock();
        let lifetime = TokenLifetime::new(Duration::from_secs(3600), (clock.wall(), clock.monotonic()));
        clock.advance(Duration::from_secs(600));
        assert_eq!(lifetime.left(&clock), Duration::from_secs(3000));
        clock.step(SignedDuration::from_secs(-7200));
        assert_eq!(lifetime.left(&clock), Duration::from_secs(3000));
        clock.step(SignedDuration::from_secs(7200 + 1000));
        assert_eq!(lifetime.left(&clock), Duration::from_secs(2000));
        clock.step(SignedDuration::from_secs(86_400));
        assert_eq!(lifetime.left(&clock), Duration::ZERO);
    }

    #[test]
    fn invariant_3_a_restored_life_is_no_longer_than_box_gave() {
        let clock = clock();
        let began = clock.wall();
        clock.step(SignedDuration::from_secs(-86_400));
        let lifetime = TokenLifetime::restored(Duration::from_secs(3600), began, &clock);
        assert_eq!(lifetime.left(&clock), Duration::from_secs(3600));
        clock.advance(Duration::from_secs(3600));
        assert_eq!(lifetime.left(&clock), Duration::ZERO);
    }

    #[test]
    fn floors_and_margins_follow_short_lives() {
        let clock = clock();
        let min_ttl = Duration::from_secs(300);
        let long = TokenLifetime::new(Duration::from_secs(3600), (clock.wall(), clock.monotonic()));
        let short = TokenLifetime::new(Duration::from_secs(20), (clock.wall(), clock.monotonic()));
        assert_eq!(long.floor(min_ttl, None), Duration::from_secs(300));
        assert_eq!(short.floor(min_ttl, None), Duration::from_secs(2));
        assert_eq!(short.floor(min_ttl, Some(Duration::from_secs(9))), Duration::from_secs(9));
        assert_eq!(long.margin(None, min_ttl), Duration::from_secs(600));
        assert_eq!(short.margin(None, min_ttl), Duration::from_secs(4));
        assert_eq!(
            long.margin(Some(Duration::from_secs(60)), min_ttl),
            Duration::from_secs(360),
            "above the floor"
        );
        let begun = clock.monotonic();
        assert_eq!(long.renewal_at(Duration::from_secs(600), 0).since(begun), Duration::from_secs(3000));
        assert_eq!(long.renewal_at(Duration::from_secs(600), 255).since(begun), Duration::from_secs(2700));
    }
}
