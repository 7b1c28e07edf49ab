//! The offset of Box's clock.

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// The largest offset that is believed; a larger one is a wrong `Date` header.
const PLAUSIBLE: SignedDuration = SignedDuration::from_hours(24);

/// The value before any offset was seen.
const UNSEEN: i64 = i64::MIN;

/// Box's clock minus ours, in milliseconds. It belongs to Box and not to a tenant: the first call that meets the
/// difference saves all others the second attempt.
#[derive(Debug)]
pub(super) struct ClockOffset {
    learnt: AtomicI64,
    seen: AtomicI64,
}

impl Default for ClockOffset {
    fn default() -> Self {
        Self { learnt: AtomicI64::new(0), seen: AtomicI64::new(UNSEEN) }
    }
}

impl ClockOffset {
    /// Returns the offset learned from a refusal, which assertions follow.
    pub(super) fn get(&self) -> SignedDuration {
        SignedDuration::from_millis(self.learnt.load(Ordering::Relaxed))
    }

    /// Returns the offset of the last answer, which is only reported.
    pub(super) fn seen(&self) -> Option<SignedDuration> {
        let seen = self.seen.load(Ordering::Relaxed);
        (seen != UNSEEN).then(|| SignedDuration::from_millis(seen))
    }

    /// Records that Box's clock showed `theirs` when ours showed `ours`.
    pub(super) fn see(&self, theirs: Timestamp, ours: Timestamp) {
        let difference = i64::try_from(theirs.duration_since(ours).as_millis()).unwrap_or(i64::MAX);
        self.seen.store(difference, Ordering::Relaxed);
    }

    /// Adopts the offset between `theirs` and `ours`. Returns false and changes nothing if it is implausible.
    pub(super) fn learn(&self, theirs: Timestamp, ours: Timestamp) -> bool {
        let offset = theirs.duration_since(ours);
        let plausible = offset.abs() <= PLAUSIBLE;
        if plausible {
            // A day's milliseconds always fit into an i64.
            self.learnt.store(i64::try_from(offset.as_millis()).unwrap_or_default(), Ordering::Relaxed);
        }
        plausible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_more_than_a_day_are_not_believed() {
        let offset = ClockOffset::default();
        let ours: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let later = |seconds| ours + SignedDuration::from_secs(seconds);
        assert!(offset.learn(later(-600), ours));
        assert_eq!(offset.get(), SignedDuration::from_secs(-600));
        for absurd in [24 * 3600 + 1, -24 * 3600 - 1] {
            assert!(!offset.learn(later(absurd), ours));
            assert_eq!(offset.get(), SignedDuration::from_secs(-600), "what was learnt stays");
        }
        assert!(!offset.learn(Timestamp::MIN, ours) && !offset.learn(Timestamp::MAX, ours));
    }
}
