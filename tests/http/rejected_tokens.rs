//! Tokens that a caller says are dead.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness};
use crate::response::Reply;
use crate::token_requests::{acme, eventually, user};

const LOOKS: &str = "path=/2.0/users/me";

impl Harness {
    async fn report(&self, key: &str, id: &str, rejected: &str) -> Reply {
        let body = json!({ "subject": user(id), "rejected": rejected });
        self.post(key, "/v1/tenants/acme/token", body).await
    }

    /// Kills a token at Box, behind the broker's back.
    pub(crate) async fn kill(&self, token: &str) {
        let form = [
            ("client_id", self.apps.acme.client_id.as_str()),
            ("client_secret", self.apps.acme.client_secret.as_str()),
            ("token", token),
        ];
        let url = format!("{}/oauth2/revoke", self.sandbox.url());
        assert_eq!(self.http.post(url).form(&form).send().await.unwrap().status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_reports_of_one_dead_token_cost_one_look_and_one_mint() {
    let (harness, key) = acme().await;
    let dead = harness.user_token(&key, "acme", ADA).await.token();
    harness.kill(&dead).await;
    let (looks, mints) = (harness.count(LOOKS).await, harness.mints().await);
    let replies = join_all((0..100).map(|_| harness.report(&key, ADA, &dead))).await;
    let tokens: Vec<String> = replies.into_iter().map(Reply::token).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != dead));
    assert_eq!((harness.count(LOOKS).await, harness.mints().await), (looks + 1, mints + 1));
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), tokens[0]);
    // Whoever comes late with the dead one gets the new one.
    assert_eq!(harness.report(&key, ADA, &dead).await.token(), tokens[0]);
    assert_eq!((harness.count(LOOKS).await, harness.mints().await), (looks + 1, mints + 1));
    harness.end().await;
}

#[tokio::test]
async fn reports_of_living_and_of_unknown_tokens_cost_no_mint_and_few_looks() {
    let (harness, key) = acme().await;
    let living = harness.user_token(&key, "acme", ADA).await.token();
    let other = harness.user_token(&key, "acme", GRACE).await.token();
    let (looks, mints) = (harness.count(LOOKS).await, harness.mints().await);
    for _ in 0..10 {
        assert_eq!(harness.report(&key, ADA, &living).await.token(), living);
    }
    assert_eq!(harness.count(LOOKS).await, looks + 1, "what was seen alive is believed for a while");
    harness.clock.advance(Duration::from_secs(5));
    assert_eq!(harness.report(&key, ADA, &living).await.token(), living);
    assert_eq!(harness.count(LOOKS).await, looks + 2);
    for unknown in [other.as_str(), "made-up", ""] {
        assert_eq!(harness.report(&key, ADA, unknown).await.token(), living);
    }
    assert_eq!((harness.count(LOOKS).await, harness.mints().await), (looks + 2, mints));
    harness.end().await;
}

#[tokio::test]
async fn a_token_that_dies_again_at_once_is_not_replaced_for_a_while() {
    let (harness, key) = acme().await;
    let first = harness.user_token(&key, "acme", ADA).await.token();
    harness.kill(&first).await;
    let second = harness.report(&key, ADA, &first).await.token();
    harness.clock.advance(Duration::from_secs(10));
    harness.kill(&second).await;
    let mints = harness.mints().await;
    let refused = harness.report(&key, ADA, &second).await.refuses(503, "upstream_unavailable");
    assert_eq!((&refused["retry_after"], &refused["scope"]), (&json!(20), &json!("subject")));
    harness.clock.advance(Duration::from_secs(15));
    let refused = harness.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!((&refused["retry_after"], &refused["scope"]), (&json!(5), &json!("subject")));
    assert_eq!(harness.mints().await, mints);
    harness.user_token(&key, "acme", GRACE).await.token();
    harness.clock.advance(Duration::from_secs(5));
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_look_that_hangs_delays_nobody_else() {
    let (harness, key) = acme().await;
    let token = harness.user_token(&key, "acme", ADA).await.token();
    harness.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": { "hang": true } })).await;
    let before = harness.count(LOOKS).await;
    let others = async {
        eventually("the look is at Box", async || harness.count(LOOKS).await > before).await;
        assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), token);
        harness.user_token(&key, "acme", GRACE).await.token();
    };
    tokio::select! {
        () = others => {}
        reply = harness.report(&key, ADA, &token) => panic!("the others waited for {reply:?}"),
    }
    harness.end().await;
}

#[tokio::test]
async fn a_dead_downscoped_token_is_replaced_and_its_parent_only_where_that_is_dead_too() {
    let (harness, key) = acme().await;
    let body = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let child = harness.downscoped(&key, "acme", body.clone()).await.token();
    harness.kill(&child).await;
    let (mints, exchanges) = (harness.mints().await, harness.exchanges().await);
    let mut report = body;
    report["rejected"] = Value::from(child.as_str());
    let again = harness.downscoped(&key, "acme", report).await.token();
    assert_ne!(again, child);
    assert_eq!((harness.mints().await, harness.exchanges().await), (mints, exchanges + 1));
    harness.end().await;
}

#[tokio::test]
async fn r4_reports_while_box_does_not_answer_cost_one_look_a_second() {
    let (harness, key) = acme().await;
    let token = harness.user_token(&key, "acme", ADA).await.token();
    harness.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": { "status": 503 } })).await;
    for _ in 0..3 {
        let before = harness.count(LOOKS).await;
        for _ in 0..10 {
            let refused = harness.report(&key, ADA, &token).await.refuses(503, "upstream_unavailable");
            assert_eq!(refused["retry_after"], 1);
        }
        // One look, which is tried twice.
        assert_eq!(harness.count(LOOKS).await, before + 2);
        assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), token);
        harness.clock.advance(Duration::from_secs(1));
    }
    harness.heal().await;
    assert_eq!(harness.report(&key, ADA, &token).await.token(), token);
    harness.end().await;
}
