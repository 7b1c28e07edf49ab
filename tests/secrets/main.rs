//! The search for secrets: a hundred customers' worth of them go through the real binary, and then
//! every byte that it left anywhere is searched for every one of them.
//!
//! `BTB_TEST_ENGINE` is `sqlite` (when it is absent) or `postgres`, for which
//! `BTB_TEST_POSTGRES_URL` names a server on which the tests make databases of their own, and whose
//! data directory they can read.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "the store's tests use the rest")]
#[path = "../support/database.rs"]
mod database;
#[path = "../support/process.rs"]
mod process;

mod api_client;
mod customers;
mod encodings;
mod misuse;
mod private_key;
mod searcher;

mod leak_search;
mod planted;
mod purged;
