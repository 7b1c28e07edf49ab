//! The cost of a request that is answered from memory: its allocations, and how often it reads the time.
//!
//! Each number is the lowest of many requests, because the broker does other work now and then. The comparison is
//! exact in both directions: a higher number has to be explained in its commit, and a lower one is written down here,
//! so that no later change can use up what was gained. `benches/bench_gate.sh` counts the instructions.

use allocation_counter::measure;

use crate::client::runtime;
use crate::clock::Readings;
use crate::warm::{WarmRequest, refill_rate_limit};

/// The cost of one request, from its first byte in the broker to the last byte of the answer.
#[derive(Debug)]
struct Cost {
    allocations: u64,
    /// Bytes in these allocations. The comparison leaves a tenth for a field or two.
    bytes: u64,
    readings: Readings,
}

const SERVICE: Cost = Cost { allocations: 42, bytes: 15_000, readings: Readings { wall: 6, monotonic: 10 } };
const PAGE: Cost = Cost { allocations: 84, bytes: 38_000, readings: Readings { wall: 12, monotonic: 17 } };

/// Requests per measurement; fewer than the burst of 100 that a browser session may send.
const BURST: usize = 90;
const BURSTS: usize = 3;

/// Returns the lowest cost of many requests.
fn lowest_cost(request: impl AsyncFnOnce() -> WarmRequest) -> Cost {
    let runtime = runtime();
    let mut request = runtime.block_on(request());
    let mut costs = Vec::new();
    for _ in 0..BURSTS {
        refill_rate_limit(&request.harness);
        for _ in 0..BURST {
            request.clock.take();
            let allocated = measure(|| runtime.block_on(request.client.call()));
            let readings = request.clock.take();
            costs.push((allocated.count_total, allocated.bytes_total, readings));
        }
    }
    runtime.block_on(request.harness.end());
    let (allocations, bytes, _) = costs.iter().copied().min().unwrap();
    let readings = costs.iter().map(|(_, _, readings)| *readings);
    let readings = readings.min_by_key(|readings| (readings.wall + readings.monotonic, *readings)).unwrap();
    Cost { allocations, bytes, readings }
}

/// Panics if a cost is not the recorded one.
fn compare(name: &str, cost: &Cost, recorded: &Cost) {
    let counts = [
        ("allocations", cost.allocations, recorded.allocations),
        ("readings.wall", cost.readings.wall, recorded.readings.wall),
        ("readings.monotonic", cost.readings.monotonic, recorded.readings.monotonic),
    ];
    for (field, now, before) in counts {
        assert!(now <= before, "{name}.{field} rose from {before} to {now}: {cost:?}");
        assert!(now == before, "{name}.{field} fell from {before} to {now}: write {now} down in {}", file!());
    }
    let expected = recorded.bytes - recorded.bytes / 10..=recorded.bytes;
    assert!(expected.contains(&cost.bytes), "{name}.bytes is not in {expected:?}: {cost:?}");
}

#[test]
fn a_warm_token_costs_no_more_than_recorded() {
    compare("SERVICE", &lowest_cost(WarmRequest::service), &SERVICE);
}

#[test]
fn a_warm_page_costs_no_more_than_recorded() {
    compare("PAGE", &lowest_cost(WarmRequest::page), &PAGE);
}
