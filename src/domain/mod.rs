//! What the broker is about, pure and synchronous: no I/O, no clock, no randomness of its own.

pub mod address;
pub mod app;
pub mod audit_event;
pub mod box_config;
pub mod box_refusal;
pub mod caller;
pub mod grant;
pub mod id;
pub mod on_behalf_of;
pub mod origin;
pub mod policy;
pub mod printable;
pub mod rate_limit;
pub mod recipient;
pub mod resource;
pub mod restriction;
pub mod scope;
pub mod session;
pub mod signing_key;
pub mod subject;
pub mod tenant;
pub mod token_key;
pub mod trust;
pub mod webhook;
