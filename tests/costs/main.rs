//! Costs that must not grow unnoticed: of requests that are answered from memory, and the memory of rate limits.
//!
//! They are counted, not timed, so they are the same on every machine. The allocator of this binary counts
//! what the measuring thread allocates.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the store's tests use the rest")]
#[path = "../support/database.rs"]
mod database;
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
#[path = "../support/harness.rs"]
mod harness;
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
#[path = "../support/response.rs"]
mod response;

mod client;
mod clock;
mod limits;
mod warm;
mod warm_path;
