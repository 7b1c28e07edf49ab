//! HTTP itself: paths, methods, bodies, headers, listeners.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Harness, by_config};
use crate::response::Reply;

const KIB_64: usize = 64 * 1024;

/// Sends these bytes and reads the answer's status line, headers and body. No client tidies up.
pub(crate) async fn raw(address: std::net::SocketAddr, request: &str) -> (u16, String) {
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    read(&mut socket).await
}

pub(crate) async fn read(socket: &mut TcpStream) -> (u16, String) {
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), socket.read_to_end(&mut answer));
    read.await.expect("an answer").unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer:?}")), answer)
}

pub(crate) async fn asked(harness: &Harness, method: &str, path: &str, headers: &str) -> (u16, String) {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n{headers}\r\n"
    );
    raw(harness.broker().service, &request).await
}

/// A call with a body of any kind.
async fn sent(
    harness: &Harness,
    method: &str,
    path: &str,
    kind: &str,
    body: impl Into<reqwest::Body>,
) -> Reply {
    let request =
        harness.http.request(method.parse().unwrap(), harness.url(path)).bearer_auth(&harness.admin);
    let request = if kind.is_empty() { request } else { request.header("content-type", kind) };
    Reply::of(request.body(body).send().await.unwrap()).await
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_anywhere_else() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let bearer = format!("authorization: Bearer {}\r\n", harness.admin);
    let (long, longer) = ("a".repeat(64), "a".repeat(8000));
    for path in [
        "/v1/tenants/..",
        "/v1/tenants/.",
        "/v1/tenants/../tenants/acme",
        "/v1/tenants/%2e%2e/acme",
        "/v1/tenants/%2e",
        "/v1/tenants/acme%2f",
        "/v1/tenants/acme%2ftoken",
        "/v1/tenants//acme",
        "//v1/tenants/acme",
        "/v1//tenants/acme",
        "/v1/tenants/acme/",
        "/v1/tenants/",
        "/v1/tenants/acme%00",
        "/v1/tenants/%00",
        "/v1/tenants/%ff",
        "/v1/tenants/%",
        "/v1/tenants/%zz",
        "/v1/tenants/Acme",
        "/v1/tenants/ACME",
        "/v1/Tenants/acme",
        "/V1/tenants/acme",
        "/v1/tenants/acme;x=1",
        "/v1/tenants/acme%20",
        "/v1/tenants/acme--x",
        "/v1/tenants/*",
        "/v1/tenants/ten_",
        "/v1/tenants/app_x",
        "/v1/tenants/acme'--",
        &format!("/v1/tenants/{long}"),
        &format!("/v1/tenants/{longer}"),
        "/",
        "/v1",
        "/v2/tenants",
        "/healthz",
        "/metrics",
    ] {
        let (status, answer) = asked(&harness, "GET", path, &bearer).await;
        assert_eq!(status, 404, "{path}: {answer}");
        assert!(answer.contains("\"code\":\"not_found\""), "{path}: {answer}");
        let (status, answer) = asked(&harness, "DELETE", path, &bearer).await;
        assert!(status == 404 || status == 405, "{path}: {answer}");
    }
    // What is no HTTP is refused before any route.
    for path in ["/v1/tenants/acme\0", "/v1/tenants/ac me", "v1/tenants/acme", ""] {
        let (status, answer) = asked(&harness, "GET", path, &bearer).await;
        assert!(status == 400 || status == 404, "{path:?}: {answer}");
    }
    // By RFC 3986 the second is the first.
    for path in ["/v1/tenants/acme", "/v1/tenants/ac%6De"] {
        assert_eq!(asked(&harness, "GET", path, &bearer).await.0, 200);
    }
    harness.end().await;
}

#[tokio::test]
async fn a_wrong_method_is_told_which_are_right() {
    let harness = Harness::new().await;
    let admin = &harness.admin;
    for (method, path, allow) in [
        ("DELETE", "/v1/tenants", &["GET", "HEAD", "POST"][..]),
        ("PUT", "/v1/tenants/acme", &["DELETE", "GET", "HEAD", "PATCH"]),
        ("GET", "/v1/tenants/acme/test", &["POST"]),
        ("GET", "/v1/tenants/acme/token", &["POST"]),
        ("PUT", "/v1/apps", &["GET", "HEAD", "POST"]),
        ("POST", "/v1/apps/portal", &["DELETE", "GET", "HEAD", "PATCH"]),
        ("POST", "/v1/whoami", &["GET", "HEAD"]),
        ("BREW", "/v1/tenants", &["GET", "HEAD", "POST"]),
    ] {
        let reply = harness.call(admin, method, path, None).await;
        let mut allowed: Vec<&str> = reply.header("allow").split(',').map(str::trim).collect();
        allowed.sort_unstable();
        assert_eq!(allowed, allow, "{method} {path}");
        reply.refuses(405, "method_not_allowed");
    }
    harness.end().await;
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let head = async |path: &str| {
        harness.http.head(harness.url(path)).bearer_auth(&harness.admin).send().await.unwrap()
    };
    for (path, status) in [("/v1/tenants/acme", 200), ("/v1/tenants", 200), ("/v1/tenants/other", 404)] {
        let reply = head(path).await;
        assert_eq!(reply.status().as_u16(), status);
        assert!(reply.headers().contains_key("x-request-id"));
        assert_eq!(reply.headers().contains_key("etag"), path.ends_with("acme"));
        assert!(reply.bytes().await.unwrap().is_empty());
    }
    harness.end().await;
}

#[tokio::test]
async fn what_a_library_answers_by_itself_is_a_problem_too() {
    let harness = Harness::new().await;
    for path in ["/docs/nothing.js", "/docs/a/b"] {
        harness.get(&harness.admin, path).await.refuses(404, "not_found");
    }
    for path in ["/docs/", "/openapi.json"] {
        assert_eq!(asked(&harness, "GET", path, "").await.0, 200, "{path}");
        harness.call(&harness.admin, "DELETE", path, None).await.refuses(405, "method_not_allowed");
    }
    harness.end().await;
}

#[tokio::test]
async fn bodies_are_json_of_at_most_64_kib() {
    let harness = Harness::new().await;
    let (json, patch) = ("application/json", "application/merge-patch+json");
    let whole = by_config("acme", &harness.apps.acme).to_string();
    let padded = |length: usize| format!("{whole}{}", " ".repeat(length - whole.len()));
    sent(&harness, "POST", "/v1/tenants", json, padded(KIB_64 + 1)).await.refuses(413, "too_large");
    sent(&harness, "POST", "/v1/tenants", json, vec![b' '; 5_000_000]).await.refuses(413, "too_large");
    // In pieces, without a length said before.
    let pieces = format!(
        "POST /v1/tenants HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{}0\r\n\r\n",
        harness.admin,
        format!("2000\r\n{}\r\n", " ".repeat(8192)).repeat(9)
    );
    let (status, answer) = raw(harness.broker().service, &pieces).await;
    assert_eq!(status, 413, "{answer}");
    for kind in ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", patch] {
        sent(&harness, "POST", "/v1/tenants", kind, whole.clone())
            .await
            .refuses(415, "unsupported_media_type");
    }
    for (body, name) in [
        (&b""[..], "no body"),
        (b"{", "cut off"),
        (b"{\"tenant\": \"acme\",}", "a comma too many"),
        (format!("{whole} {{}}").as_bytes(), "two values"),
        (b"{'tenant': 1}", "single quotes"),
        (b"{\"tenant\": \"\xff\"}", "no UTF-8"),
        (b"{\"tenant\": \"a\\ud800\"}", "half a surrogate pair"),
        (b"{\"tenant\": 1e999}", "no number"),
    ] {
        let reply = sent(&harness, "POST", "/v1/tenants", json, body.to_vec()).await;
        assert_eq!((reply.status, &reply.body["code"]), (400, &json!("malformed")), "{name}: {reply:?}");
    }
    for body in ["[]", "null", "1", "\"x\"", "{\"tenant\":\"acme\",\"tenant\":\"acme\"}"] {
        sent(&harness, "POST", "/v1/tenants", json, body).await.refuses(422, "invalid");
    }
    assert!(harness.hand().reads("SELECT id FROM tenants").await.is_empty());
    sent(&harness, "POST", "/v1/tenants", "Application/JSON; charset=utf-8", padded(KIB_64)).await.is(201);
    sent(&harness, "PATCH", "/v1/tenants/acme", patch, "{}").await.is(200);
    sent(&harness, "PATCH", "/v1/tenants/acme", json, "{}").await.is(200);
    sent(&harness, "PATCH", "/v1/tenants/acme", json, "").await.refuses(400, "malformed");
    sent(&harness, "PATCH", "/v1/tenants/acme", "text/plain", "{}")
        .await
        .refuses(415, "unsupported_media_type");
    // An empty body needs no type.
    sent(&harness, "POST", "/v1/tenants/acme/test", "", "").await.is(200);
    sent(&harness, "POST", "/v1/tenants/acme/token", "text/plain", "").await.is(200);
    harness.end().await;
}

#[tokio::test]
async fn query_parameters_are_known_and_stand_once() {
    let harness = Harness::new().await;
    for path in [
        "/v1/tenants?limit=1&limit=2",
        "/v1/tenants?state=active&state=active",
        "/v1/tenants?limits=1",
        "/v1/tenants?=1",
        "/v1/apps?state=active",
        "/v1/callers?limit=x",
    ] {
        let problem = harness.get(&harness.admin, path).await.refuses(422, "invalid");
        assert_eq!(problem["errors"].as_array().unwrap().len(), 1, "{path}: {problem}");
    }
    let body = by_config("acme", &harness.apps.acme);
    for query in ["dry_run=1", "dry_run", "dryrun=true", "dry_run=true&dry_run=true"] {
        harness
            .post(&harness.admin, &format!("/v1/tenants?{query}"), body.clone())
            .await
            .refuses(422, "invalid");
    }
    assert_eq!(harness.mints().await, 0);
    harness.get(&harness.admin, "/v1/tenants?").await.is(200);
    harness.end().await;
}
