//! The memory that limits take, however many are limited.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use box_token_broker::auth::limits::RateLimits;
use box_token_broker::clock::{Clock, ManualClock};
use box_token_broker::config::Settings;
use box_token_broker::domain::caller::{Caller, CallerKind, CallerState};
use box_token_broker::domain::id::{CallerId, Name};
use box_token_broker::entropy::SystemEntropy;

/// What the states of 100,000 different callers may take at their most, in bytes.
const BUDGET: u64 = 64 * 1024 * 1024;

fn limits() -> (Arc<ManualClock>, RateLimits) {
    let mut settings = Settings::default().limits;
    settings.requests_per_caller = NonZeroU32::new(2);
    let clock = Arc::new(ManualClock::new("2026-01-02T03:04:05Z".parse().unwrap()));
    let limits = RateLimits::new(&settings, &(clock.clone() as Arc<dyn Clock>));
    (clock, limits)
}

/// A request of each of so many callers, none of whom came before; how many may go on.
fn strangers(limits: &RateLimits, number: usize) -> usize {
    let mut caller = Caller {
        id: CallerId::generate(&SystemEntropy),
        name: Name::parse("portal").unwrap(),
        kind: CallerKind::Service,
        state: CallerState::Active,
        locked_at: None,
        grants: Vec::new(),
        keys: Vec::new(),
        rate_limit: None,
        trusts: Vec::new(),
        created_at: "2026-01-02T03:04:05Z".parse().unwrap(),
        version: 1,
    };
    let one_of_them = |_: &usize| {
        caller.id = CallerId::generate(&SystemEntropy);
        limits.count_caller(&caller).is_ok()
    };
    (0..number).filter(one_of_them).count()
}

#[test]
fn the_states_of_100_000_callers_stay_under_64_mib() {
    let (_, limits) = limits();
    let taken = measure(|| assert_eq!(strangers(&limits, 100_000), 100_000));
    assert!(taken.bytes_max < BUDGET, "{taken:?}");
    assert!(taken.bytes_current > 0, "the states are kept, and were counted: {taken:?}");
}

#[test]
fn more_callers_than_are_told_apart_take_no_more_memory_and_are_limited_all_the_same() {
    let (clock, limits) = limits();
    strangers(&limits, 100_000);
    let taken = measure(|| assert_eq!(strangers(&limits, 100_000), 2, "they share one limit of two"));
    assert!(taken.bytes_current < 1024, "{taken:?}");
    clock.advance(Duration::from_secs(10));
    let given_back = measure(|| limits.sweep());
    assert!(given_back.bytes_current < -1024 * 1024, "{given_back:?}");
    assert_eq!(strangers(&limits, 3), 3, "there is room again");
}
