//! What the broker is about, pure and synchronous: no I/O, no clock, no randomness of its own.

pub mod address;
pub mod app;
pub mod box_config;
pub mod caller;
pub mod event;
pub mod grant;
pub mod id;
pub mod on_behalf_of;
pub mod origin;
pub mod policy;
pub mod rate_limit;
pub mod receiver;
pub mod refusal;
pub mod session;
pub mod signing_key;
pub mod subject;
pub mod tenant;
pub mod text;
pub mod token_key;
pub mod trust;
pub mod webhook;
