//! `/healthz` and `/readyz`: for orchestrators, on a listener of their own.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::json;

use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::route::{Route, RouteGroup};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::public(RouteGroup::Operations, "/healthz", get(healthz)),
        Route::public(RouteGroup::Operations, "/readyz", get(readyz)),
    ]
}

/// The process is alive.
async fn healthz() -> Response {
    axum::Json(json!({"status": "alive"})).into_response()
}

/// The process may serve: it is not stopping, and what it knows of callers and policies is recent
/// enough to act on, whether the database answers at this moment or not.
async fn readyz(State(api): State<Api>) -> Result<Response, ApiError> {
    if api.stopping.is_cancelled() {
        return Err(ApiError::NotReady("the broker is stopping"));
    }
    if api.change_feed.staleness() > api.max_policy_age {
        return Err(ApiError::NotReady("callers and policies are too old to act on"));
    }
    Ok(axum::Json(json!({"status": "ready"})).into_response())
}
