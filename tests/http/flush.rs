//! `POST …/flush`: access or scopes changed in Box, so every next request mints.

use serde_json::json;

use crate::harness::{ADA, Harness, NORTH};
use crate::registration::shared_app;
use crate::rotation::read;
use crate::token_requests::{any_token, meanwhile};

#[tokio::test]
async fn after_a_flush_every_next_request_mints_and_old_tokens_live_on() {
    let harness = Harness::new().await;
    shared_app(&harness).await;
    harness.register("acme", &harness.apps.acme).await;
    harness.register("globex", &harness.apps.globex).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
    let key = harness.service("portal", any_token("*")).await;
    let other = harness.token(&key, "globex").await.token();
    for tenant in ["acme", "north"] {
        let before = read(&harness, tenant).await;
        let old = harness.token(&key, tenant).await.token();
        let narrow = json!({ "scopes": ["item_preview"] });
        let child = harness.downscoped(&key, tenant, narrow.clone()).await.token();
        let mints = harness.mints().await;
        let path = format!("/v1/tenants/{tenant}/flush");
        let after = harness.call(&harness.admin, "POST", &path, None).await.is(200);
        assert!(after["generation"].as_i64() > before["generation"].as_i64());
        assert_eq!((&after["key"], &after["state"]), (&before["key"], &before["state"]));
        assert_eq!(harness.mints().await, mints, "a flush asks Box nothing");
        let new = harness.token(&key, tenant).await.token();
        let new_child = harness.downscoped(&key, tenant, narrow).await.token();
        assert!(new != old && new_child != child);
        assert_eq!(harness.mints().await, mints + 1);
        for token in [&old, &child, &new, &new_child] {
            assert_eq!(harness.known_at_box(token).await["live"], true);
        }
    }
    assert_eq!(harness.token(&key, "globex").await.token(), other);
    let events = harness.hand().reads("SELECT action FROM audit WHERE action = 'tenant.flush'").await;
    assert_eq!(events.len(), 2);
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_flush_is_thrown_away() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let key = harness.service("portal", any_token("acme")).await;
    let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "acme", ADA), async {
        harness.call(&harness.admin, "POST", "/v1/tenants/acme/flush", None).await.is(200);
    })
    .await;
    let token = reply.token();
    let issued = harness.issued(&format!("grant=jwt-bearer&subject=user:{ADA}")).await;
    assert_eq!(issued.len(), 2);
    assert_eq!(box_token_broker::crypto::sha256_hex(token.as_bytes()), issued[1]);
    harness.end().await;
}

#[tokio::test]
async fn a_flush_is_for_those_who_change_credentials() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    harness.register("globex", &harness.apps.globex).await;
    let path = "/v1/tenants/acme/flush";
    for (name, tenant, permission, refusal) in [
        ("writer", "acme", "tenants:write", (403, "forbidden")),
        ("foreign", "globex", "tenants:credentials", (404, "not_found")),
    ] {
        let grants = json!([{ "tenant": tenant, "permissions": [permission] }]);
        let key = harness.caller(name, "admin", grants).await;
        harness.call(&key, "POST", path, None).await.refuses(refusal.0, refusal.1);
        harness.call(&key, "POST", "/v1/tenants/gone/flush", None).await.refuses(404, "not_found");
    }
    let grants = json!([{ "tenant": "acme", "permissions": ["tenants:credentials"] }]);
    let own = harness.caller("own", "admin", grants).await;
    harness.call(&own, "POST", path, None).await.is(200);
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    harness.call(&harness.admin, "POST", path, None).await.refuses(409, "conflict");
    harness.end().await;
}
