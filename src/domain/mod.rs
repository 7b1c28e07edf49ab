//! What the broker is about, pure and synchronous: no I/O, no clock, no randomness of its own.

pub mod box_config;
pub mod signing_key;
