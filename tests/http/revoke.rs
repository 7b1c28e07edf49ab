//! Tokens revoked because somebody asked for it.

use serde_json::{Value, json};

use crate::asking::{acme, any_token, eventually, meanwhile, user};
use crate::ground::{ADA, GRACE, Ground};
use crate::reply::Reply;

impl Ground {
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
    let (ground, _) = acme().await;
    let key = ground.service("revoker", may_revoke("acme")).await;
    let narrow = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let full = ground.user_token(&key, "acme", ADA).await.token();
    let child = ground.downscoped(&key, "acme", narrow.clone()).await.token();
    let others =
        [ground.token(&key, "acme").await.token(), ground.user_token(&key, "acme", GRACE).await.token()];

    ground.revoke(&key, "acme", json!({ "access_token": full })).await.is(204);
    assert!(!ground.lives(&full).await && !ground.lives(&child).await);
    for other in &others {
        assert!(ground.lives(other).await);
    }
    assert_ne!(ground.user_token(&key, "acme", ADA).await.token(), full);
    assert_ne!(ground.downscoped(&key, "acme", narrow).await.token(), child);
    // Again, and of what never was: no error, and nothing happens.
    for token in [full.as_str(), "made-up"] {
        ground.revoke(&key, "acme", json!({ "access_token": token })).await.is(204);
    }
    assert!(ground.lives(&others[0]).await);
    ground.end().await;
}

#[tokio::test]
async fn a_restricted_token_ends_alone_and_a_subject_with_all_it_has() {
    let (mut ground, _) = acme().await;
    let key = ground.service("revoker", may_revoke("acme")).await;
    let narrow = |scope: &str| json!({ "subject": user(ADA), "scopes": [scope] });
    let full = ground.user_token(&key, "acme", ADA).await.token();
    let one = ground.downscoped(&key, "acme", narrow("item_preview")).await.token();
    let two = ground.downscoped(&key, "acme", narrow("item_download")).await.token();
    ground.revoke(&key, "acme", json!({ "access_token": one })).await.is(204);
    assert!(!ground.lives(&one).await && ground.lives(&two).await && ground.lives(&full).await);
    let service_account = ground.token(&key, "acme").await.token();
    // After a restart too: the store knows them all.
    ground.restart().await;
    ground.revoke(&key, "acme", json!({ "subject": user(ADA) })).await.is(204);
    assert!(!ground.lives(&two).await && !ground.lives(&full).await && ground.lives(&service_account).await);
    ground.end().await;
}

#[tokio::test]
async fn revoking_is_for_those_who_may_and_for_their_own_tenants_and_subjects() {
    let (ground, minter) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    let globex = ground.service("globexs", may_revoke("globex")).await;
    let narrow = json!([{ "tenant": "acme", "permissions": ["tokens:revoke"], "subjects": [format!("user:{GRACE}")] }]);
    let graces = ground.service("graces", narrow).await;
    let token = ground.user_token(&minter, "acme", ADA).await.token();
    let body = json!({ "access_token": token });
    ground.revoke(&minter, "acme", body.clone()).await.refuses(403, "forbidden");
    ground.revoke(&globex, "acme", body.clone()).await.refuses(404, "not_found");
    ground.revoke(&graces, "acme", body.clone()).await.refuses(403, "forbidden");
    ground.revoke(&graces, "acme", json!({ "subject": user(ADA) })).await.refuses(403, "forbidden");
    // To another tenant the token is none.
    ground.revoke(&globex, "globex", body).await.is(204);
    for wrong in [json!({}), json!({ "access_token": "x", "subject": user(ADA) }), json!({ "token": "x" })] {
        ground.revoke(&graces, "acme", wrong).await.refuses(422, "invalid");
    }
    assert!(ground.lives(&token).await);
    ground.end().await;
}

#[tokio::test]
async fn where_box_does_not_answer_the_token_is_known_until_it_is_revoked() {
    let (ground, _) = acme().await;
    let key = ground.service("revoker", may_revoke("acme")).await;
    let other = ground.service("other", any_token("acme")).await;
    let token = ground.user_token(&key, "acme", ADA).await.token();
    ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    ground.revoke(&key, "acme", json!({ "access_token": token })).await.refuses(503, "upstream_unavailable");
    assert_eq!(ground.user_token(&other, "acme", ADA).await.token(), token);
    ground.heal().await;
    ground.revoke(&key, "acme", json!({ "access_token": token })).await.is(204);
    assert!(!ground.lives(&token).await);
    assert_ne!(ground.user_token(&other, "acme", ADA).await.token(), token);
    ground.end().await;
}

#[tokio::test]
async fn what_was_under_way_when_a_subject_was_revoked_ends_too() {
    let (ground, _) = acme().await;
    let key = ground.service("revoker", may_revoke("acme")).await;
    let (mints, revoked) = (ground.mints().await, ground.count("path=/oauth2/revoke").await);
    let ask = ground.user_token(&key, "acme", ADA);
    let revoke = async { drop(ground.revoke(&key, "acme", json!({ "subject": user(ADA) })).await.is(204)) };
    let token = meanwhile(&ground, "jwt-bearer", ask, revoke).await.token();
    assert_eq!(ground.mints().await, mints + 2);
    assert!(ground.lives(&token).await);
    eventually("the first is dead", async || ground.count("path=/oauth2/revoke").await == revoked + 1).await;
    assert_eq!(ground.user_token(&key, "acme", ADA).await.token(), token);
    ground.end().await;
}
