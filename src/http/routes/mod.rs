//! The routes, one file for each resource.

pub(crate) mod app_credentials;
pub(crate) mod apps;
pub(crate) mod audit;
pub(crate) mod browser_sessions;
pub(crate) mod browser_tokens;
pub(crate) mod callers;
pub(crate) mod credentials;
pub(crate) mod health;
pub(crate) mod keypair_response;
pub(crate) mod lockdown;
pub(crate) mod policy;
pub(crate) mod registration;
pub(crate) mod tenant_response;
pub(crate) mod tenants;
pub mod token_provider;
pub(crate) mod tokens;
pub(crate) mod trusts;
pub(crate) mod webhooks;
pub(crate) mod whoami;

use crate::http::oauth;
use crate::http::route::Route;

/// Returns every route, but for the OpenAPI document and the page that shows it.
#[must_use]
pub fn all() -> Vec<Route> {
    let resources = [
        tokens::routes(),
        browser_sessions::routes(),
        webhooks::routes(),
        whoami::routes(),
        oauth::routes(),
        tenants::routes(),
        credentials::routes(),
        apps::routes(),
        app_credentials::routes(),
        callers::routes(),
        policy::routes(),
        audit::routes(),
        lockdown::routes(),
        trusts::routes(),
        browser_tokens::routes(),
        token_provider::routes(),
        health::routes(),
    ];
    resources.into_iter().flatten().collect()
}
