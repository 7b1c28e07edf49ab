//! The real binary as a process: killed, told to stop, frozen, started twice, with commands beside it.
//!
//! `BTB_TEST_ENGINE` is `sqlite` (when it is absent) or `postgres`, for which
//! `BTB_TEST_POSTGRES_URL` names a server on which the tests make databases of their own.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the store's tests use the rest")]
#[path = "../support/database.rs"]
mod database;
mod harness;
#[expect(dead_code, reason = "the search for secrets uses the rest")]
#[path = "../support/process.rs"]
mod process;

mod client_addresses;
mod concurrent_processes;
mod frozen;
mod killed;
mod shutdown;
