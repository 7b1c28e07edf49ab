//! How a tenant ends: out of service at once, restorable for its grace, then erased.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::eventually;
use crate::ground::{ADA, Ground, NORTH, by_config};
use crate::watching::rows;

const GRACE: Duration = Duration::from_secs(7 * 24 * 3600);

async fn minter(ground: &Ground) -> String {
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    ground.service("minter", grants).await
}

async fn restore(ground: &Ground, tenant: &str) -> crate::reply::Reply {
    ground.patch(&ground.admin, &format!("/v1/tenants/{tenant}"), json!({ "state": "active" })).await
}

#[tokio::test]
async fn a_deleted_tenant_is_out_of_service_and_its_tokens_are_dead_at_box() {
    let ground = Ground::new().await;
    let tenant = ground.register("acme", &ground.apps.acme).await;
    ground.register("globex", &ground.apps.globex).await;
    let minter = minter(&ground).await;
    let narrow = json!({ "scopes": ["item_preview"] });
    let tokens =
        [ground.token(&minter, "acme").await.token(), ground.user_token(&minter, "acme", ADA).await.token()];
    let child = ground.downscoped(&minter, "acme", narrow.clone()).await.token();
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    for token in &tokens {
        assert_eq!(ground.at_box(token, "/2.0/users/me").await, 401);
    }
    assert_eq!(ground.at_box(&child, "/2.0/files/30000001001").await, 401);
    ground.token(&minter, "acme").await.refuses(404, "not_found");
    ground.user_token(&minter, "acme", ADA).await.refuses(404, "not_found");
    ground.downscoped(&minter, "acme", narrow).await.refuses(404, "not_found");
    let id = tenant["id"].as_str().unwrap();
    ground.token(&minter, id).await.refuses(404, "not_found");
    ground.token(&minter, "globex").await.token();

    let deleted = ground.get(&ground.admin, "/v1/tenants/acme").await.is(200);
    assert_eq!(
        (&deleted["state"], &deleted["purge_at"]),
        (&json!("deleted"), &json!("2026-01-09T03:04:05Z"))
    );
    // Again is the same: the grace is not prolonged.
    ground.clock.advance(Duration::from_secs(60));
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    assert_eq!(ground.get(&ground.admin, "/v1/tenants/acme").await.is(200), deleted);
    ground.end().await;
}

#[tokio::test]
async fn a_restored_tenant_serves_new_tokens_alone() {
    let ground = Ground::new().await;
    let before = ground.register("acme", &ground.apps.acme).await;
    let minter = minter(&ground).await;
    let old = ground.token(&minter, "acme").await.token();
    // Box does not hear of the revocation, so the old token still works there.
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    assert_eq!(ground.at_box(&old, "/2.0/users/me").await, 200);
    let after = restore(&ground, "acme").await.is(200);
    assert_eq!((&after["state"], after.get("purge_at")), (&json!("active"), None));
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    let new = ground.token(&minter, "acme").await.token();
    assert_ne!(new, old);
    assert_eq!(ground.at_box(&new, "/2.0/users/me").await, 200);
    ground.end().await;
}

#[tokio::test]
async fn what_box_did_not_hear_of_is_revoked_when_it_is_back() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let token = ground.token(&minter(&ground).await, "acme").await.token();
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    ground.delete(&ground.admin, "/v1/tenants/acme?purge=now").await.is(204);
    let tenant = ground.get(&ground.admin, "/v1/tenants/acme").await.is(200);
    assert_eq!(tenant["state"], "deleted", "the credentials are kept for the sake of the token");
    ground.broker().run_housekeeping().await;
    ground.get(&ground.admin, "/v1/tenants/acme").await.is(200);
    ground.heal().await;
    ground.broker().run_housekeeping().await;
    assert_eq!(ground.at_box(&token, "/2.0/users/me").await, 401);
    ground.get(&ground.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn credentials_are_erased_after_75_minutes_whatever_box_says() {
    let ground = Ground::new().await;
    let empty = rows(&ground).await;
    ground.control("PUT", "/token-life", Some(&json!({ "seconds": 20_000 }))).await;
    ground.register("acme", &ground.apps.acme).await;
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    ground.delete(&ground.admin, "/v1/tenants/acme?purge=now").await.is(204);
    ground.clock.advance(Duration::from_secs(75 * 60 - 1));
    ground.broker().run_housekeeping().await;
    assert_eq!(rows(&ground).await[2], empty[2] + 1);
    ground.clock.advance(Duration::from_secs(1));
    ground.broker().run_housekeeping().await;
    assert_eq!(rows(&ground).await[..3], empty[..3]);
    ground.end().await;
}

#[tokio::test]
async fn after_its_grace_a_tenant_is_erased_and_name_and_client_id_are_free() {
    let ground = Ground::new().await;
    let empty = rows(&ground).await;
    let first = ground.register("acme", &ground.apps.acme).await;
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    ground.clock.advance(GRACE - Duration::from_secs(1));
    ground.broker().run_housekeeping().await;
    restore(&ground, "acme").await.is(200);
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    ground.clock.advance(GRACE);
    ground.broker().run_housekeeping().await;
    ground.get(&ground.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    restore(&ground, "acme").await.refuses(404, "not_found");
    assert_eq!(rows(&ground).await[..3], empty[..3]);
    for left in [first["id"].as_str().unwrap(), first["app"]["id"].as_str().unwrap()] {
        let tokens = format!("SELECT id FROM tokens WHERE tenant_id = '{left}' OR app_id = '{left}'");
        assert!(ground.hand().reads(&tokens).await.is_empty());
    }
    let second = ground.register("acme", &ground.apps.acme).await;
    assert_ne!((&first["id"], &first["app"]["id"]), (&second["id"], &second["app"]["id"]));
    assert!(second["generation"].as_i64() > first["generation"].as_i64());
    ground.end().await;
}

#[tokio::test]
async fn a_tenant_whose_grace_is_over_is_not_restored() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    // Its token holds the erasure up, so that somebody comes in between.
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    ground.delete(&ground.admin, "/v1/tenants/acme?purge=now").await.is(204);
    restore(&ground, "acme").await.refuses(409, "conflict");
    ground.heal().await;
    ground.broker().run_housekeeping().await;
    ground.get(&ground.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn a_new_tenant_under_an_old_name_inherits_nothing() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let grants = json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }]);
    let old = ground.service("old", grants.clone()).await;
    let token = ground.token(&old, "acme").await.token();
    ground.delete(&ground.admin, "/v1/tenants/acme?purge=now").await.is(204);
    ground.register("acme", &ground.apps.acme).await;
    ground.token(&old, "acme").await.refuses(404, "not_found");
    let new = ground.service("new", grants).await;
    assert_ne!(ground.token(&new, "acme").await.token(), token);
    ground.end().await;
}

#[tokio::test]
async fn erasing_at_once_needs_its_own_grant_on_every_tenant() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let path = "/v1/tenants/acme?purge=now";
    let admin = async |name: &str, tenant: &str, permissions: Value| {
        ground.caller(name, "admin", json!([{ "tenant": tenant, "permissions": permissions }])).await
    };
    let deleter = admin("deleter", "*", json!(["tenants:delete"])).await;
    ground.delete(&deleter, path).await.refuses(403, "forbidden");
    ground.delete(&ground.admin, "/v1/tenants/acme?purge=later").await.refuses(422, "invalid");
    ground.get(&ground.admin, "/v1/tenants/acme").await.is(200);
    let purger = admin("purger", "*", json!(["tenants:purge"])).await;
    ground.delete(&purger, "/v1/tenants/acme").await.refuses(403, "forbidden");
    ground.delete(&purger, path).await.is(204);
    ground.get(&ground.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn a_shared_app_outlives_its_tenants() {
    let ground = Ground::new().await;
    let config = by_config("", &ground.apps.portal)["config"].clone();
    ground.post(&ground.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    ground.post(&ground.admin, "/v1/tenants", north.clone()).await.is(201);
    ground.delete(&ground.admin, "/v1/tenants/north?purge=now").await.is(204);
    let app = ground.get(&ground.admin, "/v1/apps/portal").await.is(200);
    assert_eq!(app["tenants"], 0);
    ground.post(&ground.admin, "/v1/tenants", north).await.is(201);
    eventually("the revocations", async || ground.count("path=/oauth2/revoke&status=200").await >= 2).await;
    ground.end().await;
}

#[tokio::test]
async fn while_box_is_away_a_deletion_asks_it_for_no_more_than_a_batch() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let grants = json!([{ "tenant": "acme", "permissions": ["tokens:downscope"] }]);
    let key = ground.service("narrower", grants).await;
    let scopes = ["item_preview", "item_download", "item_upload", "item_rename", "item_share", "item_delete"];
    for number in 1..40_usize {
        let some: Vec<_> = scopes
            .iter()
            .enumerate()
            .filter(|(at, _)| number >> at & 1 == 1)
            .map(|(_, scope)| scope)
            .collect();
        ground.downscoped(&key, "acme", json!({ "scopes": some })).await.token();
    }
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    let asked = ground.count("path=/oauth2/revoke&status=503").await;
    assert!(asked <= 2 * 16, "each once, and once more: {asked}");
    let again = json!({ "scopes": ["item_preview"] });
    ground.downscoped(&key, "acme", again).await.refuses(404, "not_found");
    ground.heal().await;
    ground.broker().run_housekeeping().await;
    assert!(ground.hand().reads("SELECT id FROM tokens").await.is_empty(), "and all of them later");
    ground.end().await;
}
