//! A stand-in for Box, strict enough to develop an integration against.
//!
//! It shares nothing with the broker's own Box client, so that a mistake on the wire cannot hide: it
//! has its own types, its own randomness and its own reading of Box's rules. It holds secrets in
//! plain text, listens without authentication and belongs on a developer's machine alone.
//!
//! Box's side: `POST /oauth2/token` (JWT bearer, client credentials, token exchange) and
//! `/oauth2/revoke`; under `/2.0`, and for uploads under `/api/2.0` as well, what Box UI Elements and
//! the official SDKs call, with `As-User`, CORS and the downscoped token enforced on each call:
//!
//! | what | calls |
//! |---|---|
//! | users | `GET users/me`, `users/{id}` |
//! | folders | `GET folders/{id}`, `folders/{id}/items` (`fields`, `offset` or `usemarker` and `marker`, `limit`, `sort`, `direction`), `POST folders`, `PUT`, `DELETE folders/{id}` |
//! | files | `GET`, `PUT`, `DELETE files/{id}`, `GET files/{id}/content` (302 to a URL that opens once; `Range`), representations of texts and pictures |
//! | uploads | `OPTIONS` and `POST files/content`, `files/{id}/content` |
//! | uploads in parts | `POST files/upload_sessions`, `files/{id}/upload_sessions`; `GET`, `PUT`, `DELETE files/upload_sessions/{id}`, `GET …/parts`, `POST …/commit`, `…/log` |
//! | lists | `GET search`, `recent_items`; comments, tasks, versions, collaborations, metadata and its templates, always empty |
//!
//! Who and what is there: [`Enterprise::populated`], and a folder `Demo` after [`World::furnish`].
//! Bytes are kept in memory up to a mebibyte and in nameless temporary files beyond it.
//!
//! Control plane, JSON, for tests and people:
//!
//! | call | does |
//! |---|---|
//! | `GET /sandbox` | shows apps, service accounts, enterprises, users, items |
//! | `POST /sandbox/faults` | `{select: {client_id?, subject?, path?, grant?}, effect, times?}` → `{id}`; the oldest fitting fault strikes. `effect`: `hold` (`true`: until it is lifted), `latency_ms`, and one of `hang`, `drop`, `garbage`, `huge_body` (`true`) or `status` (with `body`, `retry_after`), or changes to a good answer: `expires_in`, `restricted_to` (any JSON), `omit: [field]` |
//! | `GET`, `DELETE /sandbox/faults[?client_id=]`, `DELETE /sandbox/faults/{id}` | shows, lifts |
//! | `PUT /sandbox/clock` | `{skew_seconds}` |
//! | `PUT /sandbox/token-life` | `{seconds?, child_seconds?, client_id?}` |
//! | `GET`, `PATCH /sandbox/apps/{client_id}` | `{client_secret?, auth?, authorized?, user_tokens?, as_user_header?, enterprise_access?, scopes?, origins?, remove_keys?, add_keys?: [{kid, public_key}]}` |
//! | `GET`, `DELETE /sandbox/journal`, `GET /sandbox/journal/count` | `?client_id=&subject=&path=&grant=&status=&since=`; a path may end in `*`, `grant` is `jwt-bearer`, `client_credentials` or `token-exchange` |
//! | `GET`, `PUT /sandbox/storage` | `{kept_bytes?, least_in_parts?, part_size?}`: how much is kept at most, and from which size on files come in parts of which size |
//! | `DELETE /sandbox/tokens/{sha256}`, `DELETE /sandbox/tokens[?client_id=&subject=]` | ends a token, or all that fit (`{count}`) |
//! | `GET /sandbox/tokens/{sha256}` | `{live, subject, client_id, enterprise, scopes, resource, annotator, parent, expires_at}` |

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use jiff::fmt::rfc2822;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use state::Upstream;

mod api;
mod clock;
mod config;
mod control;
mod dispatch;
mod download;
mod http;
mod oauth;
mod random;
mod scopes;
mod state;
mod storage;
mod tokens;
mod world;

pub use clock::Clock;
pub use config::generator as key_json;
pub use jiff::Timestamp;
pub use world::enterprise::{Enterprise, User};
pub use world::item_tree::{Item, ItemKind, Member, ROOT, Tree};
pub use world::{App, AuthMethod, PublicKey, ServiceAccount, World};

/// Starts sandboxes.
#[derive(Debug)]
pub struct Sandbox;

impl Sandbox {
    /// Serves `world` on `addr` (port 0 picks a free one), by the time of `clock`, until the answer is
    /// stopped or dropped.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(
        world: World,
        addr: SocketAddr,
        clock: impl Clock + 'static,
    ) -> std::io::Result<Running> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let closing = CancellationToken::new();
        let upstream = Arc::new(Upstream::new(world, Box::new(clock), closing.clone()));
        let router = Router::new()
            .merge(control::routes())
            .fallback(dispatch::enter)
            .layer(from_fn_with_state(upstream.clone(), date))
            .with_state(upstream);
        let served = tokio::spawn(http::connection::serve(listener, router, closing.clone()));
        Ok(Running { addr, served, closing: closing.drop_guard() })
    }
}

/// Dates each answer by the sandbox's clock, skew and all: clients learn Box's time from it.
async fn date(State(box_): State<Arc<Upstream>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let now = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&box_.now());
    if let Some(value) = now.ok().and_then(|now| HeaderValue::from_str(&now).ok()) {
        response.headers_mut().insert(header::DATE, value);
    }
    response
}

/// A sandbox that runs. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    /// The address it listens on.
    pub addr: SocketAddr,
    served: JoinHandle<()>,
    closing: DropGuard,
}

impl Running {
    /// The base URL that stands for `https://api.box.com`, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops listening, lets requests in flight end (at most two seconds; hanging ones are cut off at
    /// once) and closes every connection.
    pub async fn stop(self) {
        drop(self.closing);
        // The task ends by itself; that it panicked has been shown already.
        drop(self.served.await);
    }
}
