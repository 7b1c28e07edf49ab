//! Lockdown of tenants and shared apps: no release any more, and every live token dead at Box.

use serde_json::{Value, json};

use crate::harness::{ADA, Harness, NORTH, SOUTH, by_config};
use crate::response::Reply;
use crate::token_requests::{acme, any_token, eventually, meanwhile, user};

impl Harness {
    pub(crate) async fn lock_down(&self, key: &str, what: &str) -> Reply {
        self.call(key, "POST", &format!("/v1/{what}/lockdown"), None).await
    }

    /// Whether Box takes a token.
    pub(crate) async fn is_alive(&self, token: &str) -> bool {
        self.known_at_box(token).await["live"] == true
    }

    /// A shared app with two tenants, and the keys of their services.
    pub(crate) async fn two_on_one_app(&self) -> [String; 2] {
        let config = by_config("", &self.apps.portal)["config"].clone();
        self.post(&self.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
        for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
            let body = json!({ "tenant": tenant, "app": "vendor", "enterprise_id": enterprise });
            self.post(&self.admin, "/v1/tenants", body).await.is(201);
        }
        [self.service("norths", any_token("north")).await, self.service("souths", any_token("south")).await]
    }
}

/// What a lockdown answers that left nothing alive.
pub(crate) fn all_dead(tokens: u64) -> Value {
    json!({ "tokens": tokens, "revoked": tokens, "queued": 0, "sessions": 0 })
}

#[tokio::test]
async fn s15_a_locked_tenant_releases_nothing_and_its_tokens_are_dead_at_box() {
    let (mut harness, key) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let foreign = harness.service("foreign", any_token("globex")).await;
    let others = harness.token(&foreign, "globex").await.token();
    let narrow = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let mut tokens = vec![
        harness.token(&key, "acme").await.token(),
        harness.user_token(&key, "acme", ADA).await.token(),
        harness.downscoped(&key, "acme", narrow.clone()).await.token(),
    ];
    // One that was superseded lives on at Box, and is known all the same.
    harness.post(&harness.admin, "/v1/tenants/acme/flush", json!({})).await.is(200);
    tokens.push(harness.user_token(&key, "acme", ADA).await.token());

    let toll = harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, all_dead(4));
    for token in &tokens {
        assert!(!harness.is_alive(token).await);
    }
    let refused = async |harness: &Harness| {
        let mints = harness.mints().await;
        harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
        harness.user_token(&key, "acme", ADA).await.refuses(403, "tenant_suspended");
        harness.downscoped(&key, "acme", narrow.clone()).await.refuses(403, "tenant_suspended");
        harness.token(&foreign, "acme").await.refuses(404, "not_found");
        assert_eq!(harness.mints().await, mints);
    };
    refused(&harness).await;
    harness.restart().await;
    refused(&harness).await;
    assert_eq!(harness.get(&harness.admin, "/v1/tenants/acme").await.is(200)["state"], "locked");
    let listed = harness.get(&harness.admin, "/v1/tenants?state=locked").await.is(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert!(harness.is_alive(&others).await);
    assert_eq!(harness.token(&foreign, "globex").await.token(), others);
    harness.end().await;
}

#[tokio::test]
async fn a_lifted_lock_brings_no_old_token_back() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    // Box does not hear of it, so the old token still works there.
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    let toll = harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, json!({ "tokens": 1, "revoked": 0, "queued": 1, "sessions": 0 }));
    let lifted = harness.change_tenant("acme", json!({ "state": "active" })).await;
    assert_eq!(lifted["state"], "active");
    let new = harness.token(&key, "acme").await.token();
    assert_ne!(new, old);
    // It is revoked behind the lock too, and the new one is not.
    harness.heal().await;
    harness.clock.advance(std::time::Duration::from_secs(60));
    harness.broker().run_housekeeping().await;
    assert!(!harness.is_alive(&old).await && harness.is_alive(&new).await);
    assert_eq!(harness.token(&key, "acme").await.token(), new);
    harness.end().await;
}

#[tokio::test]
async fn locking_twice_is_the_same_and_ends_what_lives_still() {
    let (harness, key) = acme().await;
    let token = harness.token(&key, "acme").await.token();
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    let first = harness.get(&harness.admin, "/v1/tenants/acme").await;
    assert!(harness.is_alive(&token).await);
    harness.heal().await;
    assert_eq!(harness.lock_down(&harness.admin, "tenants/acme").await.is(200), all_dead(1));
    assert!(!harness.is_alive(&token).await);
    assert_eq!(harness.lock_down(&harness.admin, "tenants/acme").await.is(200), all_dead(0));
    let last = harness.get(&harness.admin, "/v1/tenants/acme").await;
    assert_eq!(first.header("etag"), last.header("etag"));
    let told = "SELECT action FROM audit WHERE action = 'tenant.lockdown'";
    assert_eq!(harness.hand().reads(told).await.len(), 3, "each is on record");
    harness.end().await;
}

#[tokio::test]
async fn s15_a_locked_app_stops_every_tenant_that_it_serves() {
    let harness = Harness::new().await;
    let [north, south] = harness.two_on_one_app().await;
    harness.register("acme", &harness.apps.acme).await;
    let other = harness.service("other", any_token("acme")).await;
    let bystander = harness.token(&other, "acme").await.token();
    let tokens = [
        harness.token(&north, "north").await.token(),
        harness.user_token(&north, "north", "10000003001").await.token(),
        harness.token(&south, "south").await.token(),
    ];
    assert_eq!(harness.lock_down(&harness.admin, "apps/vendor").await.is(200), all_dead(3));
    for token in &tokens {
        assert!(!harness.is_alive(token).await);
    }
    harness.token(&north, "north").await.refuses(403, "tenant_suspended");
    harness.token(&south, "south").await.refuses(403, "tenant_suspended");
    assert_eq!(harness.token(&other, "acme").await.token(), bystander);
    assert_eq!(harness.get(&harness.admin, "/v1/apps/vendor").await.is(200)["state"], "locked");
    let more = json!({ "tenant": "third", "app": "vendor", "enterprise_id": NORTH });
    harness.post(&harness.admin, "/v1/tenants", more).await.refuses(409, "conflict");

    // The tenants themselves were not locked: with the app they are back, and mint anew.
    harness.patch(&harness.admin, "/v1/apps/vendor", json!({ "state": "active" })).await.is(200);
    let new = harness.token(&north, "north").await.token();
    assert!(!tokens.contains(&new) && harness.is_alive(&new).await);
    assert!(!tokens.contains(&harness.token(&south, "south").await.token()));
    harness.end().await;
}

#[tokio::test]
async fn a_locked_app_can_have_new_credentials_before_it_is_back() {
    let harness = Harness::new().await;
    let [north, _] = harness.two_on_one_app().await;
    let old = harness.token(&north, "north").await.token();
    harness.lock_down(&harness.admin, "apps/vendor").await.is(200);
    let made = harness.post(&harness.admin, "/v1/apps/vendor/keypairs", json!({})).await.is(201);
    assert!(made["public_key"].as_str().unwrap().contains("BEGIN PUBLIC KEY"));
    let config = by_config("", &harness.apps.portal)["config"].clone();
    let body = json!({ "config": config, "enterprise_id": NORTH });
    let same = harness.call(&harness.admin, "PUT", "/v1/apps/vendor/credentials", Some(&body));
    assert_eq!(same.await.is(200)["state"], "locked");
    harness.token(&north, "north").await.refuses(403, "tenant_suspended");
    harness.patch(&harness.admin, "/v1/apps/vendor", json!({ "state": "active" })).await.is(200);
    assert_ne!(harness.token(&north, "north").await.token(), old);
    harness.end().await;
}

#[tokio::test]
async fn a_locked_tenant_can_be_tested_mended_and_deleted_and_serves_nobody_by_it() {
    let (harness, key) = acme().await;
    harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    let tested = harness.post(&harness.admin, "/v1/tenants/acme/test", json!({})).await.is(200);
    assert_eq!(tested["diagnosis"][1]["outcome"], "pass");
    let config = by_config("", &harness.apps.ccg)["config"].clone();
    let body = json!({ "config": config, "auth": "ccg" });
    let put = harness.call(&harness.admin, "PUT", "/v1/tenants/acme/credentials", Some(&body)).await;
    assert_eq!(put.is(200)["state"], "locked");
    harness.change_tenant("acme", json!({ "display_name": "Acme, locked" })).await;
    harness.post(&harness.admin, "/v1/tenants/acme/flush", json!({})).await.is(200);
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    harness.all_die_at_box("path=/oauth2/token").await;

    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    harness.token(&key, "acme").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_lockdown_is_not_served_and_revoked() {
    let of_ada = format!("grant=jwt-bearer&subject=user:{ADA}");
    let (harness, key) = acme().await;
    let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "acme", ADA), async {
        harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    assert_eq!(harness.issued(&of_ada).await.len(), 1);
    harness.all_die_at_box(&of_ada).await;
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_lock_and_its_lifting_is_minted_anew() {
    let of_ada = format!("grant=jwt-bearer&subject=user:{ADA}");
    let (harness, key) = acme().await;
    let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "acme", ADA), async {
        harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
        harness.change_tenant("acme", json!({ "state": "active" })).await;
    })
    .await;
    let token = reply.token();
    let issued = harness.issued(&of_ada).await;
    assert_eq!(issued.len(), 2);
    eventually("the first is dead", async || harness.known_by_sha256(&issued[0]).await["live"] == false)
        .await;
    assert!(harness.is_alive(&token).await);
    harness.end().await;
}

#[tokio::test]
async fn a_pending_tenant_that_is_locked_reserves_nothing_and_is_pending_again_behind_the_lock() {
    let harness = Harness::new().await;
    harness.change_app(&harness.apps.acme, json!({ "authorized": [] })).await;
    let later = by_config("acme", &harness.apps.acme);
    harness.post(&harness.admin, "/v1/tenants?verify=later", later).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    assert_eq!(harness.lock_down(&harness.admin, "tenants/acme").await.is(200), all_dead(0));
    harness.change_app(&harness.apps.acme, json!({ "authorized": ["1001"] })).await;
    harness.clock.advance(std::time::Duration::from_secs(3600));
    // Neither its first request nor the keeper nor a test brings it into service.
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    harness.broker().run_housekeeping().await;
    harness.post(&harness.admin, "/v1/tenants/acme/test", json!({})).await.is(200);
    assert_eq!(harness.get(&harness.admin, "/v1/tenants/acme").await.is(200)["state"], "locked");
    harness
        .patch(&harness.admin, "/v1/tenants/acme", json!({ "state": "suspended" }))
        .await
        .refuses(409, "conflict");
    // Somebody else may hold client ID and enterprise meanwhile.
    harness.register("second", &harness.apps.acme).await;
    harness.delete(&harness.admin, "/v1/tenants/second?purge=now").await.is(204);

    assert_eq!(harness.change_tenant("acme", json!({ "state": "active" })).await["state"], "pending");
    harness.token(&key, "acme").await.token();
    assert_eq!(harness.get(&harness.admin, "/v1/tenants/acme").await.is(200)["state"], "active");
    // Once more, to be erased at once as any other that was never tested.
    harness.register("globex", &harness.apps.globex).await;
    let later = by_config("third", &harness.apps.ccg);
    let later = json!({ "tenant": "third", "config": later["config"], "auth": "ccg" });
    harness.post(&harness.admin, "/v1/tenants?verify=later", later).await.is(201);
    harness.lock_down(&harness.admin, "tenants/third").await.is(200);
    harness.delete(&harness.admin, "/v1/tenants/third").await.is(204);
    harness.get(&harness.admin, "/v1/tenants/third").await.refuses(404, "not_found");
    harness.end().await;
}
