//! The sandbox's clock.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::JsonBody;
use crate::state::SandboxState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClockChange {
    skew_seconds: i64,
}

/// Answers `PUT /sandbox/clock`.
pub(super) async fn set(
    State(state): State<Arc<SandboxState>>,
    JsonBody(change): JsonBody<ClockChange>,
) -> Json<Value> {
    state.clock.set_skew(change.skew_seconds);
    show(State(state)).await
}

/// Answers `GET /sandbox/clock`.
pub(super) async fn show(State(state): State<Arc<SandboxState>>) -> Json<Value> {
    Json(json!({ "now": state.now().to_string() }))
}
