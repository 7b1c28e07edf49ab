//! Faults on order, the journal, the clock's skew, and stopping.

use std::time::Duration;

use serde_json::{Value, json};

use crate::bench::{ADA, Bench, ENTERPRISE, Reply};

#[tokio::test]
async fn a_fault_answers_in_place_of_box_as_often_as_it_was_ordered() {
    let bench = Bench::new().await;
    let effect = json!({ "status": 429, "retry_after": 7, "body": { "error": "rate_limit_exceeded" } });
    bench.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": effect, "times": 1 })).await;
    let assertion = bench.sign(&bench.claims("enterprise", ENTERPRISE));
    let reply = bench.grant(&assertion).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "7"));
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:04:05 GMT");
    // The assertion reached Box, so its `jti` is used up.
    bench.grant(&assertion).await.refuses("invalid_grant", "A unique 'jti' value is required");
    bench.service_token().await;
    let shown = bench.control("GET", "/faults", None).await.body;
    assert_eq!((&shown["items"][0]["struck"], &shown["items"][0]["times"]), (&json!(1), &json!(0)));
}

#[tokio::test]
async fn faults_strike_only_what_they_select() {
    let bench = Bench::new().await;
    let down = |select: Value| json!({ "select": select, "effect": { "status": 503 } });
    bench.fault(down(json!({ "subject": format!("user:{ADA}"), "client_id": bench.app.client_id }))).await;
    bench.service_token().await;
    assert_eq!(bench.mint("user", ADA).await.status, 503);
    bench.ccg(&bench.ccg.client_secret, "user", ADA).await.token();

    let cleared = bench.control("DELETE", "/faults?client_id=another", None).await;
    assert_eq!(cleared.status, 204);
    assert_eq!(bench.mint("user", ADA).await.status, 503);
    bench.control("DELETE", &format!("/faults?client_id={}", bench.app.client_id), None).await;
    let token = bench.mint("user", ADA).await.token();

    bench.fault(down(json!({ "path": "/2.0/folders/*" }))).await;
    assert_eq!(bench.status("/2.0/users/me", &token).await, 200);
    assert_eq!(bench.status("/2.0/folders/0", &token).await, 503);
    bench.control("DELETE", "/faults", None).await;
    assert_eq!(bench.status("/2.0/folders/0", &token).await, 200);
}

#[tokio::test]
async fn answers_can_be_spoiled_in_every_way() {
    let bench = Bench::new().await;
    let token = bench.service_token().await;
    let once = |effect: Value| json!({ "effect": effect, "times": 1 });
    bench.fault(once(json!({ "garbage": true }))).await;
    let reply = Reply::of(bench.get("/2.0/users/me", &token).send().await.unwrap()).await;
    assert_eq!((reply.status.as_u16(), &reply.body), (200, &Value::Null));
    bench.fault(once(json!({ "huge_body": true }))).await;
    let body = bench.get("/2.0/users/me", &token).send().await.unwrap().bytes().await.unwrap();
    assert!(body.len() >= 10_000_000);
    bench.fault(once(json!({ "drop": true }))).await;
    let mut error: &dyn std::error::Error = &bench.get("/2.0/users/me", &token).send().await.unwrap_err();
    let mut reset = false;
    while let Some(source) = error.source() {
        error = source;
        let io = error.downcast_ref::<std::io::Error>();
        reset |= io.is_some_and(|io| io.kind() == std::io::ErrorKind::ConnectionReset);
    }
    assert!(reset, "{error}");
    for value in [json!("3600"), json!(-5), json!(0), json!(null), json!(1e30)] {
        bench.fault(once(json!({ "expires_in": value }))).await;
        assert_eq!(bench.mint("enterprise", ENTERPRISE).await.body["expires_in"], value);
    }
    bench.fault(once(json!({ "omit": ["expires_in"], "latency_ms": 5 }))).await;
    assert_eq!(bench.mint("enterprise", ENTERPRISE).await.body.get("expires_in"), None);
    bench.fault(once(json!({ "restricted_to": [] }))).await;
    let resource = [("resource", "https://api.box.com/2.0/folders/20000001001")];
    assert_eq!(bench.exchange(&token, "item_preview", &resource).await.body["restricted_to"], json!([]));
    for nonsense in [json!({}), json!({ "hang": true, "drop": true }), json!({ "retry_after": 1 })] {
        assert_eq!(bench.control("POST", "/faults", Some(once(nonsense))).await.status, 422);
    }
}

#[tokio::test]
async fn a_hanging_answer_ends_with_the_sandbox() {
    let bench = Bench::new().await;
    let token = bench.service_token().await;
    bench.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": { "hang": true } })).await;
    let waiting = tokio::spawn(bench.get("/2.0/users/me", &token).send());
    while bench.count("path=/2.0/users/me").await == 0 {
        tokio::task::yield_now().await;
    }
    let url = bench.sandbox.url();
    bench.sandbox.stop().await;
    assert!(waiting.await.unwrap().is_err());
    assert!(bench.http.get(url).send().await.unwrap_err().is_connect());
}

#[tokio::test]
async fn what_is_held_goes_on_once_the_fault_is_lifted() {
    let bench = Bench::new().await;
    for (effect, status, lift) in [
        (json!({ "hold": true }), 200, "/faults"),
        (json!({ "hold": true, "status": 503 }), 503, "/faults?client_id=CLIENT"),
        (json!({ "hold": true, "latency_ms": 1 }), 200, "/faults/3"),
    ] {
        let select = json!({ "client_id": bench.app.client_id });
        bench.fault(json!({ "select": select, "effect": effect, "times": 1 })).await;
        let before = bench.count("").await;
        let release = async {
            while bench.count("").await == before {
                tokio::task::yield_now().await;
            }
            assert_eq!(bench.count(&format!("status={status}&since={before}")).await, 0);
            let lift = lift.replace("CLIENT", &bench.app.client_id);
            assert_eq!(bench.control("DELETE", &lift, None).await.status, 204);
        };
        let (held, ()) = tokio::join!(bench.mint("enterprise", ENTERPRISE), release);
        assert_eq!(held.status, status);
    }
}

#[tokio::test]
async fn latency_delays_nobody_else() {
    let bench = Bench::new().await;
    let slow = json!({ "select": { "subject": format!("user:{ADA}") }, "effect": { "latency_ms": 60_000 } });
    bench.fault(slow).await;
    let assertion = bench.sign(&bench.claims("user", ADA));
    let url = format!("{}/oauth2/token", bench.sandbox.url());
    let request = bench.http.post(url).form(&bench.grant_fields(&assertion)).timeout(Duration::from_secs(30));
    let waiting = tokio::spawn(request.send());
    while bench.count(&format!("subject=user:{ADA}")).await == 0 {
        tokio::task::yield_now().await;
    }
    let client_id = &bench.app.client_id;
    let many = (0..100).map(|_| bench.mint("enterprise", ENTERPRISE));
    for reply in futures::future::join_all(many).await {
        reply.token();
    }
    assert_eq!(bench.count(&format!("client_id={client_id}&grant=jwt-bearer&status=200")).await, 100);
    waiting.abort();
}

#[tokio::test]
async fn skew_moves_box_s_clock_and_its_date() {
    let bench = Bench::new().await;
    bench.control("PUT", "/clock", Some(json!({ "skew_seconds": 600 }))).await;
    let reply = bench.mint("enterprise", ENTERPRISE).await;
    reply.refuses("invalid_grant", "MUST be before the expiration");
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 03:14:05 GMT");
    bench.control("PUT", "/clock", Some(json!({ "skew_seconds": -600 }))).await;
    let reply = bench.mint("enterprise", ENTERPRISE).await;
    reply.refuses("invalid_grant", "'exp' value exceeds the maximum");
    assert_eq!(reply.header("date"), "Fri, 02 Jan 2026 02:54:05 GMT");
}

#[tokio::test]
async fn the_journal_tells_what_came_and_holds_no_secret() {
    let bench = Bench::new().await;
    let claims = bench.claims("enterprise", ENTERPRISE);
    let assertion = bench.sign(&claims);
    let token = bench.grant(&assertion).await.token();
    let resource = [("resource", "https://api.box.com/2.0/folders/20000001001")];
    let child = bench.exchange(&token, "item_preview", &resource).await.token();
    bench.grant(&assertion).await;
    bench.read("/2.0/folders/20000001001", &child).await;

    let journal = bench.control("GET", "/journal", None).await.body;
    let [minted, exchanged, replayed, read] = journal["items"].as_array().unwrap().as_slice() else {
        panic!("{journal}")
    };
    assert_eq!((&minted["n"], &minted["time"]), (&json!(1), &json!("2026-01-02T03:04:05Z")));
    assert_eq!((&minted["kid"], &minted["jti"]), (&json!(bench.app.public_key_id), &claims["jti"]));
    assert_eq!(minted["subject"], format!("enterprise:{ENTERPRISE}"));
    assert_eq!((&exchanged["grant"], &exchanged["token"]), (&json!("token-exchange"), &minted["issued"]));
    assert_eq!(
        (&exchanged["scopes"], &exchanged["resource"]),
        (&json!(["item_preview"]), &json!(resource[0].1))
    );
    assert_eq!(exchanged["client_id"], bench.app.client_id);
    assert_eq!((&replayed["status"], &replayed["error"]), (&json!(400), &json!("invalid_grant")));
    assert_eq!((&read["path"], &read["token"]), (&json!("/2.0/folders/20000001001"), &exchanged["issued"]));

    let text = journal.to_string() + &bench.control("GET", "", None).await.body.to_string();
    for secret in [&token, &child, &assertion, &bench.app.client_secret, &bench.ccg.client_secret] {
        assert!(!text.contains(secret.as_str()));
    }
    assert_eq!(bench.count("since=2").await, 2);
    assert_eq!(bench.control("DELETE", "/journal", None).await.status, 204);
    assert_eq!(bench.count("").await, 0);
    bench.service_token().await;
    assert_eq!(bench.control("GET", "/journal", None).await.body["items"][0]["n"], 5);
}

#[tokio::test]
async fn the_overview_shows_what_there_is_to_ask_for() {
    let bench = Bench::new().await;
    let overview = bench.control("GET", "", None).await.body;
    assert_eq!(overview["apps"].as_array().unwrap().len(), 2);
    assert_eq!(overview["enterprises"][0]["users"][0]["id"], ADA);
    assert_eq!(bench.control("GET", "/nothing", None).await.status, 404);
}
