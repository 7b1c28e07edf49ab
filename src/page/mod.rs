//! The demo's page: an example of a customer's own application that shows Box UI Elements.
//!
//! This module owns the page's server, with a front end and a back end. The back end has the API key of a service,
//! opens a browser session at the broker and gives it to the front end. Everything is served with the
//! Content-Security-Policy that `clients/browser` recommends. It must not use the broker in any way but its HTTP
//! API, like a customer's application.

mod elements;
mod policy;
mod sessions;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

pub use elements::{ElementsFolder, MissingElementFile};

use crate::secret::SecretString;

/// The settings of the page.
#[derive(Debug)]
pub struct PageSettings {
    /// The broker's URL.
    pub broker: Url,
    /// The API key of a service that may open and cancel browser sessions.
    pub key: SecretString,
    /// The tenant's name.
    pub tenant: String,
    /// The id of the user that the sessions are for; `None` for the app's service account.
    pub user: Option<String>,
    /// The id of the folder that the page shows.
    pub folder: String,
    /// The URL that takes the place of `https://api.box.com`.
    pub box_api: Url,
    /// The URL that takes the place of `https://upload.box.com`.
    pub box_upload: Url,
    /// The path of the browser module at the broker.
    pub module: &'static str,
    /// The hash of the browser module, for the attribute `integrity`.
    pub integrity: String,
    /// The prebuilt elements.
    pub elements: ElementsFolder,
}

/// The running server of the page. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct PageServer {
    server: JoinHandle<()>,
    shutdown: DropGuard,
}

impl PageServer {
    /// Stops the server once requests in flight have finished.
    pub async fn stop(self) {
        drop(self.shutdown);
        // A panic of the task has been printed already.
        drop(self.server.await);
    }
}

/// The state that the handlers share.
#[derive(Debug)]
struct PageState {
    settings: PageSettings,
    /// The page's own origin, without a trailing slash.
    origin: String,
    client: reqwest::Client,
    policy: HeaderValue,
    html: String,
}

/// Returns the origin of a server with this address.
#[must_use]
pub fn origin(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Serves the page on `listener` until the returned server is stopped or dropped.
///
/// # Errors
/// The listener has no address, or no HTTP client can be created.
pub fn start(listener: TcpListener, settings: PageSettings) -> io::Result<PageServer> {
    let origin = origin(listener.local_addr()?);
    let client = sessions::client().map_err(io::Error::other)?;
    let policy = policy::content_security_policy(&settings);
    let policy = HeaderValue::from_str(&policy).map_err(io::Error::other)?;
    let html = html(&settings);
    let page = Arc::new(PageState { settings, origin, client, policy, html });
    let router = Router::new()
        .route("/", get(index))
        .route(
            "/page.js",
            get(async || asset("text/javascript; charset=utf-8", include_str!("assets/page.js"))),
        )
        .route("/page.css", get(async || asset("text/css; charset=utf-8", include_str!("assets/page.css"))))
        .route("/elements/{file}", get(elements::serve))
        .route("/session", post(sessions::open))
        .route("/session/{id}", delete(sessions::cancel))
        .fallback(async || StatusCode::NOT_FOUND)
        .layer(from_fn_with_state(Arc::clone(&page), guard))
        .with_state(page);
    let shutdown = CancellationToken::new();
    let cancelled = shutdown.clone().cancelled_owned();
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(cancelled).await {
            tracing::error!(%error, "the server of the page failed");
        }
    });
    Ok(PageServer { server, shutdown: shutdown.drop_guard() })
}

/// Refuses requests that do not come from the page itself, and adds the security headers to every response.
async fn guard(State(page): State<Arc<PageState>>, request: Request, next: Next) -> Response {
    let (own_host, headers) = (page.origin.trim_start_matches("http://"), request.headers());
    // A foreign page could reach this address under another host name (DNS rebinding).
    let has_own_host = header_text(headers, header::HOST) == own_host;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let is_same_origin = is_read || header_text(headers, header::ORIGIN) == page.origin;
    let mut response = match has_own_host && is_same_origin {
        true => next.run(request).await,
        false => (StatusCode::FORBIDDEN, "This belongs to the demo's own page.").into_response(),
    };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, page.policy.clone());
    response
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn index(State(page): State<Arc<PageState>>) -> Response {
    let mut response = asset("text/html; charset=utf-8", "").into_response();
    *response.body_mut() = page.html.clone().into();
    response
}

fn asset(media_type: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, media_type), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// Returns the page's HTML. Its settings are in attributes, since the policy allows no inline script.
fn html(settings: &PageSettings) -> String {
    let base = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let module = format!("{}{}", base(&settings.broker), settings.module);
    let mut html = include_str!("assets/index.html").to_owned();
    for (placeholder, value) in [
        ("{broker}", base(&settings.broker)),
        ("{module}", module),
        ("{integrity}", settings.integrity.clone()),
        ("{api}", base(&settings.box_api)),
        ("{upload}", base(&settings.box_upload)),
        ("{tenant}", settings.tenant.clone()),
        ("{folder}", settings.folder.clone()),
    ] {
        html = html.replace(placeholder, &escape(&value));
    }
    html
}

/// Escapes a text for an attribute.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
