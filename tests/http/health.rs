//! A tenant's health: what fails, since when, and what to do about it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness};
use crate::rotation::read;
use crate::token_requests::acme;

const TESS: &str = "10000001003";
const START: &str = "2026-01-02T03:04:05Z";

async fn health(harness: &Harness) -> Value {
    read(harness, "acme").await["health"].clone()
}

/// Drops what is cached, so that the next request mints.
async fn flush(harness: &Harness) {
    harness.call(&harness.admin, "POST", "/v1/tenants/acme/flush", None).await.is(200);
}

async fn found(harness: &Harness, health: &str) -> usize {
    let list = harness.get(&harness.admin, &format!("/v1/tenants?health={health}")).await.is(200);
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_registered_tenant_is_well_and_a_restarted_broker_does_not_know() {
    let (mut harness, key) = acme().await;
    assert_eq!(health(&harness).await, json!({ "state": "ok", "since": START }));
    harness.clock.advance(Duration::from_secs(60));
    harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(health(&harness).await, json!({ "state": "ok", "since": START }));
    harness.restart().await;
    assert_eq!(health(&harness).await, json!({ "state": "unknown", "since": "2026-01-02T03:05:05Z" }));
    assert_eq!((found(&harness, "unknown").await, found(&harness, "ok").await), (1, 0));
    harness.user_token(&key, "acme", GRACE).await.token();
    assert_eq!(health(&harness).await["state"], "ok");
    harness.end().await;
}

#[tokio::test]
async fn a_refusal_of_the_tenant_shows_since_when_and_what_to_do_until_it_works_again() {
    let (harness, key) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    harness.change_app(&harness.apps.acme, json!({ "authorized": [] })).await;
    // What is cached is served, and nothing is known yet.
    harness.token(&key, "acme").await.token();
    assert_eq!(health(&harness).await["state"], "ok");
    flush(&harness).await;
    harness.token(&key, "acme").await.refuses(424, "app_not_authorized");
    let first = health(&harness).await;
    assert_eq!((&first["state"], &first["since"]), (&json!("failing"), &json!(START)));
    assert_eq!(first["code"], "app_not_authorized");
    assert!(first["fix"].as_str().unwrap().contains("Authorize"), "{first}");
    assert_eq!((found(&harness, "failing").await, found(&harness, "ok").await), (1, 1));
    harness.clock.advance(Duration::from_secs(90));
    harness.token(&key, "acme").await.refuses(424, "app_not_authorized");
    assert_eq!(health(&harness).await, first, "it fails since then");
    harness.change_app(&harness.apps.acme, json!({ "authorized": [harness.apps.acme.enterprise_id] })).await;
    harness.clock.advance(Duration::from_secs(60));
    harness.token(&key, "acme").await.token();
    assert_eq!(health(&harness).await, json!({ "state": "ok", "since": "2026-01-02T03:06:35Z" }));
    assert_eq!(found(&harness, "failing").await, 0);
    harness.get(&harness.admin, "/v1/tenants?health=bad").await.refuses(422, "invalid");
    harness.end().await;
}

#[tokio::test]
async fn one_users_or_one_items_refusal_is_no_illness() {
    let (harness, key) = acme().await;
    harness.user_token(&key, "acme", TESS).await.refuses(424, "terms_of_service_required");
    harness.user_token(&key, "acme", "999").await.refuses(424, "subject_invalid");
    let item = json!({ "scopes": ["item_preview"], "resource": { "type": "file", "id": "1" } });
    harness.downscoped(&key, "acme", item).await.refuses(424, "resource_not_visible");
    assert_eq!(health(&harness).await["state"], "ok");
    // A user's refusal that holds for the whole app is.
    harness.change_app(&harness.apps.acme, json!({ "remove_keys": [harness.apps.acme.public_key_id] })).await;
    harness.user_token(&key, "acme", ADA).await.refuses(424, "key_unknown");
    assert_eq!(health(&harness).await["code"], "key_unknown");
    harness.end().await;
}

#[tokio::test]
async fn an_outage_is_the_tenants_where_it_is_not_one_users() {
    let (harness, key) = acme().await;
    harness.fault(json!({ "select": { "path": "/oauth2/token" }, "effect": { "status": 503 } })).await;
    harness.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(health(&harness).await["state"], "ok");
    harness.user_token(&key, "acme", GRACE).await.refuses(503, "upstream_unavailable");
    let sick = health(&harness).await;
    assert_eq!((&sick["state"], &sick["code"]), (&json!("failing"), &json!("upstream_unavailable")));
    harness.heal().await;
    harness.clock.advance(Duration::from_secs(2));
    harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(health(&harness).await["state"], "ok");
    // The service account's is the tenant's at once.
    flush(&harness).await;
    harness.fault(json!({ "select": { "path": "/oauth2/token" }, "effect": { "status": 503 } })).await;
    harness.token(&key, "acme").await.refuses(503, "upstream_unavailable");
    assert_eq!(health(&harness).await["code"], "upstream_unavailable");
    harness.end().await;
}

#[tokio::test]
async fn credentials_that_cannot_be_opened_show_until_others_take_their_place() {
    let (mut harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.stop().await;
    let spoilt = harness.hand().bytes("00");
    harness.hand().does(&format!("UPDATE credentials SET sealed = {spoilt}")).await;
    harness.start().await;
    harness.user_token(&key, "acme", ADA).await.refuses(500, "sealed_data_refused");
    let sick = health(&harness).await;
    assert_eq!((&sick["state"], &sick["code"]), (&json!("failing"), &json!("sealed_data_refused")));
    let body = json!({ "config": crate::harness::by_config("", &harness.apps.acme)["config"] });
    let after = crate::rotation::put(&harness, "acme", "?revoke_old=true", &body).await.is(200);
    assert_eq!(after["warnings"], json!([]));
    assert_eq!(harness.known_at_box(&old).await["live"], false, "new credentials end it");
    assert_eq!(health(&harness).await["state"], "ok");
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_test_tells_of_health_too() {
    let (harness, _) = acme().await;
    let test = "/v1/tenants/acme/test";
    harness.change_app(&harness.apps.acme, json!({ "authorized": [] })).await;
    harness.call(&harness.admin, "POST", test, None).await.is(200);
    assert_eq!(health(&harness).await["code"], "app_not_authorized");
    harness.change_app(&harness.apps.acme, json!({ "authorized": [harness.apps.acme.enterprise_id] })).await;
    harness.call(&harness.admin, "POST", test, None).await.is(200);
    assert_eq!(health(&harness).await["state"], "ok");
    harness.post(&harness.admin, test, json!({ "user": TESS })).await.is(200);
    assert_eq!(health(&harness).await["state"], "ok");
    harness.end().await;
}

#[tokio::test]
async fn a_tenant_that_is_well_again_is_found_so_though_nobody_needs_a_new_token() {
    let (harness, key) = acme().await;
    let warm = harness.token(&key, "acme").await.token();
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    for user in [ADA, GRACE] {
        harness.user_token(&key, "acme", user).await.refuses(503, "upstream_unavailable");
    }
    let state =
        async || harness.get(&harness.admin, "/v1/tenants/acme").await.ok()["health"]["state"].clone();
    assert_eq!(state().await, "failing");
    harness.broker().run_housekeeping().await;
    assert_eq!(state().await, "failing", "Box is away still");
    harness.heal().await;
    assert_eq!(harness.token(&key, "acme").await.token(), warm, "callers have what they need");
    harness.clock.advance(Duration::from_secs(1));
    harness.broker().run_housekeeping().await;
    assert_eq!(state().await, "ok");
    harness.end().await;
}
