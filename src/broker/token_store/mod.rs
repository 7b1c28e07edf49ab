//! The tokens in the store, each sealed.

pub(super) mod sealed_token;
