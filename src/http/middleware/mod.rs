//! The layers around every request.

pub(crate) mod cors;
pub(crate) mod observe;
