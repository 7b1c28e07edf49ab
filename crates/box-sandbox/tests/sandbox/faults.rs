//! The control plane: faults, journal, clock skew, overview.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, ENTERPRISE, Reply, TestSandbox};

#[tokio::test]
async fn a_fault_replaces_the_response_as_often_as_requested() {
    let sandbox = TestSandbox::new().await;
    let effect = json!({ "status": 429, "retry_after": 7, "body": { "error": "rate_limit_exceeded" } });
    sandbox.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": effect, "times": 1 })).await;
    let assertion = sandbox.sign(&sandbox.claims("enterprise", ENTERPRISE));
    let reply = sandbox.grant(&assertion).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "7"));
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:04:05 GMT");
    // The assertion reached Box, so its `jti` is used up.
    sandbox.grant(&assertion).await.refuses("invalid_grant", "A unique 'jti' value is required");
    sandbox.service_token().await;
    let shown = sandbox.control("GET", "/faults", None).await.body;
    assert_eq!((&shown["items"][0]["struck"], &shown["items"][0]["times"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn faults_affect_only_the_requests_that_they_select() {
    let sandbox = TestSandbox::new().await;
    let down = |select: Value| json!({ "select": select, "effect": { "status": 503 } });
    sandbox
        .fault(down(json!({ "subject": format!("user:{ADA}"), "client_id": sandbox.app.client_id })))
        .await;
    sandbox.service_token().await;
    assert_eq!(sandbox.mint("user", ADA).await.status, 503);
    sandbox.ccg(&sandbox.ccg.client_secret, "user", ADA).await.token();

    let cleared = sandbox.control("DELETE", "/faults?client_id=another", None).await;
    assert_eq!(cleared.status, 204);
    assert_eq!(sandbox.mint("user", ADA).await.status, 503);
    sandbox.control("DELETE", &format!("/faults?client_id={}", sandbox.app.client_id), None).await;
    let token = sandbox.mint("user", ADA).await.token();

    sandbox.fault(down(json!({ "path": "/2.0/folders/*" }))).await;
    assert_eq!(sandbox.status("/2.0/users/me", &token).await, 200);
    assert_eq!(sandbox.status("/2.0/folders/0", &token).await, 503);
    sandbox.control("DELETE", "/faults", None).await;
    assert_eq!(sandbox.status("/2.0/folders/0", &token).await, 200);
}

#[tokio::test]
async fn every_effect_alters_the_response() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let once = |effect: Value| json!({ "effect": effect, "times": 1 });
    sandbox.fault(once(json!({ "garbage": true }))).await;
    let reply = Reply::of(sandbox.get("/2.0/users/me", &token).send().await.unwrap()).await;
    assert_eq!((reply.status.as_u16(), &reply.body), (200, &Value::Null));
    sandbox.fault(once(json!({ "huge_body": true }))).await;
    let body = sandbox.get("/2.0/users/me", &token).send().await.unwrap().bytes().await.unwrap();
    assert!(body.len() >= 10_000_000);
    sandbox.fault(once(json!({ "drop": true }))).await;
    let mut error: &dyn std::error::Error = &sandbox.get("/2.0/users/me", &token).send().await.unwrap_err();
    let mut reset = false;
    while let Some(source) = error.source() {
        error = source;
        let io = error.downcast_ref::<std::io::Error>();
        reset |= io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset);
    }
    assert!(reset, "{error}");
    for value in [json!("3600"), json!(-5), json!(0), json!(null), json!(1e30)] {
        sandbox.fault(once(json!({ "expires_in": value }))).await;
        assert_eq!(sandbox.mint("enterprise", ENTERPRISE).await.body["expires_in"], value);
    }
    sandbox.fault(once(json!({ "omit": ["expires_in"], "latency_ms": 5 }))).await;
    assert_eq!(sandbox.mint("enterprise", ENTERPRISE).await.body.get("expires_in"), None);
    sandbox.fault(once(json!({ "restricted_to": [] }))).await;
    let resource = [("resource", "https://api.box.com/2.0/folders/20000001001")];
    assert_eq!(sandbox.exchange(&token, "item_preview", &resource).await.body["restricted_to"], json!([]));
    for nonsense in [json!({}), json!({ "hang": true, "drop": true }), json!({ "retry_after": 1 })] {
        assert_eq!(sandbox.control("POST", "/faults", Some(once(nonsense))).await.status, 422);
    }
}

#[tokio::test]
async fn a_hanging_request_ends_when_the_sandbox_stops() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    sandbox.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": { "hang": true } })).await;
    let waiting = tokio::spawn(sandbox.get("/2.0/users/me", &token).send());
    while sandbox.count("path=/2.0/users/me").await == 0 {
        tokio::task::yield_now().await;
    }
    let url = sandbox.server.url();
    sandbox.server.stop().await;
    assert!(waiting.await.unwrap().is_err());
    assert!(sandbox.http.get(url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn a_held_request_continues_when_the_fault_is_removed() {
    let sandbox = TestSandbox::new().await;
    for (effect, status, lift) in [
        (json!({ "hold": true }), 200, "/faults"),
        (json!({ "hold": true, "status": 503 }), 503, "/faults?client_id=CLIENT"),
        (json!({ "hold": true, "latency_ms": 1 }), 200, "/faults/3"),
    ] {
        let select = json!({ "client_id": sandbox.app.client_id });
        sandbox.fault(json!({ "select": select, "effect": effect, "times": 1 })).await;
        let before = sandbox.count("").await;
        let release = async {
            while sandbox.count("").await == before {
                tokio::task::yield_now().await;
            }
            assert_eq!(sandbox.count(&format!("status={status}&since={before}")).await, 0);
            let lift = lift.replace("CLIENT", &sandbox.app.client_id);
            assert_eq!(sandbox.control("DELETE", &lift, None).await.status, 204);
        };
        let (held, ()) = tokio::join!(sandbox.mint("enterprise", ENTERPRISE), release);
        assert_eq!(held.status, status);
    }
}

#[tokio::test]
async fn latency_delays_no_other_request() {
    let sandbox = TestSandbox::new().await;
    let slow = json!({ "select": { "subject": format!("user:{ADA}") }, "effect": { "latency_ms": 60_000 } });
    sandbox.fault(slow).await;
    let assertion = sandbox.sign(&sandbox.claims("user", ADA));
    let url = format!("{}/oauth2/token", sandbox.server.url());
    let request =
        sandbox.http.post(url).form(&sandbox.grant_fields(&assertion)).timeout(Duration::from_secs(30));
    let waiting = tokio::spawn(request.send());
    while sandbox.count(&format!("subject=user:{ADA}")).await == 0 {
        tokio::task::yield_now().await;
    }
    let client_id = &sandbox.app.client_id;
    let many = (0..100).map(|_| sandbox.mint("enterprise", ENTERPRISE));
    for reply in futures::future::join_all(many).await {
        reply.token();
    }
    assert_eq!(sandbox.count(&format!("client_id={client_id}&grant=jwt-bearer&status=200")).await, 100);
    waiting.abort();
}

#[tokio::test]
async fn clock_skew_affects_assertions_and_the_date_header() {
    let sandbox = TestSandbox::new().await;
    sandbox.control("PUT", "/clock", Some(json!({ "skew_seconds": 600 }))).await;
    let reply = sandbox.mint("enterprise", ENTERPRISE).await;
    reply.refuses("invalid_grant", "MUST be before the expiration");
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:14:05 GMT");
    sandbox.control("PUT", "/clock", Some(json!({ "skew_seconds": -600 }))).await;
    let reply = sandbox.mint("enterprise", ENTERPRISE).await;
    reply.refuses("invalid_grant", "'exp' value exceeds the maximum");
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 02:54:05 GMT");
}

#[tokio::test]
async fn the_journal_shows_each_request_and_no_secret() {
    let sandbox = TestSandbox::new().await;
    let claims = sandbox.claims("enterprise", ENTERPRISE);
    let assertion = sandbox.sign(&claims);
    let token = sandbox.grant(&assertion).await.token();
    let resource = [("resource", "https://api.box.com/2.0/folders/20000001001")];
    let child = sandbox.exchange(&token, "item_preview", &resource).await.token();
    sandbox.grant(&assertion).await;
    sandbox.read("/2.0/folders/20000001001", &child).await;

    let journal = sandbox.control("GET", "/journal", None).await.body;
    let [minted, exchanged, replayed, read] = journal["items"].as_array().unwrap().as_slice() else {
        panic!("{journal}")
    };
    assert_eq!((&minted["n"], &minted["time"]), (&json!(1), &json!("2026-01-02T03:04:05Z")));
    assert_eq!((&minted["kid"], &minted["jti"]), (&json!(sandbox.app.public_key_id), &claims["jti"]));
    assert_eq!(minted["subject"], format!("enterprise:{ENTERPRISE}"));
    assert_eq!((&exchanged["grant"], &exchanged["token"]), (&json!("token-exchange"), &minted["issued"]));
    assert_eq!(
        (&exchanged["scopes"], &exchanged["resource"]),
        (&json!(["item_preview"]), &json!(resource[0].1))
    );
    assert_eq!(exchanged["client_id"], sandbox.app.client_id);
    assert_eq!((&replayed["status"], &replayed["error"]), (&json!(400), &json!("invalid_grant")));
    assert_eq!((&read["path"], &read["token"]), (&json!("/2.0/folders/20000001001"), &exchanged["issued"]));

    let text = journal.to_string() + &sandbox.control("GET", "", None).await.body.to_string();
    for secret in [&token, &child, &assertion, &sandbox.app.client_secret, &sandbox.ccg.client_secret] {
        assert!(!text.contains(secret.as_str()));
    }
    assert_eq!(sandbox.count("since=2").await, 2);
    assert_eq!(sandbox.control("DELETE", "/journal", None).await.status, 204);
    assert_eq!(sandbox.count("").await, 0);
    sandbox.service_token().await;
    assert_eq!(sandbox.control("GET", "/journal", None).await.body["items"][0]["n"], 5);
}

#[tokio::test]
async fn the_overview_shows_apps_and_enterprises() {
    let sandbox = TestSandbox::new().await;
    let overview = sandbox.control("GET", "", None).await.body;
    assert_eq!(overview["apps"].as_array().unwrap().len(), 2);
    assert_eq!(overview["enterprises"][0]["users"][0]["id"], ADA);
    assert_eq!(sandbox.control("GET", "/nothing", None).await.status, 404);
}
