//! Where requests come from: who is limited by it, and who says so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, Harness};
use crate::http_conventions::asked;
use crate::issuer_fixture::Scene;
use crate::response::Reply;
use crate::token_requests::{any_token, user};

/// A broker that serves three strangers a second, ACME, and the key of a service.
async fn acme(settings: &[(&str, &str)]) -> (Harness, String) {
    let few = ("BTB_LIMITS__UNAUTHENTICATED_PER_PEER", "3");
    let settings: Vec<_> = settings.iter().copied().chain([few]).collect();
    let harness = Harness::with(&settings, |_, _| {}).await;
    harness.register("acme", &harness.apps.acme).await;
    let key = harness.service("portal", any_token("acme")).await;
    (harness, key)
}

const PROXIES: (&str, &str) = ("BTB_HTTP__TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8");

impl Harness {
    /// Asks who it is with a key, as a proxy passes it on.
    async fn passed_on(&self, key: &str, forwarded: &[&str]) -> Reply {
        let mut request = self.http.get(self.url("/v1/whoami")).bearer_auth(key);
        for line in forwarded {
            request = request.header("x-forwarded-for", *line);
        }
        Reply::of(request.send().await.unwrap()).await
    }

    /// How many of six wrong keys are refused as such; the others hear to come back later.
    async fn heard(&self, forwarded: &[&str]) -> usize {
        let mut heard = 0;
        for _ in 0..6 {
            let reply = self.passed_on("wrong", forwarded).await;
            if reply.status == 401 {
                heard += 1;
            } else {
                assert_eq!(reply.header("retry-after"), "1");
                assert_eq!(reply.refuses(429, "rate_limited")["scope"], "request");
            }
        }
        heard
    }

    /// From where an action was tried, newest first, as the audit tells it.
    async fn peers_of(&self, action: &str, outcome: &str) -> Vec<Value> {
        self.broker().write_counts().await;
        let path = format!("/v1/audit?action={action}&outcome={outcome}");
        let read = self.get(&self.admin, &path).await.is(200);
        read["items"].as_array().unwrap().iter().map(|item| item["peer"].clone()).collect()
    }
}

#[tokio::test]
async fn strangers_are_limited_by_where_they_come_from_and_known_callers_are_not() {
    let (harness, key) = acme(&[]).await;
    assert_eq!(harness.heard(&[]).await, 3);
    // To send nothing costs as much as to send what opens nothing.
    assert_eq!(asked(&harness, "GET", "/v1/whoami", "").await.0, 429);
    for _ in 0..6 {
        harness.token(&key, "acme").await.token();
    }
    assert_eq!(asked(&harness, "GET", "/v1/whoami", "").await.0, 429, "they give nothing back either");
    for path in ["/openapi.json", "/docs/", "/nothing"] {
        assert_ne!(asked(&harness, "GET", path, "").await.0, 429, "{path} asks nobody who they are");
    }
    let ready = format!("http://{}/readyz", harness.broker().operations);
    Reply::of(harness.http.get(ready).send().await.unwrap()).await.is(200);
    harness.clock.advance(Duration::from_secs(1));
    for _ in 0..3 {
        assert_eq!(asked(&harness, "GET", "/v1/whoami", "").await.0, 401);
    }
    assert_eq!(harness.heard(&[]).await, 0);
    harness.end().await;
}

#[tokio::test]
async fn tokens_that_open_nothing_cost_what_wrong_keys_do() {
    let scene = Scene::bare(&[("BTB_LIMITS__UNAUTHENTICATED_PER_PEER", "3")]).await;
    let token = scene.token(json!({ "sub": "nobody" }));
    for _ in 0..3 {
        scene.refused("nobody's", &token).await;
    }
    scene.ask(&token).await.refuses(429, "rate_limited");
    assert_eq!(scene.harness.heard(&[]).await, 0);
    scene.harness.end().await;
}

#[tokio::test]
async fn every_route_that_asks_who_calls_counts_who_cannot_say_it() {
    let (harness, _) = acme(&[]).await;
    for (method, path) in [
        ("POST", "/v1/tenants/acme/token"),
        ("GET", "/v1/tenants"),
        ("DELETE", "/v1/callers/portal"),
        ("POST", "/v1/apps"),
    ] {
        harness.clock.advance(Duration::from_secs(60));
        let mut statuses = Vec::new();
        for _ in 0..4 {
            statuses.push(asked(&harness, method, path, "").await.0);
        }
        assert_eq!(statuses, [401, 401, 401, 429], "{method} {path}");
    }
    harness.end().await;
}

#[tokio::test]
async fn without_a_trusted_proxy_nobody_is_somebody_else() {
    let (harness, key) = acme(&[("BTB_HTTP__TRUSTED_PROXIES", "10.0.0.0/8")]).await;
    assert_eq!(harness.heard(&["198.51.100.1"]).await, 3);
    assert_eq!(harness.heard(&["198.51.100.2"]).await, 0);
    assert_eq!(harness.heard(&["10.0.0.1", "10.0.0.2"]).await, 0);
    assert_eq!(harness.passed_on(&key, &["198.51.100.2"]).await.status, 200);
    harness.end().await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_each_client_counts_for_itself() {
    let (harness, _) = acme(&[PROXIES]).await;
    assert_eq!(harness.heard(&["198.51.100.1"]).await, 3);
    assert_eq!(harness.heard(&["198.51.100.2"]).await, 3);
    assert_eq!(harness.heard(&["203.0.113.5, 198.51.100.1"]).await, 0, "what a client wrote is not believed");
    assert_eq!(harness.heard(&["203.0.113.5", "198.51.100.1, 10.7.7.7"]).await, 0);
    assert_eq!(harness.heard(&["::ffff:198.51.100.1"]).await, 0, "an IPv4 address is one in any clothes");
    // Where nothing can be believed the proxy itself is the peer.
    assert_eq!(harness.heard(&[]).await, 3);
    assert_eq!(harness.heard(&["203.0.113.5, somebody"]).await, 0);
    harness.end().await;
}

#[tokio::test]
async fn an_ipv6_subscriber_is_one_peer() {
    let (harness, _) = acme(&[PROXIES]).await;
    assert_eq!(harness.heard(&["2001:db8:0:1::1"]).await, 3);
    assert_eq!(harness.heard(&["2001:db8:0:1:ffff:ffff:ffff:ffff"]).await, 0);
    assert_eq!(harness.heard(&["2001:db8:0:2::1"]).await, 3);
    harness.end().await;
}

#[tokio::test]
async fn what_is_written_down_tells_from_where_it_was_asked() {
    let (harness, key) = acme(&[PROXIES]).await;
    assert_eq!(harness.peers_of("tenant.create", "done").await, ["127.0.0.1"]);
    let ask = async |key: &str, forwarded: &str| {
        let ask = harness.http.post(harness.url("/v1/tenants/acme/token")).bearer_auth(key);
        let ask = ask.header("x-forwarded-for", forwarded).json(&json!({ "subject": user(ADA) }));
        Reply::of(ask.send().await.unwrap()).await
    };
    ask(&key, "203.0.113.5, 2001:db8::7").await.token();
    assert_eq!(harness.peers_of("token.mint", "done").await[0], "2001:db8::7");
    // Nor are those forgotten who could not say who they are.
    ask("wrong", "198.51.100.9").await.refuses(401, "unauthenticated");
    assert_eq!(harness.peers_of("token.release", "refused").await, ["198.51.100.9"]);
    harness.end().await;
}
