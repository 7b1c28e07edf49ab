//! The control plane under `/sandbox`, by which tests and people arrange and inspect the sandbox.
//!
//! This module owns the paths and the JSON of the control plane. It must not be used by anything on Box's side.

mod apps;
mod clock;
mod extract;
mod faults;
mod journal;
mod overview;
mod storage;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::routing::{any, delete, get, patch, post, put};

use crate::state::SandboxState;
use extract::ControlError;

/// Returns the routes of the control plane.
pub(crate) fn routes() -> Router<Arc<SandboxState>> {
    Router::new()
        .route("/sandbox", get(overview::show))
        .route("/sandbox/faults", post(faults::add).get(faults::list).delete(faults::remove_all))
        .route("/sandbox/faults/{id}", delete(faults::remove))
        .route("/sandbox/clock", put(clock::set).get(clock::show))
        .route("/sandbox/token-life", put(tokens::set_lifetime))
        .route("/sandbox/apps/{client_id}", patch(apps::update).get(apps::show))
        .route("/sandbox/journal", get(journal::list).delete(journal::remove))
        .route("/sandbox/journal/count", get(journal::count))
        .route("/sandbox/storage", put(storage::set).get(storage::show))
        .route("/sandbox/tokens", delete(tokens::revoke_matching))
        .route("/sandbox/tokens/{sha256}", get(tokens::show).delete(tokens::revoke))
        .route("/sandbox/{*rest}", any(async || ControlError::not_found("no such route")))
}
