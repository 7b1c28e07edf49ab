//! What must not grow unseen: the allocations of requests for warm tokens, a page's too, and the memory of limits.
//!
//! Both are counted, not timed, so they are the same on every machine. This binary's allocator counts
//! what the measuring thread allocates.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the store's tests use the rest")]
#[path = "../support/database.rs"]
mod database;
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
#[path = "../http/ground.rs"]
mod ground;
#[expect(dead_code, reason = "the tests over HTTP use the rest")]
#[path = "../http/reply.rs"]
mod reply;

mod limits;
mod warm_path;
