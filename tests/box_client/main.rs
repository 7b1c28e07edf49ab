//! The broker's client for Box, over a real socket: against the sandbox for what Box does, and
//! against a stub for what no honest server would.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod calls;
mod hostile;
mod refusals;
mod stub;
mod tries;
