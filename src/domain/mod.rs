//! The broker's model: tenants, apps, callers, grants, policies, and the rules that decide about them.
//!
//! Everything here is pure and synchronous. It does no I/O, reads no clock and no randomness of its own, and knows
//! nothing of HTTP or of the store.

pub mod address;
pub mod app;
pub mod audit_event;
pub mod box_config;
pub mod box_refusal;
pub mod caller;
pub mod grant;
pub mod id;
mod length_prefixed;
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
