//! The HTTP API: routes, extractors, one error map, the OpenAPI document.
//!
//! Routes are in groups, each served where the settings say: `service`, `admin` and `browser` here,
//! `operations` on a listener of its own.

mod audit_actions;
mod error;
mod extract;
mod middleware;
mod oauth;
mod rate_limits;
mod request_log;
pub mod request_parsers;
mod routes;
mod run_detached;
mod schema;
pub mod server;
mod token_release;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, header};
use axum::middleware::from_fn_with_state;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Extension, Router};
use bytes::Bytes;
use ipnet::IpNet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;
use url::Url;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder, Server};
use utoipa_axum::router::OpenApiRouter;
use utoipa_swagger_ui::{Config, SwaggerUi};

use self::audit_actions::AuditActions;
use self::error::ApiError;
use self::middleware::observe;
use self::rate_limits::BesideTenantLimits;
pub use self::routes::token_provider;
use self::routes::{
    app_credentials, apps, audit, browser_sessions, browser_tokens, callers, credentials, health, lockdown,
    policy, tenants, tokens, trusts, webhooks, whoami,
};
use crate::auth::Authenticator;
use crate::auth::limits::RateLimits;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::domain::audit_event::AuditAction;
use crate::entropy::Entropy;
use crate::registry::Registry;
use crate::store::change_feed::ChangeFeed;

/// A handle on all that handlers work with: each request passes it on several times.
#[derive(Clone, Debug)]
pub struct Api(Arc<ApiState>);

#[derive(Debug)]
struct ApiState {
    parts: ApiParts,
    declared: AuditActions,
}

/// All that handlers work with.
#[derive(Debug)]
pub struct ApiParts {
    /// Who calls.
    pub authenticator: Arc<Authenticator>,
    /// What callers do.
    pub broker: Arc<Broker>,
    /// What admins do.
    pub registry: Arc<Registry>,
    /// How often they may ask.
    pub limits: Arc<RateLimits>,
    /// Where the proxies are that say truly whom they pass on.
    pub trusted_proxies: Vec<IpNet>,
    /// How old what is known may be.
    pub change_feed: Arc<ChangeFeed>,
    /// And at most.
    pub max_policy_age: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Where Box's API is.
    pub box_api_url: Url,
    /// How clients reach the broker, where that is known.
    pub public_url: Option<Url>,
    /// Where what outlives its caller is waited for when the process stops.
    pub tasks: TaskTracker,
    /// Cancelled once the process begins to stop.
    pub stopping: CancellationToken,
}

impl From<ApiParts> for Api {
    fn from(parts: ApiParts) -> Self {
        Self(Arc::new(ApiState { parts, declared: AuditActions::of(&document(None)) }))
    }
}

impl Api {
    /// What the audit calls the operation of a route.
    fn action(&self, route: &str, method: &Method) -> Option<AuditAction> {
        self.0.declared.action(route, method)
    }
}

impl Deref for Api {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.0.parts
    }
}

/// Which routes a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteGroup {
    /// What internal services call.
    Service,
    /// What admins call.
    Admin,
    /// What pages in browsers call.
    Browser,
    /// What orchestrators call.
    Operations,
}

/// The router of a listener that serves `groups`.
pub fn router(api: Api, groups: &[RouteGroup]) -> Router {
    let mut router = Router::new();
    for group in groups {
        router = match group {
            RouteGroup::Service => router.merge(service_routes().split_for_parts().0),
            RouteGroup::Admin => router
                .merge(admin_routes().split_for_parts().0.layer(Extension(BesideTenantLimits)))
                .merge(description(openapi(api.public_url.as_ref()))),
            RouteGroup::Browser => {
                router.merge(browser_routes().split_for_parts().0).merge(token_provider::router())
            }
            RouteGroup::Operations => router.merge(health::router()),
        };
    }
    router
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| ApiError::Panicked.into_response()))
        .layer(from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

fn browser_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().merge(browser_tokens::routes())
}

fn service_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(tokens::routes())
        .merge(browser_sessions::routes())
        .merge(webhooks::routes())
        .merge(whoami::routes())
        .merge(oauth::routes())
}

fn admin_routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .merge(tenants::routes())
        .merge(credentials::routes())
        .merge(apps::routes())
        .merge(app_credentials::routes())
        .merge(callers::routes())
        .merge(policy::routes())
        .merge(audit::routes())
        .merge(lockdown::routes())
        .merge(trusts::routes())
}

/// The OpenAPI 3.1 document, and a page to read it and try it out.
fn description(document: String) -> Router<Api> {
    let page = SwaggerUi::new("/docs").config(Config::from("/openapi.json"));
    let document = Bytes::from(document);
    let answer = async move || ([(header::CONTENT_TYPE, "application/json")], document.clone());
    Router::from(page).route("/openapi.json", get(answer))
}

/// The OpenAPI 3.1 document, made from the routes themselves.
#[must_use]
pub fn openapi(public_url: Option<&Url>) -> String {
    // The document is made of texts alone, which always serialise.
    let mut text = document(public_url).to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}

fn document(public_url: Option<&Url>) -> OpenApi {
    let bearer = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("btb_<id>_<secret>")
        .description(Some(
            "An API key of this broker, or a token of an OIDC issuer that a caller's trust matches.",
        ))
        .build();
    let session = Http::builder()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("btbs_<key>_<id>_<signature>")
        .description(Some("A browser session, as `open_browser_session` gave it."))
        .build();
    let client = Http::builder()
        .scheme(HttpAuthScheme::Basic)
        .description(Some(
            "An API key in the guise of client credentials, for clients that speak Box's: the user name is \
             `btb_<id>-<tenant>` and the password the whole key. The form may say the same.",
        ))
        .build();
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    let info = InfoBuilder::new()
        .title("Box Token Broker")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Holds the keys of many customers' Box apps and hands out access tokens: full ones to internal \
             services, downscoped ones for browsers. `x-access` names what a caller's grant must give (`permission`), on which listener the route is (`group`), and what the audit calls it (`audit`).",
        ))
        .license(Some(license))
        .build();
    let document = OpenApiBuilder::new()
        .info(info)
        .servers(public_url.map(|url| [Server::new(url.as_str().trim_end_matches('/'))]))
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("api_key", SecurityScheme::Http(bearer))
                .security_scheme("browser_session", SecurityScheme::Http(session))
                .security_scheme("client", SecurityScheme::Http(client))
                .build(),
        ))
        .build();
    let (_, document) = OpenApiRouter::<Api>::with_openapi(document)
        .merge(service_routes())
        .merge(admin_routes())
        .merge(browser_routes())
        .split_for_parts();
    document
}
