//! The storage quota, and the sizes of uploads in parts.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::extract::{ControlError, JsonBody};
use crate::state::SandboxState;

/// The permitted sizes of a part, in bytes. Each part is in memory while it arrives.
const PART_SIZES: RangeInclusive<u64> = 1_048_576..=67_108_864;

/// A change of the sizes, in bytes. `None` keeps a size.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StorageChange {
    kept_bytes: Option<u64>,
    least_in_parts: Option<u64>,
    part_size: Option<u64>,
}

/// Answers `PUT /sandbox/storage`.
pub(super) async fn set(
    State(state): State<Arc<SandboxState>>,
    JsonBody(change): JsonBody<StorageChange>,
) -> Result<Json<Value>, ControlError> {
    let is_permitted = |size: u64| size.is_power_of_two() && PART_SIZES.contains(&size);
    if change.part_size.is_some_and(|size| !is_permitted(size)) {
        let message = "part_size is a power of two between 1048576 and 67108864";
        return Err(ControlError::unprocessable(message));
    }
    if let Some(bytes) = change.kept_bytes {
        state.quota.set_limit(bytes);
    }
    state.settings.set_chunked_upload(change.least_in_parts, change.part_size);
    Ok(show(State(state)).await)
}

/// Answers `GET /sandbox/storage`.
pub(super) async fn show(State(state): State<Arc<SandboxState>>) -> Json<Value> {
    Json(json!({
        "kept_bytes": state.quota.limit(), "used_bytes": state.quota.used(),
        "least_in_parts": state.settings.min_chunked_size(), "part_size": state.settings.part_size(),
    }))
}
