//! An in-process stand-in for the Box API, strict enough to develop and test an integration against.
//!
//! It issues tokens by the same rules as Box and enforces what they permit on each call. It also fails on demand: a
//! control plane injects faults, revokes tokens, moves the clock and shows a journal of every request. It shares no
//! code with the program under test, so a misreading of Box's protocol is not repeated on both sides.
//!
//! It holds secrets in plain text, and its control plane needs no authentication. Use it in tests and on a
//! developer's machine only. The `README.md` has an example.
//!
//! # Box's side
//!
//! `POST /oauth2/token` (JWT bearer, client credentials, token exchange) and `POST /oauth2/revoke`; under `/2.0`,
//! and for uploads under `/api/2.0` as well, the calls that Box UI Elements and the official SDKs make, with
//! `As-User`, CORS and the restrictions of downscoped tokens:
//!
//! - Users: `GET users/me`, `users/{id}`.
//! - Folders: `GET folders/{id}`, `folders/{id}/items` (`fields`, `offset` or `usemarker` and `marker`, `limit`,
//!   `sort`, `direction`), `POST folders`, `PUT`, `DELETE folders/{id}`.
//! - Files: `GET`, `PUT`, `DELETE files/{id}`, `GET files/{id}/content` (302 to a URL that opens once; `Range`),
//!   representations of texts and pictures.
//! - Uploads: `OPTIONS` and `POST files/content`, `files/{id}/content`.
//! - Uploads in parts: `POST files/upload_sessions`, `files/{id}/upload_sessions`; `GET`, `PUT`, `DELETE
//!   files/upload_sessions/{id}`, `GET …/parts`, `POST …/commit`, `…/log`.
//! - Lists: `GET search`, `recent_items`. Comments, tasks, versions, collaborations, metadata and its templates are
//!   always empty.
//!
//! [`Enterprise::populated`] lists the users, folders and files that are there at the start;
//! [`World::add_demo_folders`] adds more. Content up to a mebibyte is kept in memory, larger content in temporary
//! files without a name.
//!
//! # Control plane
//!
//! - `GET /sandbox` shows apps, service accounts, enterprises, users and items.
//! - `POST /sandbox/faults` injects a fault, `{select: {client_id?, subject?, path?, grant?}, effect, times?}`, and
//!   returns `{id}`. The oldest matching fault affects a request. Its `effect` has `hold` (`true`: until the fault is
//!   removed), `latency_ms`, and one of `hang`, `drop`, `garbage`, `huge_body` (`true`) or `status` (with `body`,
//!   `retry_after`); or it alters a successful response: `expires_in`, `restricted_to` (any JSON), `omit: [field]`.
//! - `GET`, `DELETE /sandbox/faults[?client_id=]` and `DELETE /sandbox/faults/{id}` show or remove faults.
//! - `PUT /sandbox/clock` sets the clock skew, `{skew_seconds}`.
//! - `PUT /sandbox/token-life` sets the lifetime of new tokens, `{seconds?, child_seconds?, client_id?}`.
//! - `GET`, `PATCH /sandbox/apps/{client_id}` shows or changes an app: `{client_secret?, auth?, authorized?,
//!   user_tokens?, as_user_header?, enterprise_access?, scopes?, origins?, remove_keys?, add_keys?: [{kid,
//!   public_key}]}`.
//! - `GET`, `DELETE /sandbox/journal` and `GET /sandbox/journal/count` show, clear or count requests:
//!   `?client_id=&subject=&path=&grant=&status=&since=`. A path may end in `*`; `grant` is `jwt-bearer`,
//!   `client_credentials` or `token-exchange`.
//! - `GET`, `PUT /sandbox/storage` shows or sets `{kept_bytes?, least_in_parts?, part_size?}`: the storage quota, the
//!   smallest file that may be uploaded in parts, and the size of a part.
//! - `DELETE /sandbox/tokens/{sha256}` and `DELETE /sandbox/tokens[?client_id=&subject=]` revoke one token, or all
//!   that match (`{count}`).
//! - `GET /sandbox/tokens/{sha256}` shows `{live, subject, client_id, enterprise, scopes, resource, annotator,
//!   parent, expires_at}`.
//!
//! # Modules
//!
//! A module uses only those above it in this table.
//!
//! | module | content |
//! |---|---|
//! | `clock`, `random`, `digest` | time, randomness and digests |
//! | `config` | Box's app config files and the keys in them |
//! | `scopes`, `media_types`, `jwt` | the vocabulary: scopes, media types, the encoding of JWTs |
//! | `storage` | the content of files, and the storage quota |
//! | `world` | apps, enterprises, users, folders and files |
//! | `item_json` | the JSON form of an item |
//! | `tokens` | issued tokens |
//! | `http` | connections, requests, responses, errors, CORS |
//! | `state` | the state of a running sandbox: everything that requests read and change |
//! | `oauth` | the token endpoint |
//! | `download` | download URLs and file content |
//! | `api` | the calls under `/2.0` |
//! | `fault_response` | the effects of faults |
//! | `dispatch` | the path of a request through all of these |
//! | `control` | the control plane |

use std::io;
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

mod api;
mod clock;
mod config;
mod control;
mod digest;
mod dispatch;
mod download;
mod fault_response;
mod http;
mod item_json;
mod jwt;
mod media_types;
mod oauth;
mod random;
mod scopes;
mod state;
mod storage;
mod tokens;
mod world;

use state::SandboxState;

pub use clock::Clock;
pub use config::{AppPrivateKey, AppSpec, GeneratedApp, PublicKey, generate_app};
pub use jiff::Timestamp;
pub use world::{
    AppAuthMethod, AutomationUser, BoxApp, Collaborator, Enterprise, Item, ItemKind, ItemTree, ROOT, User,
    World,
};

/// The examples of the README, so that `cargo test --doc` runs them.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

/// A running sandbox. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    server: JoinHandle<()>,
    shutdown: DropGuard,
}

impl Sandbox {
    /// Starts a sandbox that listens on `address` (port 0 picks a free one) and takes its time from `clock`.
    ///
    /// # Errors
    /// The address cannot be listened on.
    pub async fn start(world: World, address: SocketAddr, clock: impl Clock + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let state = Arc::new(SandboxState::new(world, Box::new(clock), shutdown.clone()));
        let router = Router::new()
            .merge(control::routes())
            .fallback(dispatch::handle)
            .layer(from_fn_with_state(state.clone(), add_date))
            .with_state(state);
        let server = tokio::spawn(http::connection::serve(listener, router, shutdown.clone()));
        Ok(Self { address, server, shutdown: shutdown.drop_guard() })
    }

    /// Returns the base URL that takes the place of `https://api.box.com`, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening, gives requests in flight two seconds to finish (hanging ones none), and closes all connections.
    pub async fn stop(self) {
        drop(self.shutdown);
        // A panic of the task has been printed already.
        drop(self.server.await);
    }
}

/// Sets the `Date` of each response by the sandbox's clock, from which clients learn Box's time.
async fn add_date(State(state): State<Arc<SandboxState>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let now = rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&state.now());
    if let Some(value) = now.ok().and_then(|now| HeaderValue::from_str(&now).ok()) {
        response.headers_mut().insert(header::DATE, value);
    }
    response
}
