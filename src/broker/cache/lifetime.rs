//! How long a token may still be used, by our own clocks.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::{Clock, Monotonic};

/// The share of a token's life that is its floor at most, so that short lives leave room.
const FLOOR_SHARE: u32 = 10;
/// Less than a second would be told as none.
const LEAST: Duration = Duration::from_secs(1);
/// The largest margin before its end at which a token is renewed, and the share of its life.
const WIDEST_MARGIN: Duration = Duration::from_mins(10);
const MARGIN_SHARE: u32 = 5;

/// A token's life: how long Box gave it, and when it ends on the wall clock and on the monotonic
/// one. A step of the wall clock cannot lengthen it, nor can a sleep of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLifetime {
    /// What Box gave.
    pub given: Duration,
    /// When it began, by the wall clock.
    pub began: Timestamp,
    ends: Monotonic,
}

impl TokenLifetime {
    /// A life of `given` that began when Box was asked.
    #[must_use]
    pub fn new(given: Duration, (began, monotonic): (Timestamp, Monotonic)) -> Self {
        Self { given, began, ends: monotonic.plus(given) }
    }

    /// A life that began before this process did, of which only the wall clock's times are known.
    #[must_use]
    pub fn restored(given: Duration, began: Timestamp, clock: &dyn Clock) -> Self {
        let mut life = Self { given, began, ends: clock.monotonic() };
        life.ends = clock.monotonic().plus(life.left_by_wall(clock.wall()));
        life
    }

    /// When it ends, by the wall clock.
    #[must_use]
    pub fn ends_at(&self) -> Timestamp {
        self.began
            .checked_add(SignedDuration::try_from(self.given).unwrap_or(SignedDuration::MAX))
            .unwrap_or(Timestamp::MAX)
    }

    /// What remains, by whichever clock leaves less; never more than was given.
    #[must_use]
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        self.left_by_wall(clock.wall()).min(self.ends.since(clock.monotonic()))
    }

    /// How much of it is over.
    #[must_use]
    pub fn age(&self, clock: &dyn Clock) -> Duration {
        self.given - self.left(clock)
    }

    fn left_by_wall(&self, now: Timestamp) -> Duration {
        let left = self.ends_at().duration_since(now);
        Duration::try_from(left).unwrap_or(Duration::ZERO).min(self.given)
    }

    /// The least life with which it may leave: the smaller of `min_ttl` and a tenth of its life, or
    /// what the caller was promised.
    #[must_use]
    pub fn floor(&self, min_ttl: Duration, promised: Option<Duration>) -> Duration {
        min_ttl.min(self.given / FLOOR_SHARE).max(promised.unwrap_or_default()).max(LEAST)
    }

    /// How long before its end it should be renewed at the latest: `setting`, or the smaller of
    /// 10 min and a fifth of its life; a little above its floor in any case, where nobody can have it
    /// any more.
    #[must_use]
    pub fn margin(&self, setting: Option<Duration>, min_ttl: Duration) -> Duration {
        let floor = self.floor(min_ttl, None);
        setting.unwrap_or(WIDEST_MARGIN).min(self.given / MARGIN_SHARE).max(floor + floor / MARGIN_SHARE)
    }

    /// When a token in use is renewed: up to half its margin before that begins, by `jitter` (0 to
    /// 255), so that tokens of one moment part.
    #[must_use]
    pub fn renewal(&self, margin: Duration, jitter: u8) -> Monotonic {
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
        let life = TokenLifetime::new(Duration::from_secs(3600), (clock.wall(), clock.monotonic()));
        clock.advance(Duration::from_secs(600));
        assert_eq!(life.left(&clock), Duration::from_secs(3000));
        clock.step(SignedDuration::from_secs(-7200));
        assert_eq!(life.left(&clock), Duration::from_secs(3000));
        clock.step(SignedDuration::from_secs(7200 + 1000));
        assert_eq!(life.left(&clock), Duration::from_secs(2000));
        clock.step(SignedDuration::from_secs(86_400));
        assert_eq!(life.left(&clock), Duration::ZERO);
    }

    #[test]
    fn invariant_3_a_restored_life_is_no_longer_than_box_gave() {
        let clock = clock();
        let began = clock.wall();
        clock.step(SignedDuration::from_secs(-86_400));
        let life = TokenLifetime::restored(Duration::from_secs(3600), began, &clock);
        assert_eq!(life.left(&clock), Duration::from_secs(3600));
        clock.advance(Duration::from_secs(3600));
        assert_eq!(life.left(&clock), Duration::ZERO);
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
        assert_eq!(long.renewal(Duration::from_secs(600), 0).since(begun), Duration::from_secs(3000));
        assert_eq!(long.renewal(Duration::from_secs(600), 255).since(begun), Duration::from_secs(2700));
    }
}
