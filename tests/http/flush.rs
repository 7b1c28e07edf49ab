//! `POST …/flush`: access or scopes changed in Box, so every next request mints.

use serde_json::json;

use crate::asking::{any_token, meanwhile};
use crate::ground::{ADA, Ground, NORTH};
use crate::registration::shared_app;
use crate::rotation::read;

#[tokio::test]
async fn after_a_flush_every_next_request_mints_and_old_tokens_live_on() {
    let ground = Ground::new().await;
    shared_app(&ground).await;
    ground.register("acme", &ground.apps.acme).await;
    ground.register("globex", &ground.apps.globex).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    ground.post(&ground.admin, "/v1/tenants", north).await.is(201);
    let key = ground.service("portal", any_token("*")).await;
    let other = ground.token(&key, "globex").await.token();
    for tenant in ["acme", "north"] {
        let before = read(&ground, tenant).await;
        let old = ground.token(&key, tenant).await.token();
        let narrow = json!({ "scopes": ["item_preview"] });
        let child = ground.downscoped(&key, tenant, narrow.clone()).await.token();
        let mints = ground.mints().await;
        let path = format!("/v1/tenants/{tenant}/flush");
        let after = ground.call(&ground.admin, "POST", &path, None).await.is(200);
        assert!(after["generation"].as_i64() > before["generation"].as_i64());
        assert_eq!((&after["key"], &after["state"]), (&before["key"], &before["state"]));
        assert_eq!(ground.mints().await, mints, "a flush asks Box nothing");
        let new = ground.token(&key, tenant).await.token();
        let new_child = ground.downscoped(&key, tenant, narrow).await.token();
        assert!(new != old && new_child != child);
        assert_eq!(ground.mints().await, mints + 1);
        for token in [&old, &child, &new, &new_child] {
            assert_eq!(ground.known_at_box(token).await["live"], true);
        }
    }
    assert_eq!(ground.token(&key, "globex").await.token(), other);
    let events = ground.hand().reads("SELECT action FROM audit WHERE action = 'tenant.flush'").await;
    assert_eq!(events.len(), 2);
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_flush_is_thrown_away() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let key = ground.service("portal", any_token("acme")).await;
    let reply = meanwhile(&ground, "jwt-bearer", ground.user_token(&key, "acme", ADA), async {
        ground.call(&ground.admin, "POST", "/v1/tenants/acme/flush", None).await.is(200);
    })
    .await;
    let token = reply.token();
    let issued = ground.issued(&format!("grant=jwt-bearer&subject=user:{ADA}")).await;
    assert_eq!(issued.len(), 2);
    assert_eq!(box_token_broker::crypto::sha256_hex(token.as_bytes()), issued[1]);
    ground.end().await;
}

#[tokio::test]
async fn a_flush_is_for_those_who_change_credentials() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    ground.register("globex", &ground.apps.globex).await;
    let path = "/v1/tenants/acme/flush";
    for (name, tenant, permission, refusal) in [
        ("writer", "acme", "tenants:write", (403, "forbidden")),
        ("foreign", "globex", "tenants:credentials", (404, "not_found")),
    ] {
        let grants = json!([{ "tenant": tenant, "permissions": [permission] }]);
        let key = ground.caller(name, "admin", grants).await;
        ground.call(&key, "POST", path, None).await.refuses(refusal.0, refusal.1);
        ground.call(&key, "POST", "/v1/tenants/gone/flush", None).await.refuses(404, "not_found");
    }
    let grants = json!([{ "tenant": "acme", "permissions": ["tenants:credentials"] }]);
    let own = ground.caller("own", "admin", grants).await;
    ground.call(&own, "POST", path, None).await.is(200);
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    ground.call(&ground.admin, "POST", path, None).await.refuses(409, "conflict");
    ground.end().await;
}
