//! The way of each request through Box's side: read, note, strike, answer.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use serde_json::Value;

use super::answer::Answer;
use super::call::Call;
use super::connection::Reset;
use super::faults::Effect;
use super::journal::Entry;
use super::refusal::Refusal;
use super::upstream::Upstream;
use super::{api, assertion, exchange, grant, random};

const REQUEST_ID: HeaderName = HeaderName::from_static("box-request-id");

/// How much a `huge_body` weighs.
const HUGE: usize = 10_000_000;

/// Answers a request to Box's side.
pub(super) async fn enter(State(box_): State<Arc<Upstream>>, request: Request) -> Response {
    let request_id = random::lower(16);
    let call = match Call::read(&box_, request).await {
        Ok(call) => call,
        Err(refusal) => return respond(Answer::refusal(&refusal, &request_id), &request_id),
    };
    let (fault, effect) = box_.faults.strike(&call).unzip();
    let n = box_.journal.begin(entry(&box_, &call, fault));
    let effect = effect.unwrap_or_default();
    if let Some(latency) = effect.latency_ms {
        // The only sleep of the project: latency on order is what it is for.
        let latency = tokio::time::sleep(Duration::from_millis(latency));
        tokio::select! {
            () = latency => {}
            () = box_.closing.cancelled() => return Reset::response(),
        }
    }
    if effect.replaces_the_answer() {
        use_up(&box_, &call);
        return spoil(&box_, &effect, n, &request_id).await;
    }
    let mut answer = route(&box_, &call).unwrap_or_else(|refusal| Answer::refusal(&refusal, &request_id));
    distort(&effect, &mut answer);
    if call.path.starts_with("/2.0/") && call.method != Method::OPTIONS {
        answer = share(&box_, &call, answer);
    }
    box_.journal.finish(n, answer.status.as_u16(), answer.error.clone(), answer.issued.clone());
    respond(answer, &request_id)
}

fn route(box_: &Upstream, call: &Call) -> Result<Answer, Refusal> {
    let post = call.method == Method::POST;
    let form = || {
        let problem = "The body must be application/x-www-form-urlencoded";
        call.form.as_ref().ok_or_else(|| Refusal::grant("invalid_request", problem))
    };
    match call.path.as_str() {
        "/oauth2/token" if post => grant::token(box_, form()?),
        "/oauth2/revoke" if post => exchange::revoke(box_, form()?),
        "/oauth2/token" | "/oauth2/revoke" => Err(method_not_allowed()),
        path if path.starts_with("/2.0/") && call.method == Method::GET => api::answer(box_, call),
        path if path.starts_with("/2.0/") && call.method == Method::OPTIONS => Ok(preflight(call)),
        path if path.starts_with("/2.0/") => Err(method_not_allowed()),
        _ => Err(Refusal::not_found()),
    }
}

fn method_not_allowed() -> Refusal {
    Refusal::api(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Method Not Allowed")
}

fn entry(box_: &Upstream, call: &Call, fault: Option<u64>) -> Entry {
    Entry {
        n: 0,
        time: box_.now().to_string(),
        method: call.method.to_string(),
        path: super::call::bounded(&call.path),
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
    if let (Ok(Some(grant::JWT)), Ok(Some(text)), Ok(app)) =
        (form.one("grant_type"), form.one("assertion"), grant::client(box_, form))
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

/// Box answers a preflight for every origin: it carries no token, so Box cannot know the app yet.
fn preflight(call: &Call) -> Answer {
    let answer = Answer::empty(StatusCode::OK);
    let Some(origin) = call.header("origin").and_then(|origin| HeaderValue::from_str(origin).ok()) else {
        return answer;
    };
    let headers = call.header("access-control-request-headers").unwrap_or("authorization, content-type");
    let headers = HeaderValue::from_str(headers).unwrap_or(HeaderValue::from_static("authorization"));
    answer
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
        .header(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PUT, DELETE, OPTIONS"),
        )
        .header(header::ACCESS_CONTROL_ALLOW_HEADERS, headers)
        .header(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"))
        .header(header::VARY, HeaderValue::from_static("Origin"))
}

/// Lets a page of an allowed origin read the answer, errors too.
fn share(box_: &Upstream, call: &Call, answer: Answer) -> Answer {
    let app = call.token.as_ref().and_then(|token| box_.app(&token.client_id));
    let origin = call.header("origin").filter(|&origin| app.is_some_and(|app| app.origins.contains(origin)));
    let Some(origin) = origin.and_then(|origin| HeaderValue::from_str(origin).ok()) else { return answer };
    answer
        .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin)
        .header(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("box-request-id, retry-after"),
        )
        .header(header::VARY, HeaderValue::from_static("Origin"))
}

fn respond(answer: Answer, request_id: &str) -> Response {
    let mut response = match answer.body {
        Some(body) => {
            let mut response = Response::new(Body::from(body.to_string()));
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        None => Response::new(Body::empty()),
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
