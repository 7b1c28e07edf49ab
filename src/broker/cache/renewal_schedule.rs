//! When which token is renewed, without a task or a timer for each.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::Monotonic;
use crate::domain::token_key::TokenKey;

/// How often to look, and by how much what is looked at may be early.
pub(in crate::broker) const INTERVAL: Duration = Duration::from_secs(1);

/// What is due, second by second. It holds at most one entry for each token that was kept, and
/// forgets it when its second has come.
#[derive(Debug, Default)]
pub(in crate::broker) struct RenewalSchedule(Mutex<BTreeMap<u64, Vec<TokenKey>>>);

impl RenewalSchedule {
    /// Has `key` looked at within the second that holds `at`; rather too early than too late.
    pub(in crate::broker) fn plan(&self, key: TokenKey, at: Monotonic) {
        let second = at.since(Monotonic::START).as_secs();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(second).or_default().push(key);
    }

    /// Takes out what is due at `now`, the earliest first.
    pub(in crate::broker) fn due(&self, now: Monotonic) -> Vec<TokenKey> {
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
    fn what_is_planned_comes_once_in_its_order_and_not_before_its_time() {
        let (clock, schedule) = (ManualClock::new(Timestamp::UNIX_EPOCH), RenewalSchedule::default());
        let at = |seconds| clock.monotonic().plus(Duration::from_millis(seconds * 1000 + 500));
        for number in [3, 1, 2] {
            schedule.plan(key(number), at(u64::try_from(number).unwrap()));
        }
        clock.advance(Duration::from_millis(900));
        assert_eq!(schedule.due(clock.monotonic()), []);
        clock.advance(Duration::from_millis(1100));
        assert_eq!(schedule.due(clock.monotonic()), [key(1), key(2)]);
        assert_eq!(schedule.due(clock.monotonic()), []);
        clock.advance(Duration::from_secs(100));
        assert_eq!(schedule.due(clock.monotonic()), [key(3)]);
    }
}
