//! Fault injection.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{ControlError, JsonBody, QueryParameters};
use crate::state::{FaultSpec, SandboxState};

/// Answers `POST /sandbox/faults`.
pub(super) async fn add(
    State(state): State<Arc<SandboxState>>,
    JsonBody(spec): JsonBody<FaultSpec>,
) -> Result<(StatusCode, Json<Value>), ControlError> {
    let id = state.faults.add(spec).map_err(ControlError::unprocessable)?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

/// Answers `GET /sandbox/faults`.
pub(super) async fn list(State(state): State<Arc<SandboxState>>) -> Json<Value> {
    Json(json!({ "items": state.faults.all() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClientFilter {
    client_id: Option<String>,
}

/// Answers `DELETE /sandbox/faults`.
pub(super) async fn remove_all(
    State(state): State<Arc<SandboxState>>,
    QueryParameters(filter): QueryParameters<ClientFilter>,
) -> StatusCode {
    state.faults.remove_all(filter.client_id.as_deref());
    StatusCode::NO_CONTENT
}

/// Answers `DELETE /sandbox/faults/{id}`.
pub(super) async fn remove(
    State(state): State<Arc<SandboxState>>,
    Path(id): Path<u64>,
) -> Result<StatusCode, ControlError> {
    if state.faults.remove(id) {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(ControlError::not_found("no such fault"))
    }
}
