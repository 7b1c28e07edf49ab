//! The operations, one file for each resource.

pub(crate) mod app_credentials;
pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod browser_sessions;
pub(crate) mod browser_tokens;
pub(crate) mod callers;
pub(crate) mod credentials;
pub(crate) mod health;
pub(crate) mod lockdown;
pub(crate) mod policy;
pub(crate) mod registration;
pub(crate) mod tenants;
pub mod token_provider;
pub(crate) mod tokens;
pub(crate) mod trusts;
pub(crate) mod webhooks;
pub(crate) mod whoami;
