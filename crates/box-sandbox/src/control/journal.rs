//! The journal of requests.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::extract::QueryParameters;
use crate::state::{JournalFilter, SandboxState};

/// Answers `GET /sandbox/journal`.
pub(super) async fn list(
    State(state): State<Arc<SandboxState>>,
    QueryParameters(filter): QueryParameters<JournalFilter>,
) -> Json<Value> {
    Json(json!({ "items": state.journal.read(&filter) }))
}

/// Answers `GET /sandbox/journal/count`.
pub(super) async fn count(
    State(state): State<Arc<SandboxState>>,
    QueryParameters(filter): QueryParameters<JournalFilter>,
) -> Json<Value> {
    Json(json!({ "count": state.journal.count(&filter) }))
}

/// Answers `DELETE /sandbox/journal`.
pub(super) async fn remove(
    State(state): State<Arc<SandboxState>>,
    QueryParameters(filter): QueryParameters<JournalFilter>,
) -> StatusCode {
    state.journal.remove(&filter);
    StatusCode::NO_CONTENT
}
