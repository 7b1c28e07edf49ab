//! The stand-in for Box, asked over a real socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod bench;
mod changes;
mod chunked;
mod downscope;
mod faults;
mod grants;
mod items;
mod pages;
mod uploads;
