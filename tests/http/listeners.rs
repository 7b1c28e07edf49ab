//! Who is served where, and whether the broker may serve at all.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::Harness;
use crate::http_conventions::{raw, read};
use crate::response::Reply;
use crate::token_requests::eventually;

#[tokio::test]
async fn a_listener_of_their_own_takes_the_admins_away_from_the_services() {
    let harness = Harness::with(&[("BTB_HTTP__ADMIN_LISTEN", "127.0.0.1:0")], |_, _| {}).await;
    let (service, admin) = (harness.broker().service, harness.broker().admin);
    assert_ne!(service, admin);
    let bearer = format!(
        "host: x\r\nconnection: close\r\ncontent-length: 0\r\nauthorization: Bearer {}\r\n\r\n",
        harness.admin
    );
    let status = async |address, line: &str| raw(address, &format!("{line} HTTP/1.1\r\n{bearer}")).await.0;
    for line in ["GET /v1/tenants", "GET /v1/apps", "GET /v1/callers", "GET /openapi.json"] {
        assert_eq!(status(admin, line).await, 200, "{line}");
        assert_eq!(status(service, line).await, 404, "{line}");
    }
    for line in ["POST /v1/tenants", "DELETE /v1/tenants/acme", "PATCH /v1/apps/portal", "POST /v1/callers"] {
        assert_eq!(status(service, line).await, 404, "{line}");
    }
    assert_eq!(status(service, "GET /v1/whoami").await, 200);
    assert_eq!(status(admin, "GET /v1/whoami").await, 404);
    // The token of an absent tenant, told apart from a route that is not served by its method alone.
    assert_eq!(status(service, "GET /v1/tenants/acme/token").await, 405);
    assert_eq!(status(admin, "GET /v1/tenants/acme/token").await, 404);
    harness.end().await;
}

async fn operations(harness: &Harness, path: &str) -> Reply {
    let url = format!("http://{}{path}", harness.broker().operations);
    Reply::of(harness.http.get(url).send().await.unwrap()).await
}

#[tokio::test]
async fn operations_answer_on_their_own_listener_and_nothing_else() {
    let harness = Harness::new().await;
    assert_eq!(operations(&harness, "/healthz").await.is(200), json!({ "status": "alive" }));
    assert_eq!(operations(&harness, "/readyz").await.is(200), json!({ "status": "ready" }));
    for path in ["/v1/tenants", "/v1/whoami", "/openapi.json", "/", "/healthz/"] {
        operations(&harness, path).await.refuses(404, "not_found");
    }
    for path in ["/healthz", "/readyz"] {
        harness.get(&harness.admin, path).await.refuses(404, "not_found");
    }
    harness.end().await;
}

#[tokio::test]
async fn r7_a_broker_that_hears_nothing_for_five_minutes_is_not_ready() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let service =
        harness.service("service", json!([{ "tenant": "*", "permissions": ["tokens:mint"] }])).await;
    harness.token(&service, "acme").await.token();
    for (name, hidden) in
        [("changes", "hidden_changes"), ("tenants", "hidden_tenants"), ("callers", "hidden_callers")]
    {
        harness.hand().does(&format!("ALTER TABLE {name} RENAME TO {hidden}")).await;
    }
    operations(&harness, "/readyz").await.is(200);
    harness.clock.advance(Duration::from_secs(299));
    harness.broker().poll_changes().await;
    operations(&harness, "/readyz").await.is(200);
    harness.clock.advance(Duration::from_secs(2));
    harness.broker().poll_changes().await;
    let problem = operations(&harness, "/readyz").await;
    assert_eq!(problem.status, 503, "{problem:?}");
    assert_eq!(operations(&harness, "/healthz").await.is(200)["status"], "alive");
    assert!(harness.token(&service, "acme").await.status >= 500);
    for (name, hidden) in
        [("changes", "hidden_changes"), ("tenants", "hidden_tenants"), ("callers", "hidden_callers")]
    {
        harness.hand().does(&format!("ALTER TABLE {hidden} RENAME TO {name}")).await;
    }
    harness.broker().poll_changes().await;
    operations(&harness, "/readyz").await.is(200);
    harness.token(&service, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_broker_that_stops_is_not_ready_and_finishes_what_it_began() {
    let mut harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let service = harness
        .service(
            "service",
            json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["user:*"] }]),
        )
        .await;
    let (listener, operations_listener) = (harness.broker().service, harness.broker().operations);
    // One request is at Box, and half of another has been sent.
    let held = harness.hold(json!({ "subject": "user:10000001001" })).await;
    let body = json!({ "subject": { "type": "user", "id": "10000001001" } }).to_string();
    let mut under_way = TcpStream::connect(listener).await.unwrap();
    let request = format!(
        "POST /v1/tenants/acme/token HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {service}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    under_way.write_all(request.as_bytes()).await.unwrap();
    let mut half = TcpStream::connect(operations_listener).await.unwrap();
    half.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n").await.unwrap();
    eventually("the request at Box", async || harness.count("subject=user:10000001001").await == 1).await;
    // Later than the half one, so that one has been read too.
    operations(&harness, "/readyz").await.is(200);

    let faults = format!("{}/sandbox/faults", harness.sandbox.url());
    let client = harness.http.clone();
    let rest = async {
        let stopped = async || {
            // Asking somebody else lets the stopping go on.
            client.get(&faults).send().await.unwrap();
            TcpStream::connect(operations_listener).await.is_err()
        };
        eventually("the end of listening", stopped).await;
        half.write_all(b"\r\n").await.unwrap();
        client.delete(format!("{faults}/{held}")).send().await.unwrap();
        let ready = read(&mut half).await;
        (ready, read(&mut under_way).await)
    };
    let ((), (ready, token)) = tokio::join!(harness.stop(), rest);
    assert_eq!(ready.0, 503, "{}", ready.1);
    assert_eq!(token.0, 200, "{}", token.1);
    let document: Value = serde_json::from_str(token.1.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(document["token_type"], "bearer");
    harness.end().await;
}
