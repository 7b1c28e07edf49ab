//! Lockdown of tenants and shared apps: no release any more, and every live token dead at Box.

use serde_json::{Value, json};

use crate::asking::{acme, any_token, eventually, meanwhile, user};
use crate::ground::{ADA, Ground, NORTH, SOUTH, by_config};
use crate::reply::Reply;

impl Ground {
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
    let (mut ground, key) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    let foreign = ground.service("foreign", any_token("globex")).await;
    let others = ground.token(&foreign, "globex").await.token();
    let narrow = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let mut tokens = vec![
        ground.token(&key, "acme").await.token(),
        ground.user_token(&key, "acme", ADA).await.token(),
        ground.downscoped(&key, "acme", narrow.clone()).await.token(),
    ];
    // One that was superseded lives on at Box, and is known all the same.
    ground.post(&ground.admin, "/v1/tenants/acme/flush", json!({})).await.is(200);
    tokens.push(ground.user_token(&key, "acme", ADA).await.token());

    let toll = ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, all_dead(4));
    for token in &tokens {
        assert!(!ground.is_alive(token).await);
    }
    let refused = async |ground: &Ground| {
        let mints = ground.mints().await;
        ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
        ground.user_token(&key, "acme", ADA).await.refuses(403, "tenant_suspended");
        ground.downscoped(&key, "acme", narrow.clone()).await.refuses(403, "tenant_suspended");
        ground.token(&foreign, "acme").await.refuses(404, "not_found");
        assert_eq!(ground.mints().await, mints);
    };
    refused(&ground).await;
    ground.restart().await;
    refused(&ground).await;
    assert_eq!(ground.get(&ground.admin, "/v1/tenants/acme").await.is(200)["state"], "locked");
    let listed = ground.get(&ground.admin, "/v1/tenants?state=locked").await.is(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    assert!(ground.is_alive(&others).await);
    assert_eq!(ground.token(&foreign, "globex").await.token(), others);
    ground.end().await;
}

#[tokio::test]
async fn a_lifted_lock_brings_no_old_token_back() {
    let (ground, key) = acme().await;
    let old = ground.token(&key, "acme").await.token();
    // Box does not hear of it, so the old token still works there.
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    let toll = ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    assert_eq!(toll, json!({ "tokens": 1, "revoked": 0, "queued": 1, "sessions": 0 }));
    let lifted = ground.change_tenant("acme", json!({ "state": "active" })).await;
    assert_eq!(lifted["state"], "active");
    let new = ground.token(&key, "acme").await.token();
    assert_ne!(new, old);
    // It is revoked behind the lock too, and the new one is not.
    ground.heal().await;
    ground.clock.advance(std::time::Duration::from_secs(60));
    ground.broker().run_housekeeping().await;
    assert!(!ground.is_alive(&old).await && ground.is_alive(&new).await);
    assert_eq!(ground.token(&key, "acme").await.token(), new);
    ground.end().await;
}

#[tokio::test]
async fn locking_twice_is_the_same_and_ends_what_lives_still() {
    let (ground, key) = acme().await;
    let token = ground.token(&key, "acme").await.token();
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    let first = ground.get(&ground.admin, "/v1/tenants/acme").await;
    assert!(ground.is_alive(&token).await);
    ground.heal().await;
    assert_eq!(ground.lock_down(&ground.admin, "tenants/acme").await.is(200), all_dead(1));
    assert!(!ground.is_alive(&token).await);
    assert_eq!(ground.lock_down(&ground.admin, "tenants/acme").await.is(200), all_dead(0));
    let last = ground.get(&ground.admin, "/v1/tenants/acme").await;
    assert_eq!(first.header("etag"), last.header("etag"));
    let told = "SELECT action FROM audit WHERE action = 'tenant.lockdown'";
    assert_eq!(ground.hand().reads(told).await.len(), 3, "each is on record");
    ground.end().await;
}

#[tokio::test]
async fn s15_a_locked_app_stops_every_tenant_that_it_serves() {
    let ground = Ground::new().await;
    let [north, south] = ground.two_on_one_app().await;
    ground.register("acme", &ground.apps.acme).await;
    let other = ground.service("other", any_token("acme")).await;
    let bystander = ground.token(&other, "acme").await.token();
    let tokens = [
        ground.token(&north, "north").await.token(),
        ground.user_token(&north, "north", "10000003001").await.token(),
        ground.token(&south, "south").await.token(),
    ];
    assert_eq!(ground.lock_down(&ground.admin, "apps/vendor").await.is(200), all_dead(3));
    for token in &tokens {
        assert!(!ground.is_alive(token).await);
    }
    ground.token(&north, "north").await.refuses(403, "tenant_suspended");
    ground.token(&south, "south").await.refuses(403, "tenant_suspended");
    assert_eq!(ground.token(&other, "acme").await.token(), bystander);
    assert_eq!(ground.get(&ground.admin, "/v1/apps/vendor").await.is(200)["state"], "locked");
    let more = json!({ "tenant": "third", "app": "vendor", "enterprise_id": NORTH });
    ground.post(&ground.admin, "/v1/tenants", more).await.refuses(409, "conflict");

    // The tenants themselves were not locked: with the app they are back, and mint anew.
    ground.patch(&ground.admin, "/v1/apps/vendor", json!({ "state": "active" })).await.is(200);
    let new = ground.token(&north, "north").await.token();
    assert!(!tokens.contains(&new) && ground.is_alive(&new).await);
    assert!(!tokens.contains(&ground.token(&south, "south").await.token()));
    ground.end().await;
}

#[tokio::test]
async fn a_locked_app_can_have_new_credentials_before_it_is_back() {
    let ground = Ground::new().await;
    let [north, _] = ground.two_on_one_app().await;
    let old = ground.token(&north, "north").await.token();
    ground.lock_down(&ground.admin, "apps/vendor").await.is(200);
    let made = ground.post(&ground.admin, "/v1/apps/vendor/keypairs", json!({})).await.is(201);
    assert!(made["public_key"].as_str().unwrap().contains("BEGIN PUBLIC KEY"));
    let config = by_config("", &ground.apps.portal)["config"].clone();
    let body = json!({ "config": config, "enterprise_id": NORTH });
    let same = ground.call(&ground.admin, "PUT", "/v1/apps/vendor/credentials", Some(&body));
    assert_eq!(same.await.is(200)["state"], "locked");
    ground.token(&north, "north").await.refuses(403, "tenant_suspended");
    ground.patch(&ground.admin, "/v1/apps/vendor", json!({ "state": "active" })).await.is(200);
    assert_ne!(ground.token(&north, "north").await.token(), old);
    ground.end().await;
}

#[tokio::test]
async fn a_locked_tenant_can_be_tested_mended_and_deleted_and_serves_nobody_by_it() {
    let (ground, key) = acme().await;
    ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    let tested = ground.post(&ground.admin, "/v1/tenants/acme/test", json!({})).await.is(200);
    assert_eq!(tested["diagnosis"][1]["outcome"], "pass");
    let config = by_config("", &ground.apps.ccg)["config"].clone();
    let body = json!({ "config": config, "auth": "ccg" });
    let put = ground.call(&ground.admin, "PUT", "/v1/tenants/acme/credentials", Some(&body)).await;
    assert_eq!(put.is(200)["state"], "locked");
    ground.change_tenant("acme", json!({ "display_name": "Acme, locked" })).await;
    ground.post(&ground.admin, "/v1/tenants/acme/flush", json!({})).await.is(200);
    ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
    ground.all_die_at_box("path=/oauth2/token").await;

    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    ground.token(&key, "acme").await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_lockdown_is_not_served_and_revoked() {
    let of_ada = format!("grant=jwt-bearer&subject=user:{ADA}");
    let (ground, key) = acme().await;
    let reply = meanwhile(&ground, "jwt-bearer", ground.user_token(&key, "acme", ADA), async {
        ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    assert_eq!(ground.issued(&of_ada).await.len(), 1);
    ground.all_die_at_box(&of_ada).await;
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_lock_and_its_lifting_is_minted_anew() {
    let of_ada = format!("grant=jwt-bearer&subject=user:{ADA}");
    let (ground, key) = acme().await;
    let reply = meanwhile(&ground, "jwt-bearer", ground.user_token(&key, "acme", ADA), async {
        ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
        ground.change_tenant("acme", json!({ "state": "active" })).await;
    })
    .await;
    let token = reply.token();
    let issued = ground.issued(&of_ada).await;
    assert_eq!(issued.len(), 2);
    eventually("the first is dead", async || ground.known_by_sha256(&issued[0]).await["live"] == false).await;
    assert!(ground.is_alive(&token).await);
    ground.end().await;
}

#[tokio::test]
async fn a_pending_tenant_that_is_locked_reserves_nothing_and_is_pending_again_behind_the_lock() {
    let ground = Ground::new().await;
    ground.change_app(&ground.apps.acme, json!({ "authorized": [] })).await;
    let later = by_config("acme", &ground.apps.acme);
    ground.post(&ground.admin, "/v1/tenants?verify=later", later).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    assert_eq!(ground.lock_down(&ground.admin, "tenants/acme").await.is(200), all_dead(0));
    ground.change_app(&ground.apps.acme, json!({ "authorized": ["1001"] })).await;
    ground.clock.advance(std::time::Duration::from_secs(3600));
    // Neither its first request nor the keeper nor a test brings it into service.
    ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
    ground.broker().run_housekeeping().await;
    ground.post(&ground.admin, "/v1/tenants/acme/test", json!({})).await.is(200);
    assert_eq!(ground.get(&ground.admin, "/v1/tenants/acme").await.is(200)["state"], "locked");
    ground
        .patch(&ground.admin, "/v1/tenants/acme", json!({ "state": "suspended" }))
        .await
        .refuses(409, "conflict");
    // Somebody else may hold client ID and enterprise meanwhile.
    ground.register("second", &ground.apps.acme).await;
    ground.delete(&ground.admin, "/v1/tenants/second?purge=now").await.is(204);

    assert_eq!(ground.change_tenant("acme", json!({ "state": "active" })).await["state"], "pending");
    ground.token(&key, "acme").await.token();
    assert_eq!(ground.get(&ground.admin, "/v1/tenants/acme").await.is(200)["state"], "active");
    // Once more, to be erased at once as any other that was never tested.
    ground.register("globex", &ground.apps.globex).await;
    let later = by_config("third", &ground.apps.ccg);
    let later = json!({ "tenant": "third", "config": later["config"], "auth": "ccg" });
    ground.post(&ground.admin, "/v1/tenants?verify=later", later).await.is(201);
    ground.lock_down(&ground.admin, "tenants/third").await.is(200);
    ground.delete(&ground.admin, "/v1/tenants/third").await.is(204);
    ground.get(&ground.admin, "/v1/tenants/third").await.refuses(404, "not_found");
    ground.end().await;
}
