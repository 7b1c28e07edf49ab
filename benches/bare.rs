//! What a bare handler costs, to measure the broker against: it reads the same request, checks one
//! HMAC-SHA-256, and answers as many bytes. `benches/warm_path.sh` drives both.
//!
//!     cargo bench --bench bare -- 127.0.0.1:0 ANSWER
//!
//! serves until it is killed, and prints where; `ANSWER` is the body to answer with.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for developers")]

use std::net::SocketAddr;
use std::sync::Arc;

use aws_lc_rs::hmac::{self, HMAC_SHA256, Key, Tag};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tokio::net::TcpListener;

/// What is checked of the first credential that comes, and of every later one.
struct Known {
    key: Key,
    tag: std::sync::OnceLock<Tag>,
    answer: Bytes,
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let Some(address) = args.next().and_then(|text| text.parse::<SocketAddr>().ok()) else {
        println!("give an address to serve on, and the answer to give");
        return;
    };
    let answer = args.next().filter(|text| text.starts_with('{')).unwrap_or_else(|| "{}".to_owned());
    let listener = TcpListener::bind(address).await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    axum::serve(listener, router(answer.into())).await.unwrap();
}

/// Returns the bare handler at the path of the broker's token request.
pub(crate) fn router(answer: Bytes) -> Router {
    let key = Key::new(HMAC_SHA256, &[7; 32]);
    let known = Arc::new(Known { key, tag: std::sync::OnceLock::new(), answer });
    Router::new().route("/v1/tenants/{tenant}/token", post(token)).with_state(known)
}

async fn token(State(known): State<Arc<Known>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(credential) = headers.get(header::AUTHORIZATION) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let credential = credential.as_bytes();
    let tag = known.tag.get_or_init(|| hmac::sign(&known.key, credential));
    if hmac::verify(&known.key, credential, tag.as_ref()).is_err() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    if !body.is_empty() && serde_json::from_slice::<serde_json::Value>(&body).is_err() {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (headers, known.answer.clone()).into_response()
}
