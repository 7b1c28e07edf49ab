//! The effects of faults on responses.
//!
//! This module owns what a fault does. Which requests a fault affects is decided in [`state`](crate::state).

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

use crate::http::connection::ConnectionReset;
use crate::http::{SandboxResponse, add_common_headers, json_response};
use crate::state::{FaultEffect, SandboxState, TriggeredFault};

/// The size of the response to the effect `huge_body`, in bytes.
const HUGE_BODY: usize = 10_000_000;

/// Waits as long as the fault delays the response.
pub(crate) async fn delay(fault: &TriggeredFault) {
    if fault.effect.hold {
        fault.removed.cancelled().await;
    }
    if let Some(latency) = fault.effect.latency_ms {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
}

/// Returns the response of a fault that replaces Box's own, and records it as the response to request `n`.
pub(crate) async fn replace(
    state: &SandboxState,
    effect: &FaultEffect,
    n: u64,
    request_id: &str,
) -> Response {
    if effect.hang {
        state.shutdown.cancelled().await;
        return ConnectionReset::response();
    }
    if effect.drop {
        return ConnectionReset::response();
    }
    let status = effect.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    state.journal.finish(n, status.as_u16(), None, None);
    let mut response = match &effect.body {
        _ if effect.garbage => json_response(b"\x00\xff<html>{\"access_token\": \"".to_vec().into()),
        _ if effect.huge_body => json_response(huge_json().into()),
        None => Response::new(Body::empty()),
        Some(Value::String(text)) => Response::new(Body::from(text.clone())),
        Some(value) => json_response(value.to_string().into()),
    };
    *response.status_mut() = status;
    let retry_after = effect.retry_after.as_ref().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    if let Some(value) = retry_after.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    add_common_headers(response, request_id)
}

fn huge_json() -> Vec<u8> {
    let mut body = Vec::with_capacity(HUGE_BODY + 64);
    body.extend_from_slice(br#"{"token_type":"bearer","filler":""#);
    body.resize(HUGE_BODY, b'x');
    body.extend_from_slice(b"\"}");
    body
}

/// Alters a successful JSON response as the fault says.
pub(crate) fn alter(effect: &FaultEffect, response: &mut SandboxResponse) {
    let (StatusCode::OK, Some(Value::Object(body))) = (response.status, &mut response.json) else { return };
    for (field, value) in [("expires_in", &effect.expires_in), ("restricted_to", &effect.restricted_to)] {
        if let Some(value) = value {
            body.insert(field.to_owned(), value.clone());
        }
    }
    body.retain(|field, _| !effect.omit.contains(field));
}
