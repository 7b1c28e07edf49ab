//! The demo's page: a customer's own application that shows Box UI Elements, on an origin of its own.
//!
//! Its back end knows the broker by its HTTP API alone, as a customer's does: it has a service's key, opens a
//! browser session for whoever looks at the page, and hands that to the page. Everything is served under the
//! Content-Security-Policy that `clients/browser` tells its readers to use.

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

pub use elements::{Elements, MissingElements};

use crate::secret::SecretString;

/// What the page shows, to whom, and how it comes to the broker.
#[derive(Debug)]
pub struct PageSettings {
    /// Where the broker is.
    pub broker: Url,
    /// The key of a service that may open and cancel browser sessions.
    pub key: SecretString,
    /// The tenant, by name.
    pub tenant: String,
    /// For whom the sessions are: a user's id, or nobody for the app's service account.
    pub user: Option<String>,
    /// The folder that is shown.
    pub folder: String,
    /// What stands for `https://api.box.com` and for `https://upload.box.com`.
    pub box_api: Url,
    /// As above.
    pub box_upload: Url,
    /// The path of the broker's module, and the hash that its text must have.
    pub module: &'static str,
    /// As above.
    pub integrity: String,
    /// The prebuilt elements.
    pub elements: Elements,
}

/// A page that is served. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    served: JoinHandle<()>,
    closing: DropGuard,
}

impl Running {
    /// Lets the open requests end, and stops.
    pub async fn stop(self) {
        drop(self.closing);
        // The task ends by itself; that it panicked has been shown already.
        drop(self.served.await);
    }
}

/// What every handler works with.
#[derive(Debug)]
struct Page {
    settings: PageSettings,
    /// The page's own origin, without a trailing slash.
    origin: String,
    client: reqwest::Client,
    policy: HeaderValue,
    html: String,
}

/// The origin of what listens there, as browsers name it.
#[must_use]
pub fn origin(address: SocketAddr) -> String {
    format!("http://{address}")
}

/// Serves the page on `listener` until the answer is stopped or dropped.
///
/// # Errors
/// The listener has no address, or no HTTP client can be made.
pub fn start(listener: TcpListener, settings: PageSettings) -> io::Result<Running> {
    let origin = origin(listener.local_addr()?);
    let client = sessions::client().map_err(io::Error::other)?;
    let policy = policy::of(&settings);
    let policy = HeaderValue::from_str(&policy).map_err(io::Error::other)?;
    let html = html(&settings);
    let page = Arc::new(Page { settings, origin, client, policy, html });
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
    let closing = CancellationToken::new();
    let closed = closing.clone().cancelled_owned();
    let served = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(closed).await {
            tracing::error!(%error, "the page is served no longer");
        }
    });
    Ok(Running { served, closing: closing.drop_guard() })
}

/// Refuses what does not come from the page itself, and puts the policy on every answer.
async fn guard(State(page): State<Arc<Page>>, request: Request, next: Next) -> Response {
    let (own, headers) = (page.origin.trim_start_matches("http://"), request.headers());
    // Another name for this address is a foreign page's way around its own origin.
    let here = text(headers, header::HOST) == own;
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let from_here = reads || text(headers, header::ORIGIN) == page.origin;
    let mut response = match here && from_here {
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

fn text(headers: &HeaderMap, name: HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn index(State(page): State<Arc<Page>>) -> Response {
    let mut response = asset("text/html; charset=utf-8", "").into_response();
    *response.body_mut() = page.html.clone().into();
    response
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

/// The page's text, with what it has to know in its attributes: its policy allows no script in it.
fn html(settings: &PageSettings) -> String {
    let base = |url: &Url| url.as_str().trim_end_matches('/').to_owned();
    let module = format!("{}{}", base(&settings.broker), settings.module);
    let mut html = include_str!("assets/index.html").to_owned();
    for (place, value) in [
        ("{broker}", base(&settings.broker)),
        ("{module}", module),
        ("{integrity}", settings.integrity.clone()),
        ("{api}", base(&settings.box_api)),
        ("{upload}", base(&settings.box_upload)),
        ("{tenant}", settings.tenant.clone()),
        ("{folder}", settings.folder.clone()),
    ] {
        html = html.replace(place, &escaped(&value));
    }
    html
}

/// A text as it stands in an attribute.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;")
}
