//! No input may cost more than 300 ms of a core, or 64 MiB.

use std::time::Duration;

use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Of this thread alone, so that a busy machine makes nothing slow.
const TIME: Duration = Duration::from_millis(300);
const BYTES: usize = 64 * 1024 * 1024;

/// Runs a target on an input, within the bounds.
pub fn within(run: fn(&[u8]), input: &[u8]) {
    let (began, before) = (time(), MEMORY.current_usage());
    MEMORY.reset_peak_usage();
    run(input);
    let taken = time().saturating_sub(began);
    assert!(taken <= TIME, "{taken:?} for one input");
    let peak = MEMORY.peak_usage().saturating_sub(before);
    assert!(peak <= BYTES, "{peak} bytes for one input");
}

/// How long this thread had a core (Linux).
fn time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}
