//! What browsers are told, whatever becomes of a request.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::browser_fixture::{PORTAL, Scene, TOKENS};
use crate::harness::{FOLDER, Harness};
use crate::response::Reply;

async fn sent(harness: &Harness, method: Method, headers: &[(&str, &str)], body: &str) -> Reply {
    let request = harness.http.request(method, harness.url(TOKENS)).header("origin", PORTAL);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    Reply::of(request.body(body.to_owned()).send().await.unwrap()).await
}

#[tokio::test]
async fn a_preflight_is_answered_alike_for_every_origin() {
    let harness = Harness::new().await;
    let mut answers = Vec::new();
    for origin in [PORTAL, "https://evil.example", "null"] {
        let request = harness.http.request(Method::OPTIONS, harness.url(TOKENS)).header("origin", origin);
        let request = request
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!(reply.status, 204);
        reply.names(origin);
        answers.push(
            ["methods", "headers"]
                .map(|what| reply.header(&format!("access-control-allow-{what}")).to_owned()),
        );
        assert_eq!(reply.header("access-control-max-age"), "7200");
    }
    assert!(answers.iter().all(|answer| *answer == ["POST", "authorization, content-type"]), "{answers:?}");
    harness.end().await;
}

#[tokio::test]
async fn every_answer_names_the_origin_also_where_it_refuses() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let session = scene.opened(json!({})).await;
    let bearer = format!("Bearer {}", session.text);
    let auth = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    let long = format!("{{\"ids\":[\"{}\"]}}", "x".repeat(70_000));
    for (method, headers, body, status, code) in [
        (Method::POST, vec![json], "{\"ids\":[\"file_1\"]}", 401, "unauthenticated"),
        (Method::POST, vec![("authorization", "Bearer btbs_a_b_c"), json], "{}", 401, "unauthenticated"),
        (Method::POST, vec![("authorization", scene.portal.as_str()), json], "{}", 401, "unauthenticated"),
        (Method::GET, vec![auth], "", 405, "method_not_allowed"),
        (Method::OPTIONS, vec![auth], "", 405, "method_not_allowed"),
        (Method::POST, vec![auth, json], "{\"ids\":", 400, "malformed"),
        (Method::POST, vec![auth, json], "", 400, "malformed"),
        (Method::POST, vec![auth, json], "{\"ids\":[1]}", 422, "invalid"),
        (Method::POST, vec![auth, json], long.as_str(), 413, "too_large"),
        (
            Method::POST,
            vec![auth, ("content-type", "text/plain")],
            "{\"ids\":[\"file_1\"]}",
            415,
            "unsupported_media_type",
        ),
    ] {
        let reply = sent(harness, method, &headers, body).await;
        reply.names(PORTAL);
        reply.refuses(status, code);
    }
    let key =
        sent(harness, Method::POST, &[("authorization", &format!("Bearer {}", scene.portal)), json], "{}")
            .await;
    key.names(PORTAL);
    key.refuses(401, "unauthenticated");
    // A service's routes are no page's.
    let reply = harness.get(&session.text, "/v1/whoami").await;
    assert_eq!(reply.headers.get("access-control-allow-origin"), None);
    reply.refuses(401, "unauthenticated");
    scene.end().await;
}

#[tokio::test]
async fn a_session_is_limited_in_rate_and_so_is_its_tenant() {
    let scene = Scene::new().await;
    let folder = format!("folder_{FOLDER}");
    let (one, other) = (scene.opened(json!({})).await, scene.opened(json!({})).await);
    let mut served = 0;
    let limited = loop {
        let reply = scene.page(&one, &[&folder]).await;
        if reply.status != 200 {
            break reply;
        }
        served += 1;
    };
    assert_eq!(served, 100);
    limited.refuses(429, "rate_limited");
    scene.page(&other, &[&folder]).await.tokens_of(&folder);
    scene.harness.clock.advance(Duration::from_secs(1));
    for _ in 0..20 {
        scene.page(&one, &[&folder]).await.tokens_of(&folder);
    }
    scene.page(&one, &[&folder]).await.refuses(429, "rate_limited");
    let policy = json!({ "policy": { "rate_limit": { "per_second": 1 } } });
    scene.harness.change_tenant("acme", policy).await;
    scene.page(&other, &[&folder]).await.tokens_of(&folder);
    assert_eq!(scene.page(&other, &[&folder]).await.refuses(429, "rate_limited")["scope"], "tenant");
    scene.end().await;
}

#[tokio::test]
async fn strangers_are_limited_by_address_and_whoever_is_logged_out_hears_so_all_the_same() {
    let scene = Scene::with(&[("BTB_LIMITS__UNAUTHENTICATED_PER_PEER", "5")]).await;
    let session = scene.opened(json!({})).await;
    scene.cancel(&session).await;
    let refused = async |text: &str| scene.harness.page(PORTAL, text, &["file_1"]).await.status;
    let forged = format!("{}Z", &session.text[..session.text.len() - 1]);
    for _ in 0..5 {
        assert_eq!(refused(&forged).await, 401);
    }
    assert_eq!(refused(&forged).await, 429);
    scene.page(&session, &["file_1"]).await.refuses(401, "session_cancelled");
    scene.end().await;
}

#[tokio::test]
async fn the_browser_routes_move_to_their_own_listener() {
    let scene = Scene::with(&[("BTB_HTTP__BROWSER_LISTEN", "127.0.0.1:0")]).await;
    let session = scene.opened(json!({})).await;
    let folder = format!("folder_{FOLDER}");
    let broker = scene.harness.broker();
    for (address, status) in [(broker.browser, 200), (broker.service, 404)] {
        let request = scene.harness.http.post(format!("http://{address}{TOKENS}")).bearer_auth(&session.text);
        let request = request.header("origin", PORTAL).json(&json!({ "ids": [folder] }));
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!(reply.status, status, "{reply:?}");
        assert_eq!(reply.headers.contains_key("access-control-allow-origin"), status == 200);
    }
    let url = format!("http://{}/v1/whoami", broker.browser);
    let reply = Reply::of(scene.harness.http.get(url).bearer_auth(&scene.portal).send().await.unwrap()).await;
    reply.refuses(404, "not_found");
    scene.end().await;
}
