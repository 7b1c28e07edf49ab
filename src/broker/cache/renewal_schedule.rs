//! The renewal times of tokens, without a task or a timer for each.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::domain::token_key::TokenKey;

/// The interval at which the schedule is checked, and by which a renewal may be early.
pub(in crate::broker) const INTERVAL: Duration = Duration::from_secs(1);

/// The keys of tokens to renew, by second. It holds at most one entry for each token that was cached, and
/// gives it away when its second has come.
#[derive(Debug, Default)]
pub(in crate::broker) struct RenewalSchedule(Mutex<BTreeMap<u64, Vec<TokenKey>>>);

impl RenewalSchedule {
    /// Plans `key` for the second that holds `at`: rather early than late.
    pub(in crate::broker) fn plan(&self, key: TokenKey, at: Monotonic) {
        let second = at.since(Monotonic::START).as_secs();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(second).or_default().push(key);
    }

    /// Takes out the keys that are due at `now`, the earliest first.
    pub(in crate::broker) fn take_due(&self, now: Monotonic) -> Vec<TokenKey> {
        let next = now.since(Monotonic::START).as_secs() + 1;
        let mut planned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let later = planned.split_off(&next);
        std::mem::replace(&mut *planned, later).into_values().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::domain::id::{Generation, TenantId};
    use crate::domain::subject::Subject;

    fn key(number: i64) -> TokenKey {
        TokenKey {
            tenant: TenantId::parse("ten_a").unwrap(),
            generation: Generation(number),
            subject: Subject::ENTERPRISE,
            restriction: None,
        }
    }

    #[test]
    fn planned_keys_come_once_in_order_and_never_early() {
        let (clock, schedule) = (ManualClock::new(Timestamp::UNIX_EPOCH), RenewalSchedule::default());
        let at = |seconds| clock.monotonic().plus(Duration::from_millis(seconds * 1000 + 500));
        for number in [3, 1, 2] {
            schedule.plan(key(number), at(u64::try_from(number).unwrap()));
        }
        clock.advance(Duration::from_millis(900));
        assert_eq!(schedule.take_due(clock.monotonic()), []);
        clock.advance(Duration::from_millis(1100));
        assert_eq!(schedule.take_due(clock.monotonic()), [key(1), key(2)]);
        assert_eq!(schedule.take_due(clock.monotonic()), []);
        clock.advance(Duration::from_secs(100));
        assert_eq!(schedule.take_due(clock.monotonic()), [key(3)]);
    }
}
