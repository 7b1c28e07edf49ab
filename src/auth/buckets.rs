//! Token buckets for callers, tenants or addresses that have a rate limit, in bounded number.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::{Clock, Monotonic};
use crate::domain::rate_limit::RateLimit;

/// The shortest time between two sweeps for full buckets.
const PAUSE: Duration = Duration::from_secs(1);

/// The buckets by key `K`.
#[derive(Debug)]
pub(super) struct Buckets<K> {
    /// The maximum number of buckets.
    most: usize,
    clock: Arc<dyn Clock>,
    kept: Mutex<BucketSlot<K>>,
}

#[derive(Debug)]
struct BucketSlot<K> {
    own: HashMap<K, Bucket>,
    /// The bucket shared by everybody who came when no bucket was left: a limit does not disappear because
    /// memory is short.
    common: Option<Bucket>,
    /// The time of the last sweep.
    swept: Monotonic,
}

impl<K: Clone + Eq + Hash> Buckets<K> {
    /// Creates a set without buckets that never holds more than `most`.
    pub(super) fn new(most: usize, clock: Arc<dyn Clock>) -> Self {
        let kept = BucketSlot { own: HashMap::new(), common: None, swept: Monotonic::START };
        Self { most, clock, kept: Mutex::new(kept) }
    }

    /// Takes one request out of the bucket of `key`. The bucket is created anew if its limit changed.
    ///
    /// # Errors
    /// The time until the next request is available, if the bucket is empty.
    pub(super) fn take(&self, key: &K, limit: RateLimit) -> Result<(), Duration> {
        let now = self.clock.monotonic();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = kept.own.get_mut(key) {
            if bucket.limit != limit {
                *bucket = self.bucket(limit);
            }
            return bucket.take(now);
        }
        if kept.own.len() >= self.most && now.since(kept.swept) >= PAUSE {
            kept.sweep(now);
        }
        if kept.own.len() < self.most {
            return kept.own.entry(key.clone()).or_insert_with(|| self.bucket(limit)).take(now);
        }
        let limit = kept.common.as_ref().map_or(limit, |common| common.limit).stricter(limit);
        match &mut kept.common {
            Some(common) if common.limit == limit => common.take(now),
            common => common.insert(self.bucket(limit)).take(now),
        }
    }

    /// Drops the buckets that are full again: a new one is no different.
    pub(super) fn sweep(&self) {
        let now = self.clock.monotonic();
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).sweep(now);
    }

    fn bucket(&self, limit: RateLimit) -> Bucket {
        let quota = Quota::per_second(limit.per_second).allow_burst(limit.burst_size());
        let limiter = RateLimiter::direct_with_clock(quota, Time(Arc::clone(&self.clock)));
        Bucket { limit, limiter, full_at: Monotonic::START }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.kept.lock().unwrap().own.len()
    }
}

impl<K: Eq + Hash> BucketSlot<K> {
    fn sweep(&mut self, now: Monotonic) {
        self.swept = now;
        self.own.retain(|_, bucket| bucket.full_at > now);
        if self.own.len() < self.own.capacity() / 4 {
            self.own.shrink_to_fit();
        }
        self.common.take_if(|common| common.full_at <= now);
    }
}

/// One token bucket.
#[derive(Debug)]
struct Bucket {
    limit: RateLimit,
    limiter: RateLimiter<NotKeyed, InMemoryState, Time>,
    /// The latest time at which it is full again.
    full_at: Monotonic,
}

impl Bucket {
    fn take(&mut self, now: Monotonic) -> Result<(), Duration> {
        let refused = self.limiter.check().err();
        match refused {
            Some(until) => Err(until.wait_time_from(nanos(now))),
            None => {
                let filling =
                    Duration::from_secs(1) * self.limit.burst_size().get() / self.limit.per_second.get();
                // The limiter read the clock a moment after `now`.
                self.full_at = now.plus(filling + PAUSE);
                Ok(())
            }
        }
    }
}

/// The broker's clock, adapted to the limiter.
#[derive(Clone, Debug)]
struct Time(Arc<dyn Clock>);

impl governor::clock::Clock for Time {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        nanos(self.0.monotonic())
    }
}

fn nanos(at: Monotonic) -> Nanos {
    at.since(Monotonic::START).into()
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::clock::ManualClock;

    fn limit(per_second: u32) -> RateLimit {
        RateLimit::without_burst(NonZeroU32::new(per_second).unwrap())
    }

    fn buckets(most: usize) -> (Arc<ManualClock>, Buckets<u32>) {
        let clock = Arc::new(ManualClock::new("2026-01-02T03:04:05Z".parse().unwrap()));
        (clock.clone(), Buckets::new(most, clock))
    }

    #[test]
    fn a_bucket_gives_its_burst_and_then_so_many_a_second() {
        let (clock, buckets) = buckets(10);
        let limit = RateLimit { burst: NonZeroU32::new(3), ..limit(2) };
        let granted = || (0..9).filter(|_| buckets.take(&1, limit).is_ok()).count();
        assert_eq!(granted(), 3);
        assert_eq!(buckets.take(&1, limit), Err(Duration::from_millis(500)));
        clock.advance(Duration::from_secs(1));
        assert_eq!(granted(), 2);
        clock.advance(Duration::from_secs(60));
        assert_eq!(granted(), 3);
    }

    #[test]
    fn a_changed_limit_counts_at_once() {
        let (_, buckets) = buckets(10);
        assert!(buckets.take(&1, limit(5)).is_ok());
        assert!(buckets.take(&1, limit(1)).is_ok());
        assert!(buckets.take(&1, limit(1)).is_err());
    }

    #[test]
    fn where_there_is_no_place_strangers_share_the_strictest_of_their_limits() {
        let (clock, buckets) = buckets(2);
        for key in 0..2 {
            assert!(buckets.take(&key, limit(10)).is_ok());
        }
        assert!(buckets.take(&2, limit(9)).is_ok());
        assert!(buckets.take(&3, limit(2)).is_ok());
        assert!(buckets.take(&4, limit(9)).is_ok());
        assert!(buckets.take(&5, limit(9)).is_err(), "two a second for all of them");
        assert!(buckets.take(&0, limit(10)).is_ok(), "who has a bucket keeps it");
        assert_eq!(buckets.len(), 2);
        clock.advance(Duration::from_secs(10));
        assert!(buckets.take(&5, limit(9)).is_ok());
        assert_eq!(buckets.len(), 1, "those that are full again made place");
    }

    #[test]
    fn a_bucket_that_is_thrown_away_was_full() {
        let (clock, buckets) = buckets(10);
        let limit = RateLimit { burst: NonZeroU32::new(4), ..limit(1) };
        while buckets.take(&1, limit).is_ok() {}
        clock.advance(Duration::from_secs(3));
        buckets.sweep();
        assert_eq!((0..9).filter(|_| buckets.take(&1, limit).is_ok()).count(), 3);
        clock.advance(Duration::from_secs(6));
        buckets.sweep();
        assert_eq!(buckets.len(), 0);
    }
}
