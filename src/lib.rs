//! Keeps the private keys of many customers' Box apps, and hands out the access tokens that they mint: full ones to
//! internal services, downscoped ones to browsers.
//!
//! The modules in order; each uses earlier ones only. A request goes down from [`http`] and comes back once.
//!
//! | module | purpose |
//! |---|---|
//! | [`clock`], [`entropy`] | time and randomness, passed in everywhere |
//! | [`secret`] | types for values that must not leak |
//! | [`domain`] | the words of the business: apps, tenants, callers, grants, policies, tokens' keys |
//! | [`config`] | settings from a file and the environment |
//! | [`crypto`] | sealing, authentication and signatures under the broker's own keys |
//! | [`flight`] | one task for everybody who needs the same thing at the same time |
//! | [`audit`] | chained records, signed checkpoints, verification |
//! | [`store`] | SQLite and Postgres behind one trait per entity |
//! | [`box_api`] | the client of Box |
//! | [`auth`] | credentials to callers, and rate limits |
//! | [`broker`] | the release of tokens: decide, cache, mint, renew, revoke |
//! | [`registry`] | the administration of tenants, apps and callers |
//! | [`http`] | the HTTP API |
//! | [`app`] | the composition root and the periodic jobs |
//! | [`cli`] | the command line |
//!
//! `ARCHITECTURE.md` says where to change what, and `docs/internals/` why things are as they are.

pub mod app;
pub mod audit;
pub mod auth;
pub mod box_api;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod entropy;
pub mod flight;
pub mod http;
#[cfg(feature = "sandbox")]
pub mod page;
pub mod registry;
pub mod secret;
pub mod store;
