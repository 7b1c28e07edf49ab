//! The layers around every request; [`stack`] puts them together.
//!
//! Each file holds one layer as `tower` has them: a `Layer`, its `Service`, and what it does to the response.

mod access_log;
mod cors;
mod panic;
mod problem_document;
pub(crate) mod refusal_audit;
mod request_id;
mod response_hook;
pub(crate) mod stack;
