//! The calls to Box: limited, and withheld while Box refuses or fails.

pub(super) mod circuit_breaker;
pub(super) mod concurrency_limiter;
pub(super) mod health;
