//! The way of each request through Box's side: read, note, strike, answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use futures::StreamExt as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::download;
use crate::http::connection::Reset;
use crate::http::cors;
use crate::http::error::Refusal;
use crate::http::request::Call;
use crate::http::response::Answer;
use crate::oauth::assertion;
use crate::oauth::exchange;
use crate::oauth::grants;
use crate::random;
use crate::state::Upstream;
use crate::state::faults::{Effect, Strike};
use crate::state::journal::Entry;

const REQUEST_ID: HeaderName = HeaderName::from_static("box-request-id");

/// How much a `huge_body` weighs.
const HUGE: usize = 10_000_000;

/// Answers a request to Box's side.
pub(crate) async fn enter(State(box_): State<Arc<Upstream>>, request: Request) -> Response {
    let request_id = random::lower(16);
    let (call, mut body) = match Call::read(&box_, request).await {
        Ok(read) => read,
        Err(refusal) => return respond(Answer::refusal(&refusal, &request_id), &request_id),
    };
    let strike = box_.faults.strike(&call);
    let n = box_.journal.begin(entry(&box_, &call, strike.as_ref().map(|strike| strike.fault)));
    let effect = match strike {
        None => Arc::default(),
        Some(Strike { effect, lifted, .. }) => {
            tokio::select! {
                () = wait(&effect, &lifted) => effect,
                () = box_.closing.cancelled() => return Reset::response(),
            }
        }
    };
    if effect.replaces_the_answer() {
        use_up(&box_, &call);
        if !effect.hang && !effect.drop {
            drain(&mut body).await;
        }
        let mut response = spoil(&box_, &effect, n, &request_id).await;
        response.headers_mut().extend(shared(&box_, &call));
        return response;
    }
    let answer = route(&box_, &call, &mut body).await;
    drain(&mut body).await;
    let mut answer = answer.unwrap_or_else(|refusal| Answer::refusal(&refusal, &request_id));
    distort(&effect, &mut answer);
    answer.headers.extend(shared(&box_, &call));
    box_.journal.finish(n, answer.status.as_u16(), answer.error.clone(), answer.issued.clone());
    respond(answer, &request_id)
}

/// What comes before the answer.
async fn wait(effect: &Effect, lifted: &CancellationToken) {
    if effect.hold {
        lifted.cancelled().await;
    }
    if let Some(latency) = effect.latency_ms {
        // The only sleep of the project: latency on order is what it is for.
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
}

async fn route(box_: &Upstream, call: &Call, body: &mut BodyDataStream) -> Result<Answer, Refusal> {
    let post = call.method == Method::POST;
    let form = || {
        let problem = "The body must be application/x-www-form-urlencoded";
        call.form.as_ref().ok_or_else(|| Refusal::grant("invalid_request", problem))
    };
    match call.path.as_str() {
        "/oauth2/token" if post => grants::token(box_, form()?),
        "/oauth2/revoke" if post => exchange::revoke(box_, form()?),
        "/oauth2/token" | "/oauth2/revoke" => Err(Refusal::method_not_allowed()),
        path if cors::is_preflight(call) && (is_api(call) || path == download::PATH) => {
            Ok(cors::preflight(call))
        }
        download::PATH => download::answer(box_, call),
        _ if is_api(call) => api::answer(box_, call, body).await,
        _ => Err(Refusal::not_found()),
    }
}

/// The headers that let a page read what the API answers.
fn shared(box_: &Upstream, call: &Call) -> Vec<(HeaderName, HeaderValue)> {
    if is_api(call) && !cors::is_preflight(call) {
        cors::headers(api::app_of(box_, call).as_deref(), call)
    } else {
        Vec::new()
    }
}

fn is_api(call: &Call) -> bool {
    call.api_path().starts_with("/2.0/")
}

/// Reads what is left of a body: who still sends does not listen for the answer.
async fn drain(body: &mut BodyDataStream) {
    while let Some(Ok(_)) = body.next().await {}
}

fn entry(box_: &Upstream, call: &Call, fault: Option<u64>) -> Entry {
    Entry {
        n: 0,
        time: box_.now().to_string(),
        method: call.method.to_string(),
        path: crate::http::request::bounded(&call.path),
        seen: call.seen.clone(),
        fault,
        status: None,
        error: None,
        issued: None,
    }
}

/// An assertion that reached Box is used up, whatever the answer was: its `jti` cannot come again.
fn use_up(box_: &Upstream, call: &Call) {
    let Some(form) = &call.form else { return };
    if let (Ok(Some(grants::JWT)), Ok(Some(text)), Ok(app)) =
        (form.one("grant_type"), form.one("assertion"), grants::client(box_, form))
    {
        // The outcome is nobody's: the fault answers.
        drop(assertion::verify(&app, text, box_.now(), &box_.replays));
    }
}

/// The answer of a fault in place of Box's own.
async fn spoil(box_: &Upstream, effect: &Effect, n: u64, request_id: &str) -> Response {
    if effect.hang {
        box_.closing.cancelled().await;
        return Reset::response();
    }
    if effect.drop {
        return Reset::response();
    }
    let status = effect.status.and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or(StatusCode::OK);
    box_.journal.finish(n, status.as_u16(), None, None);
    let json = |body: Vec<u8>| {
        let mut response = Response::new(Body::from(body));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    let mut response = if effect.garbage {
        json(b"\x00\xff<html>{\"access_token\": \"".to_vec())
    } else if effect.huge_body {
        let mut body = Vec::with_capacity(HUGE + 64);
        body.extend_from_slice(br#"{"token_type":"bearer","filler":""#);
        body.resize(HUGE, b'x');
        body.extend_from_slice(b"\"}");
        json(body)
    } else {
        match &effect.body {
            None => Response::new(Body::empty()),
            Some(Value::String(text)) => Response::new(Body::from(text.clone())),
            Some(value) => json(value.to_string().into_bytes()),
        }
    };
    *response.status_mut() = status;
    let retry_after = effect.retry_after.as_ref().map(|value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    if let Some(value) = retry_after.and_then(|text| HeaderValue::from_str(&text).ok()) {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    identify(response, request_id)
}

/// Changes a successful JSON answer as a fault wants it.
fn distort(effect: &Effect, answer: &mut Answer) {
    let (StatusCode::OK, Some(Value::Object(body))) = (answer.status, &mut answer.body) else { return };
    for (field, value) in [("expires_in", &effect.expires_in), ("restricted_to", &effect.restricted_to)] {
        if let Some(value) = value {
            body.insert(field.to_owned(), value.clone());
        }
    }
    body.retain(|field, _| !effect.omit.contains(field));
}

fn respond(answer: Answer, request_id: &str) -> Response {
    let mut response = match (answer.stretch, answer.body) {
        (Some(stretch), _) => Response::new(stretch.body()),
        (None, Some(body)) => {
            let mut response = Response::new(Body::from(body.to_string()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        (None, None) => Response::new(Body::empty()),
    };
    *response.status_mut() = answer.status;
    for (name, value) in answer.headers {
        response.headers_mut().append(name, value);
    }
    identify(response, request_id)
}

fn identify(mut response: Response, request_id: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
