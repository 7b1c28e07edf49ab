//! The sandbox over a real socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod changes;
mod faults;
mod grants;
mod harness;
mod items;
mod pages;
mod token_exchange;
mod upload_sessions;
mod uploads;
