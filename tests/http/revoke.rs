//! Tokens revoked because somebody asked for it.

use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness};
use crate::response::Reply;
use crate::token_requests::{acme, any_token, eventually, meanwhile, user};

impl Harness {
    async fn revoke(&self, key: &str, tenant: &str, body: Value) -> Reply {
        self.post(key, &format!("/v1/tenants/{tenant}/token/revoke"), body).await
    }

    pub(crate) async fn lives(&self, token: &str) -> bool {
        self.known_at_box(token).await["live"] == true
    }
}

pub(crate) fn may_revoke(tenant: &str) -> Value {
    json!([{ "tenant": tenant, "permissions": ["tokens:mint", "tokens:revoke"], "subjects": ["enterprise", "user:*"] }])
}

#[tokio::test]
async fn a_full_token_ends_with_what_was_made_from_it_and_nothing_else_does() {
    let (harness, _) = acme().await;
    let key = harness.service("revoker", may_revoke("acme")).await;
    let narrow = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let full = harness.user_token(&key, "acme", ADA).await.token();
    let child = harness.downscoped(&key, "acme", narrow.clone()).await.token();
    let others =
        [harness.token(&key, "acme").await.token(), harness.user_token(&key, "acme", GRACE).await.token()];

    harness.revoke(&key, "acme", json!({ "access_token": full })).await.is(204);
    assert!(!harness.lives(&full).await && !harness.lives(&child).await);
    for other in &others {
        assert!(harness.lives(other).await);
    }
    assert_ne!(harness.user_token(&key, "acme", ADA).await.token(), full);
    assert_ne!(harness.downscoped(&key, "acme", narrow).await.token(), child);
    // Again, and of what never was: no error, and nothing happens.
    for token in [full.as_str(), "made-up"] {
        harness.revoke(&key, "acme", json!({ "access_token": token })).await.is(204);
    }
    assert!(harness.lives(&others[0]).await);
    harness.end().await;
}

#[tokio::test]
async fn a_restricted_token_ends_alone_and_a_subject_with_all_it_has() {
    let (mut harness, _) = acme().await;
    let key = harness.service("revoker", may_revoke("acme")).await;
    let narrow = |scope: &str| json!({ "subject": user(ADA), "scopes": [scope] });
    let full = harness.user_token(&key, "acme", ADA).await.token();
    let one = harness.downscoped(&key, "acme", narrow("item_preview")).await.token();
    let two = harness.downscoped(&key, "acme", narrow("item_download")).await.token();
    harness.revoke(&key, "acme", json!({ "access_token": one })).await.is(204);
    assert!(!harness.lives(&one).await && harness.lives(&two).await && harness.lives(&full).await);
    let service_account = harness.token(&key, "acme").await.token();
    // After a restart too: the store knows them all.
    harness.restart().await;
    harness.revoke(&key, "acme", json!({ "subject": user(ADA) })).await.is(204);
    assert!(
        !harness.lives(&two).await && !harness.lives(&full).await && harness.lives(&service_account).await
    );
    harness.end().await;
}

#[tokio::test]
async fn revoking_is_for_those_who_may_and_for_their_own_tenants_and_subjects() {
    let (harness, minter) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let globex = harness.service("globexs", may_revoke("globex")).await;
    let narrow = json!([{ "tenant": "acme", "permissions": ["tokens:revoke"], "subjects": [format!("user:{GRACE}")] }]);
    let graces = harness.service("graces", narrow).await;
    let token = harness.user_token(&minter, "acme", ADA).await.token();
    let body = json!({ "access_token": token });
    harness.revoke(&minter, "acme", body.clone()).await.refuses(403, "forbidden");
    harness.revoke(&globex, "acme", body.clone()).await.refuses(404, "not_found");
    harness.revoke(&graces, "acme", body.clone()).await.refuses(403, "forbidden");
    harness.revoke(&graces, "acme", json!({ "subject": user(ADA) })).await.refuses(403, "forbidden");
    // To another tenant the token is none.
    harness.revoke(&globex, "globex", body).await.is(204);
    for wrong in [json!({}), json!({ "access_token": "x", "subject": user(ADA) }), json!({ "token": "x" })] {
        harness.revoke(&graces, "acme", wrong).await.refuses(422, "invalid");
    }
    assert!(harness.lives(&token).await);
    harness.end().await;
}

#[tokio::test]
async fn where_box_does_not_answer_the_token_is_known_until_it_is_revoked() {
    let (harness, _) = acme().await;
    let key = harness.service("revoker", may_revoke("acme")).await;
    let other = harness.service("other", any_token("acme")).await;
    let token = harness.user_token(&key, "acme", ADA).await.token();
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.revoke(&key, "acme", json!({ "access_token": token })).await.refuses(503, "upstream_unavailable");
    assert_eq!(harness.user_token(&other, "acme", ADA).await.token(), token);
    harness.heal().await;
    harness.revoke(&key, "acme", json!({ "access_token": token })).await.is(204);
    assert!(!harness.lives(&token).await);
    assert_ne!(harness.user_token(&other, "acme", ADA).await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn what_was_under_way_when_a_subject_was_revoked_ends_too() {
    let (harness, _) = acme().await;
    let key = harness.service("revoker", may_revoke("acme")).await;
    let (mints, revoked) = (harness.mints().await, harness.count("path=/oauth2/revoke").await);
    let ask = harness.user_token(&key, "acme", ADA);
    let revoke = async { drop(harness.revoke(&key, "acme", json!({ "subject": user(ADA) })).await.is(204)) };
    let token = meanwhile(&harness, "jwt-bearer", ask, revoke).await.token();
    assert_eq!(harness.mints().await, mints + 2);
    assert!(harness.lives(&token).await);
    eventually("the first is dead", async || harness.count("path=/oauth2/revoke").await == revoked + 1).await;
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), token);
    harness.end().await;
}
