//! Revocations by SDKs that tidy up: nobody else's token dies of one.

use serde_json::{Value, json};

use crate::harness::{ADA, Harness};
use crate::oauth_clients::credentials;
use crate::response::Reply;
use crate::revoke::may_revoke;
use crate::token_requests::{acme, any_token, events};

impl Harness {
    async fn oauth_revoke(&self, key: Option<(&str, Option<&str>)>, token: &str) -> Reply {
        let mut form = key.map(|(key, tenant)| credentials(key, tenant)).unwrap_or_default();
        form.push(("token", token.to_owned()));
        self.form("revoke", &form).await
    }

    /// True where the audit tells of a revocation by this caller that ended so, and why.
    async fn tells_of(&self, who: Value, outcome: &str, reason: Value) -> bool {
        self.broker().write_counts().await;
        events(self, "token.revoke").await.iter().any(|record| {
            record["actor"]["caller"]["name"] == who
                && record["outcome"] == outcome
                && record["reason"] == reason
        })
    }
}

#[tokio::test]
async fn a_client_that_may_not_revoke_is_answered_and_nothing_dies() {
    let (harness, key) = acme().await;
    let token = harness.ccg(&key, None, &[]).await.token();
    let revocations = harness.count("path=/oauth2/revoke").await;
    assert_eq!(harness.oauth_revoke(Some((&key, None)), &token).await.is(200), json!({}));
    assert!(harness.tells_of(json!("portal"), "refused", json!("grant.permission")).await);
    assert_eq!(harness.oauth_revoke(None, &token).await.is(200), json!({}));
    assert!(harness.tells_of(Value::Null, "refused", json!("unauthenticated")).await);
    assert!(harness.lives(&token).await);
    assert_eq!(harness.count("path=/oauth2/revoke").await, revocations);
    assert_eq!(harness.ccg(&key, None, &[]).await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn a_client_that_may_ends_the_token_and_what_was_made_from_it() {
    let (harness, other) = acme().await;
    let key = harness.service("revoker", may_revoke("acme")).await;
    let of_enterprise = json!([{ "tenant": "acme", "permissions": ["tokens:mint", "tokens:revoke"] }]);
    let of_enterprise = harness.service("enterprise", of_enterprise).await;
    let token =
        harness.ccg(&other, None, &[("box_subject_type", "user"), ("box_subject_id", ADA)]).await.token();
    let child = harness.exchanged(&token, "item_preview", &[]).await.token();
    harness.oauth_revoke(Some((&of_enterprise, None)), &token).await.is(200);
    assert!(harness.lives(&token).await, "of users it may not");
    assert_eq!(harness.oauth_revoke(Some((&key, Some("acme"))), &token).await.is(200), json!({}));
    assert!(!harness.lives(&token).await && !harness.lives(&child).await);
    assert!(harness.tells_of(json!("revoker"), "done", Value::Null).await);
    // What is dead, or never lived, is no error.
    for dead in [token.as_str(), "made-up"] {
        harness.oauth_revoke(Some((&key, None)), dead).await.is(200);
    }
    harness.end().await;
}

#[tokio::test]
async fn a_foreign_clients_revocation_reaches_nothing_and_a_strangers_is_refused() {
    let (harness, key) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let foreign = harness.service("foreign", may_revoke("globex")).await;
    let token = harness.ccg(&key, None, &[]).await.token();
    harness.oauth_revoke(Some((&foreign, None)), &token).await.is(200);
    for tenant in ["acme", "nobody"] {
        assert_eq!(harness.oauth_revoke(Some((&foreign, Some(tenant))), &token).await.is(200), json!({}));
    }
    assert!(harness.tells_of(json!("foreign"), "refused", json!("not_found")).await);
    let made_up = format!("{}x", &key[..key.len() - 1]);
    let form = [("client_id", "btb_x".to_owned()), ("client_secret", made_up), ("token", token.clone())];
    harness.form("revoke", &form).await.refuses_as_box(400, "invalid_client");
    harness.form("revoke", &credentials(&key, None)).await.refuses_as_box(400, "invalid_request");
    assert!(harness.lives(&token).await);
    // Whoever shows nothing is counted by address.
    let mut answered = 0;
    while harness.oauth_revoke(None, &token).await.status == 200 {
        answered += 1;
        assert!(answered <= 50);
    }
    harness.oauth_revoke(None, &token).await.refuses_as_box(429, "rate_limit_exceeded");
    assert!(harness.lives(&token).await);
    harness.end().await;
}

#[tokio::test]
async fn a_client_whose_grants_were_taken_away_tidies_up_all_the_same() {
    let (harness, key) = acme().await;
    let revoker = harness.service("revoker", may_revoke("acme")).await;
    let token = harness.ccg(&key, None, &[]).await.token();
    harness.patch(&harness.admin, "/v1/callers/revoker", json!({ "grants": [] })).await.is(200);
    for tenant in [None, Some("acme")] {
        assert_eq!(harness.oauth_revoke(Some((&revoker, tenant)), &token).await.is(200), json!({}));
    }
    assert!(harness.lives(&token).await);
    harness.broker().write_counts().await;
    let records = events(&harness, "token.revoke").await;
    assert!(!records.is_empty());
    for record in records {
        assert_eq!((&record["reason"], &record["tenant"]), (&json!("not_found"), &Value::Null), "{record}");
        assert_eq!(record["actor"]["caller"]["name"], "revoker", "{record}");
    }
    harness.post(&harness.admin, "/v1/callers/revoker/lockdown", json!({})).await.is(200);
    let locked = harness.oauth_revoke(Some((&revoker, Some("acme"))), &token).await;
    locked.refuses_as_box(400, "invalid_client");
    harness.end().await;
}

#[tokio::test]
async fn where_box_does_not_answer_a_revocation_is_tried_again() {
    let (harness, _) = acme().await;
    let key = harness.service("revoker", may_revoke("acme")).await;
    harness.service("other", any_token("acme")).await;
    let token = harness.ccg(&key, None, &[]).await.token();
    harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
    harness.oauth_revoke(Some((&key, None)), &token).await.refuses_as_box(503, "temporarily_unavailable");
    harness.heal().await;
    harness.oauth_revoke(Some((&key, None)), &token).await.is(200);
    assert!(!harness.lives(&token).await);
    harness.end().await;
}
