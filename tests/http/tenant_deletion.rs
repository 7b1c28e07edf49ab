//! How a tenant ends: out of service at once, restorable for its grace, then erased.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, Harness, NORTH, by_config};
use crate::store_probe::rows;
use crate::token_requests::eventually;

const GRACE: Duration = Duration::from_secs(7 * 24 * 3600);

async fn minter(harness: &Harness) -> String {
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    harness.service("minter", grants).await
}

async fn restore(harness: &Harness, tenant: &str) -> crate::response::Reply {
    harness.patch(&harness.admin, &format!("/v1/tenants/{tenant}"), json!({ "state": "active" })).await
}

#[tokio::test]
async fn a_deleted_tenant_is_out_of_service_and_its_tokens_are_dead_at_box() {
    let harness = Harness::new().await;
    let tenant = harness.register("acme", &harness.apps.acme).await;
    harness.register("globex", &harness.apps.globex).await;
    let minter = minter(&harness).await;
    let narrow = json!({ "scopes": ["item_preview"] });
    let tokens = [
        harness.token(&minter, "acme").await.token(),
        harness.user_token(&minter, "acme", ADA).await.token(),
    ];
    let child = harness.downscoped(&minter, "acme", narrow.clone()).await.token();
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    for token in &tokens {
        assert_eq!(harness.at_box(token, "/2.0/users/me").await, 401);
    }
    assert_eq!(harness.at_box(&child, "/2.0/files/30000001001").await, 401);
    harness.token(&minter, "acme").await.refuses(404, "not_found");
    harness.user_token(&minter, "acme", ADA).await.refuses(404, "not_found");
    harness.downscoped(&minter, "acme", narrow).await.refuses(404, "not_found");
    let id = tenant["id"].as_str().unwrap();
    harness.token(&minter, id).await.refuses(404, "not_found");
    harness.token(&minter, "globex").await.token();

    let deleted = harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    assert_eq!(
        (&deleted["state"], &deleted["purge_at"]),
        (&json!("deleted"), &json!("2026-01-09T03:04:05Z"))
    );
    // Again is the same: the grace is not prolonged.
    harness.clock.advance(Duration::from_secs(60));
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    assert_eq!(harness.get(&harness.admin, "/v1/tenants/acme").await.is(200), deleted);
    harness.end().await;
}

#[tokio::test]
async fn a_restored_tenant_serves_new_tokens_alone() {
    let harness = Harness::new().await;
    let before = harness.register("acme", &harness.apps.acme).await;
    let minter = minter(&harness).await;
    let old = harness.token(&minter, "acme").await.token();
    // Box does not hear of the revocation, so the old token still works there.
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    assert_eq!(harness.at_box(&old, "/2.0/users/me").await, 200);
    let after = restore(&harness, "acme").await.is(200);
    assert_eq!((&after["state"], after.get("purge_at")), (&json!("active"), None));
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    let new = harness.token(&minter, "acme").await.token();
    assert_ne!(new, old);
    assert_eq!(harness.at_box(&new, "/2.0/users/me").await, 200);
    harness.end().await;
}

#[tokio::test]
async fn what_box_did_not_hear_of_is_revoked_when_it_is_back() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let token = harness.token(&minter(&harness).await, "acme").await.token();
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    let tenant = harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    assert_eq!(tenant["state"], "deleted", "the credentials are kept for the sake of the token");
    harness.broker().run_housekeeping().await;
    harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    harness.heal().await;
    harness.broker().run_housekeeping().await;
    assert_eq!(harness.at_box(&token, "/2.0/users/me").await, 401);
    harness.get(&harness.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn credentials_are_erased_after_75_minutes_whatever_box_says() {
    let harness = Harness::new().await;
    let empty = rows(&harness).await;
    harness.control("PUT", "/token-life", Some(&json!({ "seconds": 20_000 }))).await;
    harness.register("acme", &harness.apps.acme).await;
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    harness.clock.advance(Duration::from_secs(75 * 60 - 1));
    harness.broker().run_housekeeping().await;
    assert_eq!(rows(&harness).await[2], empty[2] + 1);
    harness.clock.advance(Duration::from_secs(1));
    harness.broker().run_housekeeping().await;
    assert_eq!(rows(&harness).await[..3], empty[..3]);
    harness.end().await;
}

#[tokio::test]
async fn after_its_grace_a_tenant_is_erased_and_name_and_client_id_are_free() {
    let harness = Harness::new().await;
    let empty = rows(&harness).await;
    let first = harness.register("acme", &harness.apps.acme).await;
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    harness.clock.advance(GRACE - Duration::from_secs(1));
    harness.broker().run_housekeeping().await;
    restore(&harness, "acme").await.is(200);
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    harness.clock.advance(GRACE);
    harness.broker().run_housekeeping().await;
    harness.get(&harness.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    restore(&harness, "acme").await.refuses(404, "not_found");
    assert_eq!(rows(&harness).await[..3], empty[..3]);
    for left in [first["id"].as_str().unwrap(), first["app"]["id"].as_str().unwrap()] {
        let tokens = format!("SELECT id FROM tokens WHERE tenant_id = '{left}' OR app_id = '{left}'");
        assert!(harness.hand().reads(&tokens).await.is_empty());
    }
    let second = harness.register("acme", &harness.apps.acme).await;
    assert_ne!((&first["id"], &first["app"]["id"]), (&second["id"], &second["app"]["id"]));
    assert!(second["generation"].as_i64() > first["generation"].as_i64());
    harness.end().await;
}

#[tokio::test]
async fn a_tenant_whose_grace_is_over_is_not_restored() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    // Its token holds the erasure up, so that somebody comes in between.
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    restore(&harness, "acme").await.refuses(409, "conflict");
    harness.heal().await;
    harness.broker().run_housekeeping().await;
    harness.get(&harness.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn a_new_tenant_under_an_old_name_inherits_nothing() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let grants = json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }]);
    let old = harness.service("old", grants.clone()).await;
    let token = harness.token(&old, "acme").await.token();
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    harness.register("acme", &harness.apps.acme).await;
    harness.token(&old, "acme").await.refuses(404, "not_found");
    let new = harness.service("new", grants).await;
    assert_ne!(harness.token(&new, "acme").await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn erasing_at_once_needs_its_own_grant_on_every_tenant() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let path = "/v1/tenants/acme?purge=now";
    let admin = async |name: &str, tenant: &str, permissions: Value| {
        harness.caller(name, "admin", json!([{ "tenant": tenant, "permissions": permissions }])).await
    };
    let deleter = admin("deleter", "*", json!(["tenants:delete"])).await;
    harness.delete(&deleter, path).await.refuses(403, "forbidden");
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=later").await.refuses(422, "invalid");
    harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    let purger = admin("purger", "*", json!(["tenants:purge"])).await;
    harness.delete(&purger, "/v1/tenants/acme").await.refuses(403, "forbidden");
    harness.delete(&purger, path).await.is(204);
    harness.get(&harness.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn a_shared_app_outlives_its_tenants() {
    let harness = Harness::new().await;
    let config = by_config("", &harness.apps.portal)["config"].clone();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    harness.post(&harness.admin, "/v1/tenants", north.clone()).await.is(201);
    harness.delete(&harness.admin, "/v1/tenants/north?purge=now").await.is(204);
    let app = harness.get(&harness.admin, "/v1/apps/portal").await.is(200);
    assert_eq!(app["tenants"], 0);
    harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
    eventually("the revocations", async || harness.count("path=/oauth2/revoke&status=200").await >= 2).await;
    harness.end().await;
}

#[tokio::test]
async fn while_box_is_away_a_deletion_asks_it_for_no_more_than_a_batch() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let grants = json!([{ "tenant": "acme", "permissions": ["tokens:downscope"] }]);
    let key = harness.service("narrower", grants).await;
    let scopes = ["item_preview", "item_download", "item_upload", "item_rename", "item_share", "item_delete"];
    for number in 1..40_usize {
        let some: Vec<_> = scopes
            .iter()
            .enumerate()
            .filter(|(at, _)| number >> at & 1 == 1)
            .map(|(_, scope)| scope)
            .collect();
        harness.downscoped(&key, "acme", json!({ "scopes": some })).await.token();
    }
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    let asked = harness.count("path=/oauth2/revoke&status=503").await;
    assert!(asked <= 2 * 16, "each once, and once more: {asked}");
    let again = json!({ "scopes": ["item_preview"] });
    harness.downscoped(&key, "acme", again).await.refuses(404, "not_found");
    harness.heal().await;
    harness.broker().run_housekeeping().await;
    assert!(harness.hand().reads("SELECT id FROM tokens").await.is_empty(), "and all of them later");
    harness.end().await;
}
