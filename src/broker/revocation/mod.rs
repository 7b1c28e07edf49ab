//! The revocation of tokens at Box.

pub(super) mod fence;
pub(super) mod lockdown;
pub(super) mod queue;
pub(super) mod retirement;
