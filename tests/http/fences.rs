//! A tenant or app that goes out of service while a mint is at Box: nothing of it leaves, nothing comes
//! back to life, and what Box gave is revoked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::{acme, any_token, eventually, meanwhile};
use crate::ground::{ADA, Ground, NORTH};

fn of_ada() -> String {
    format!("grant=jwt-bearer&subject=user:{ADA}")
}

fn state(state: &str) -> Value {
    json!({ "state": state })
}

#[tokio::test]
async fn a_suspended_tenant_is_told_to_those_with_a_grant_alone() {
    let (ground, key) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    let foreign = ground.service("foreign", any_token("globex")).await;
    let token = ground.token(&key, "acme").await.token();
    ground.change_tenant("acme", state("suspended")).await;
    let mints = ground.mints().await;
    ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
    ground.user_token(&key, "acme", ADA).await.refuses(403, "tenant_suspended");
    ground
        .downscoped(&key, "acme", json!({ "scopes": ["item_preview"] }))
        .await
        .refuses(403, "tenant_suspended");
    ground.token(&foreign, "acme").await.refuses(404, "not_found");
    assert_eq!(ground.mints().await, mints);
    ground.change_tenant("acme", state("active")).await;
    assert_eq!(ground.token(&key, "acme").await.token(), token);
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_suspension_is_not_served_and_revoked() {
    let (ground, key) = acme().await;
    let ask = ground.user_token(&key, "acme", ADA);
    let reply = meanwhile(&ground, "jwt-bearer", ask, async {
        ground.change_tenant("acme", state("suspended")).await;
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    assert_eq!(ground.issued(&of_ada()).await.len(), 1);
    ground.all_die_at_box(&of_ada()).await;
    // It stays dead when the tenant is back.
    ground.change_tenant("acme", state("active")).await;
    let token = ground.user_token(&key, "acme", ADA).await.token();
    assert_eq!(ground.known_at_box(&token).await["live"], true);
    assert_eq!(ground.issued(&of_ada()).await.len(), 2);
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_deletion_is_not_served_and_revoked() {
    for purge in ["", "?purge=now"] {
        let (ground, key) = acme().await;
        let ask = ground.user_token(&key, "acme", ADA);
        let reply = meanwhile(&ground, "jwt-bearer", ask, async {
            ground.delete(&ground.admin, &format!("/v1/tenants/acme{purge}")).await.is(204);
        })
        .await;
        reply.refuses(404, "not_found");
        assert_eq!(ground.issued(&of_ada()).await.len(), 1);
        ground.all_die_at_box(&of_ada()).await;
        ground.user_token(&key, "acme", ADA).await.refuses(404, "not_found");
        assert_eq!(ground.issued(&of_ada()).await.len(), 1);
        ground.end().await;
    }
}

#[tokio::test]
async fn invariant_5_tokens_of_a_deleted_tenant_stay_dead_when_it_is_restored() {
    let (ground, key) = acme().await;
    let child = json!({ "scopes": ["item_preview"] });
    let old = [
        ground.token(&key, "acme").await.token(),
        ground.downscoped(&key, "acme", child.clone()).await.token(),
    ];
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    for token in &old {
        assert_eq!(ground.known_at_box(token).await["live"], false);
    }
    ground.change_tenant("acme", state("active")).await;
    let new =
        [ground.token(&key, "acme").await.token(), ground.downscoped(&key, "acme", child).await.token()];
    for (old, new) in old.iter().zip(&new) {
        assert_ne!(new, old);
        assert_eq!(ground.known_at_box(new).await["live"], true);
    }
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_an_exchange_overtaken_by_a_suspension_is_not_served_and_revoked() {
    let (ground, key) = acme().await;
    ground.token(&key, "acme").await.token();
    let ask = ground.downscoped(&key, "acme", json!({ "scopes": ["item_preview"] }));
    let reply = meanwhile(&ground, "token-exchange", ask, async {
        ground.change_tenant("acme", state("suspended")).await;
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    // The first was the registration's test.
    assert_eq!(ground.issued("grant=token-exchange").await.len(), 2);
    ground.all_die_at_box("grant=token-exchange").await;
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_renewal_overtaken_by_a_suspension_is_revoked_and_never_served() {
    let (ground, key) = acme().await;
    let old = ground.user_token(&key, "acme", ADA).await.token();
    ground.clock.advance(Duration::from_secs(3100));
    let renewed = async || ground.issued(&of_ada()).await.len() == 2;
    let reply = meanwhile(&ground, "jwt-bearer", ground.user_token(&key, "acme", ADA), async {
        ground.change_tenant("acme", state("suspended")).await;
        ground.user_token(&key, "acme", ADA).await.refuses(403, "tenant_suspended");
    })
    .await;
    assert_eq!(reply.token(), old);
    eventually("the renewal is answered", renewed).await;
    let sha256 = ground.issued(&of_ada()).await.pop().unwrap();
    eventually("the renewed token dies", async || ground.known_by_sha256(&sha256).await["live"] == false)
        .await;
    ground.change_tenant("acme", state("active")).await;
    let token = ground.user_token(&key, "acme", ADA).await.token();
    assert_eq!(ground.known_at_box(&token).await["live"], true);
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_suspended_app_takes_its_tenants_out_of_service() {
    let (ground, key) = shared().await;
    ground.token(&key, "north").await.token();
    let reply = meanwhile(&ground, "jwt-bearer", ground.user_token(&key, "north", "10000003001"), async {
        ground.patch(&ground.admin, "/v1/apps/vendor", state("suspended")).await.is(200);
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    ground.all_die_at_box("subject=user:10000003001").await;
    ground.token(&key, "north").await.refuses(403, "tenant_suspended");
    ground.end().await;
}

async fn shared() -> (Ground, String) {
    let ground = Ground::new().await;
    let app = json!({ "app": "vendor", "config": serde_json::from_str::<Value>(&ground.apps.portal.json).unwrap() });
    ground.post(&ground.admin, "/v1/apps", app).await.is(201);
    let north = json!({ "tenant": "north", "app": "vendor", "enterprise_id": NORTH });
    ground.post(&ground.admin, "/v1/tenants", north).await.is(201);
    let key = ground.service("portal", any_token("north")).await;
    (ground, key)
}
