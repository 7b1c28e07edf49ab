//! A tenant's health: what fails, since when, and what to do about it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::acme;
use crate::ground::{ADA, GRACE, Ground};
use crate::rotation::read;

const TESS: &str = "10000001003";
const START: &str = "2026-01-02T03:04:05Z";

async fn health(ground: &Ground) -> Value {
    read(ground, "acme").await["health"].clone()
}

/// Drops what is cached, so that the next request mints.
async fn flush(ground: &Ground) {
    ground.call(&ground.admin, "POST", "/v1/tenants/acme/flush", None).await.is(200);
}

async fn found(ground: &Ground, health: &str) -> usize {
    let list = ground.get(&ground.admin, &format!("/v1/tenants?health={health}")).await.is(200);
    list["items"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_registered_tenant_is_well_and_a_restarted_broker_does_not_know() {
    let (mut ground, key) = acme().await;
    assert_eq!(health(&ground).await, json!({ "state": "ok", "since": START }));
    ground.clock.advance(Duration::from_secs(60));
    ground.user_token(&key, "acme", ADA).await.token();
    assert_eq!(health(&ground).await, json!({ "state": "ok", "since": START }));
    ground.restart().await;
    assert_eq!(health(&ground).await, json!({ "state": "unknown", "since": "2026-01-02T03:05:05Z" }));
    assert_eq!((found(&ground, "unknown").await, found(&ground, "ok").await), (1, 0));
    ground.user_token(&key, "acme", GRACE).await.token();
    assert_eq!(health(&ground).await["state"], "ok");
    ground.end().await;
}

#[tokio::test]
async fn a_refusal_of_the_tenant_shows_since_when_and_what_to_do_until_it_works_again() {
    let (ground, key) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    ground.change_app(&ground.apps.acme, json!({ "authorized": [] })).await;
    // What is cached is served, and nothing is known yet.
    ground.token(&key, "acme").await.token();
    assert_eq!(health(&ground).await["state"], "ok");
    flush(&ground).await;
    ground.token(&key, "acme").await.refuses(424, "app_not_authorized");
    let first = health(&ground).await;
    assert_eq!((&first["state"], &first["since"]), (&json!("failing"), &json!(START)));
    assert_eq!(first["code"], "app_not_authorized");
    assert!(first["fix"].as_str().unwrap().contains("Authorize"), "{first}");
    assert_eq!((found(&ground, "failing").await, found(&ground, "ok").await), (1, 1));
    ground.clock.advance(Duration::from_secs(90));
    ground.token(&key, "acme").await.refuses(424, "app_not_authorized");
    assert_eq!(health(&ground).await, first, "it fails since then");
    ground.change_app(&ground.apps.acme, json!({ "authorized": [ground.apps.acme.enterprise_id] })).await;
    ground.clock.advance(Duration::from_secs(60));
    ground.token(&key, "acme").await.token();
    assert_eq!(health(&ground).await, json!({ "state": "ok", "since": "2026-01-02T03:06:35Z" }));
    assert_eq!(found(&ground, "failing").await, 0);
    ground.get(&ground.admin, "/v1/tenants?health=bad").await.refuses(422, "invalid");
    ground.end().await;
}

#[tokio::test]
async fn one_users_or_one_items_refusal_is_no_illness() {
    let (ground, key) = acme().await;
    ground.user_token(&key, "acme", TESS).await.refuses(424, "terms_of_service_required");
    ground.user_token(&key, "acme", "999").await.refuses(424, "subject_invalid");
    let item = json!({ "scopes": ["item_preview"], "resource": { "type": "file", "id": "1" } });
    ground.downscoped(&key, "acme", item).await.refuses(424, "resource_not_visible");
    assert_eq!(health(&ground).await["state"], "ok");
    // A user's refusal that holds for the whole app is.
    ground.change_app(&ground.apps.acme, json!({ "remove_keys": [ground.apps.acme.public_key_id] })).await;
    ground.user_token(&key, "acme", ADA).await.refuses(424, "key_unknown");
    assert_eq!(health(&ground).await["code"], "key_unknown");
    ground.end().await;
}

#[tokio::test]
async fn an_outage_is_the_tenants_where_it_is_not_one_users() {
    let (ground, key) = acme().await;
    ground.fault(json!({ "select": { "path": "/oauth2/token" }, "effect": { "status": 503 } })).await;
    ground.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!(health(&ground).await["state"], "ok");
    ground.user_token(&key, "acme", GRACE).await.refuses(503, "upstream_unavailable");
    let sick = health(&ground).await;
    assert_eq!((&sick["state"], &sick["code"]), (&json!("failing"), &json!("upstream_unavailable")));
    ground.heal().await;
    ground.clock.advance(Duration::from_secs(2));
    ground.user_token(&key, "acme", ADA).await.token();
    assert_eq!(health(&ground).await["state"], "ok");
    // The service account's is the tenant's at once.
    flush(&ground).await;
    ground.fault(json!({ "select": { "path": "/oauth2/token" }, "effect": { "status": 503 } })).await;
    ground.token(&key, "acme").await.refuses(503, "upstream_unavailable");
    assert_eq!(health(&ground).await["code"], "upstream_unavailable");
    ground.end().await;
}

#[tokio::test]
async fn credentials_that_cannot_be_opened_show_until_others_take_their_place() {
    let (mut ground, key) = acme().await;
    let old = ground.token(&key, "acme").await.token();
    ground.stop().await;
    let spoilt = ground.hand().bytes("00");
    ground.hand().does(&format!("UPDATE credentials SET sealed = {spoilt}")).await;
    ground.start().await;
    ground.user_token(&key, "acme", ADA).await.refuses(500, "sealed_data_refused");
    let sick = health(&ground).await;
    assert_eq!((&sick["state"], &sick["code"]), (&json!("failing"), &json!("sealed_data_refused")));
    let body = json!({ "config": crate::ground::by_config("", &ground.apps.acme)["config"] });
    let after = crate::rotation::put(&ground, "acme", "?revoke_old=true", &body).await.is(200);
    assert_eq!(after["warnings"], json!([]));
    assert_eq!(ground.known_at_box(&old).await["live"], false, "new credentials end it");
    assert_eq!(health(&ground).await["state"], "ok");
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn a_test_tells_of_health_too() {
    let (ground, _) = acme().await;
    let test = "/v1/tenants/acme/test";
    ground.change_app(&ground.apps.acme, json!({ "authorized": [] })).await;
    ground.call(&ground.admin, "POST", test, None).await.is(200);
    assert_eq!(health(&ground).await["code"], "app_not_authorized");
    ground.change_app(&ground.apps.acme, json!({ "authorized": [ground.apps.acme.enterprise_id] })).await;
    ground.call(&ground.admin, "POST", test, None).await.is(200);
    assert_eq!(health(&ground).await["state"], "ok");
    ground.post(&ground.admin, test, json!({ "user": TESS })).await.is(200);
    assert_eq!(health(&ground).await["state"], "ok");
    ground.end().await;
}

#[tokio::test]
async fn a_tenant_that_is_well_again_is_found_so_though_nobody_needs_a_new_token() {
    let (ground, key) = acme().await;
    let warm = ground.token(&key, "acme").await.token();
    ground.fault(json!({ "effect": { "status": 503 } })).await;
    for user in [ADA, GRACE] {
        ground.user_token(&key, "acme", user).await.refuses(503, "upstream_unavailable");
    }
    let state = async || ground.get(&ground.admin, "/v1/tenants/acme").await.ok()["health"]["state"].clone();
    assert_eq!(state().await, "failing");
    ground.broker().run_housekeeping().await;
    assert_eq!(state().await, "failing", "Box is away still");
    ground.heal().await;
    assert_eq!(ground.token(&key, "acme").await.token(), warm, "callers have what they need");
    ground.clock.advance(Duration::from_secs(1));
    ground.broker().run_housekeeping().await;
    assert_eq!(state().await, "ok");
    ground.end().await;
}
