//! The path of each request on Box's side: read, record, apply a fault, route, respond.
//!
//! This module owns the order of these steps. It must not know the rules of any single call.

use std::sync::Arc;

use axum::body::BodyDataStream;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use futures::StreamExt as _;

use crate::fault_response;
use crate::http::connection::ConnectionReset;
use crate::http::{ErrorResponse, SandboxRequest, SandboxResponse, cors, loggable};
use crate::random;
use crate::state::{FaultEffect, JournalEntry, SandboxState};
use crate::{api, download, oauth};

/// Answers a request to the token endpoint, the API or a download URL.
pub(crate) async fn handle(State(state): State<Arc<SandboxState>>, request: Request) -> Response {
    let request_id = random::lowercase(16);
    let (request, mut body) = match SandboxRequest::read(&state.tokens, request).await {
        Ok(read) => read,
        Err(error) => return SandboxResponse::error(&error, &request_id).into_http(&request_id),
    };
    let fault = state.faults.trigger(&request);
    let n = state.journal.begin(journal_entry(&state, &request, fault.as_ref().map(|fault| fault.id)));
    let effect = match fault {
        None => FaultEffect::default(),
        Some(fault) => {
            tokio::select! {
                () = fault_response::delay(&fault) => fault.effect,
                () = state.shutdown.cancelled() => return ConnectionReset::response(),
            }
        }
    };
    if effect.replaces_response() {
        oauth::consume_assertion(&state, &request);
        if !effect.hang && !effect.drop {
            drain(&mut body).await;
        }
        let mut response = fault_response::replace(&state, &effect, n, &request_id).await;
        response.headers_mut().extend(cors_headers(&state, &request));
        return response;
    }
    let response = route(&state, &request, &mut body).await;
    drain(&mut body).await;
    let mut response = response.unwrap_or_else(|error| SandboxResponse::error(&error, &request_id));
    fault_response::alter(&effect, &mut response);
    response.headers.extend(cors_headers(&state, &request));
    let (error, issued) = (response.error_code.clone(), response.issued_token.clone());
    state.journal.finish(n, response.status.as_u16(), error, issued);
    response.into_http(&request_id)
}

async fn route(
    state: &SandboxState,
    request: &SandboxRequest,
    body: &mut BodyDataStream,
) -> Result<SandboxResponse, ErrorResponse> {
    if let Some(response) = oauth::handle(state, request) {
        return response;
    }
    let is_download = request.path == download::PATH;
    if !is_download && !is_api(request) {
        Err(ErrorResponse::not_found())
    } else if cors::is_preflight(request) {
        Ok(cors::preflight(request))
    } else if is_download {
        download::handle(state, request)
    } else {
        api::handle(state, request, body).await
    }
}

fn is_api(request: &SandboxRequest) -> bool {
    request.api_path().starts_with("/2.0/")
}

/// Returns the headers that let a page read a response of the API.
fn cors_headers(state: &SandboxState, request: &SandboxRequest) -> Vec<(HeaderName, HeaderValue)> {
    if !is_api(request) || cors::is_preflight(request) {
        return Vec::new();
    }
    // A page may read why it is refused, so even the app of an expired token counts.
    let app = request.token.as_ref().and_then(|token| state.directory.app(&token.client_id));
    cors::response_headers(app.as_deref(), request)
}

/// Reads the rest of a body: many clients read the response only after they have sent everything.
async fn drain(body: &mut BodyDataStream) {
    while let Some(Ok(_)) = body.next().await {}
}

fn journal_entry(state: &SandboxState, request: &SandboxRequest, fault: Option<u64>) -> JournalEntry {
    JournalEntry {
        n: 0,
        time: state.now().to_string(),
        method: request.method.to_string(),
        path: loggable(&request.path),
        summary: request.summary.clone(),
        fault,
        status: None,
        error: None,
        issued: None,
    }
}
