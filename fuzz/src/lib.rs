//! What is fuzzed: one module for each parser that meets texts from outside. Each has a function `run`
//! that takes any bytes at all, and asserts what has to hold of them.
//!
//! The fuzzer calls it from `fuzz_targets`, and `tests/fuzz_corpus.rs` of the broker with every seed.

pub mod api_key;
pub mod audit_line;
pub mod box_config;
pub mod caller_jwt;
mod key_set;
pub mod patterns;
pub mod private_key;
pub mod request_body;
pub mod scopes_resources;

/// A target's name, and what it asserts of an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 8] = [
    ("api_key", api_key::run),
    ("audit_line", audit_line::run),
    ("box_config", box_config::run),
    ("caller_jwt", caller_jwt::run),
    ("patterns", patterns::run),
    ("private_key", private_key::run),
    ("request_body", request_body::run),
    ("scopes_resources", scopes_resources::run),
];
