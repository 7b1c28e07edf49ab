//! The broker's client for Box, over a real socket: against the sandbox for what Box does, and
//! against a stub for what no honest server would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod fixture;
mod hostile_server;
mod refusals;
mod retries;
mod stub_server;
