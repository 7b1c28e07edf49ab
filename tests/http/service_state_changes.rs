//! A tenant or app that goes out of service while a mint is at Box: nothing of it leaves, nothing comes
//! back to life, and what Box gave is revoked.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, Harness, NORTH};
use crate::token_requests::{acme, any_token, eventually, meanwhile};

fn of_ada() -> String {
    format!("grant=jwt-bearer&subject=user:{ADA}")
}

fn state(state: &str) -> Value {
    json!({ "state": state })
}

#[tokio::test]
async fn a_suspended_tenant_is_told_to_those_with_a_grant_alone() {
    let (harness, key) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let foreign = harness.service("foreign", any_token("globex")).await;
    let token = harness.token(&key, "acme").await.token();
    harness.change_tenant("acme", state("suspended")).await;
    let mints = harness.mints().await;
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    harness.user_token(&key, "acme", ADA).await.refuses(403, "tenant_suspended");
    harness
        .downscoped(&key, "acme", json!({ "scopes": ["item_preview"] }))
        .await
        .refuses(403, "tenant_suspended");
    harness.token(&foreign, "acme").await.refuses(404, "not_found");
    assert_eq!(harness.mints().await, mints);
    harness.change_tenant("acme", state("active")).await;
    assert_eq!(harness.token(&key, "acme").await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_suspension_is_not_served_and_revoked() {
    let (harness, key) = acme().await;
    let ask = harness.user_token(&key, "acme", ADA);
    let reply = meanwhile(&harness, "jwt-bearer", ask, async {
        harness.change_tenant("acme", state("suspended")).await;
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    assert_eq!(harness.issued(&of_ada()).await.len(), 1);
    harness.all_die_at_box(&of_ada()).await;
    // It stays dead when the tenant is back.
    harness.change_tenant("acme", state("active")).await;
    let token = harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(harness.known_at_box(&token).await["live"], true);
    assert_eq!(harness.issued(&of_ada()).await.len(), 2);
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_mint_overtaken_by_a_deletion_is_not_served_and_revoked() {
    for purge in ["", "?purge=now"] {
        let (harness, key) = acme().await;
        let ask = harness.user_token(&key, "acme", ADA);
        let reply = meanwhile(&harness, "jwt-bearer", ask, async {
            harness.delete(&harness.admin, &format!("/v1/tenants/acme{purge}")).await.is(204);
        })
        .await;
        reply.refuses(404, "not_found");
        assert_eq!(harness.issued(&of_ada()).await.len(), 1);
        harness.all_die_at_box(&of_ada()).await;
        harness.user_token(&key, "acme", ADA).await.refuses(404, "not_found");
        assert_eq!(harness.issued(&of_ada()).await.len(), 1);
        harness.end().await;
    }
}

#[tokio::test]
async fn invariant_5_tokens_of_a_deleted_tenant_stay_dead_when_it_is_restored() {
    let (harness, key) = acme().await;
    let child = json!({ "scopes": ["item_preview"] });
    let old = [
        harness.token(&key, "acme").await.token(),
        harness.downscoped(&key, "acme", child.clone()).await.token(),
    ];
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    for token in &old {
        assert_eq!(harness.known_at_box(token).await["live"], false);
    }
    harness.change_tenant("acme", state("active")).await;
    let new =
        [harness.token(&key, "acme").await.token(), harness.downscoped(&key, "acme", child).await.token()];
    for (old, new) in old.iter().zip(&new) {
        assert_ne!(new, old);
        assert_eq!(harness.known_at_box(new).await["live"], true);
    }
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_an_exchange_overtaken_by_a_suspension_is_not_served_and_revoked() {
    let (harness, key) = acme().await;
    harness.token(&key, "acme").await.token();
    let ask = harness.downscoped(&key, "acme", json!({ "scopes": ["item_preview"] }));
    let reply = meanwhile(&harness, "token-exchange", ask, async {
        harness.change_tenant("acme", state("suspended")).await;
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    // The first was the registration's test.
    assert_eq!(harness.issued("grant=token-exchange").await.len(), 2);
    harness.all_die_at_box("grant=token-exchange").await;
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_renewal_overtaken_by_a_suspension_is_revoked_and_never_served() {
    let (harness, key) = acme().await;
    let old = harness.user_token(&key, "acme", ADA).await.token();
    harness.clock.advance(Duration::from_secs(3100));
    let renewed = async || harness.issued(&of_ada()).await.len() == 2;
    let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "acme", ADA), async {
        harness.change_tenant("acme", state("suspended")).await;
        harness.user_token(&key, "acme", ADA).await.refuses(403, "tenant_suspended");
    })
    .await;
    assert_eq!(reply.token(), old);
    eventually("the renewal is answered", renewed).await;
    let sha256 = harness.issued(&of_ada()).await.pop().unwrap();
    eventually("the renewed token dies", async || harness.known_by_sha256(&sha256).await["live"] == false)
        .await;
    harness.change_tenant("acme", state("active")).await;
    let token = harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(harness.known_at_box(&token).await["live"], true);
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_suspended_app_takes_its_tenants_out_of_service() {
    let (harness, key) = shared().await;
    harness.token(&key, "north").await.token();
    let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "north", "10000003001"), async {
        harness.patch(&harness.admin, "/v1/apps/vendor", state("suspended")).await.is(200);
    })
    .await;
    reply.refuses(403, "tenant_suspended");
    harness.all_die_at_box("subject=user:10000003001").await;
    harness.token(&key, "north").await.refuses(403, "tenant_suspended");
    harness.end().await;
}

async fn shared() -> (Harness, String) {
    let harness = Harness::new().await;
    let app = json!({ "app": "vendor", "config": serde_json::from_str::<Value>(&harness.apps.portal.json).unwrap() });
    harness.post(&harness.admin, "/v1/apps", app).await.is(201);
    let north = json!({ "tenant": "north", "app": "vendor", "enterprise_id": NORTH });
    harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
    let key = harness.service("portal", any_token("north")).await;
    (harness, key)
}
