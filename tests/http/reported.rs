//! Tokens that a caller says are dead.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::asking::{acme, eventually, user};
use crate::ground::{ADA, GRACE, Ground};
use crate::reply::Reply;

const LOOKS: &str = "path=/2.0/users/me";

impl Ground {
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
    let (ground, key) = acme().await;
    let dead = ground.user_token(&key, "acme", ADA).await.token();
    ground.kill(&dead).await;
    let (looks, mints) = (ground.count(LOOKS).await, ground.mints().await);
    let replies = join_all((0..100).map(|_| ground.report(&key, ADA, &dead))).await;
    let tokens: Vec<String> = replies.into_iter().map(Reply::token).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0] && *token != dead));
    assert_eq!((ground.count(LOOKS).await, ground.mints().await), (looks + 1, mints + 1));
    assert_eq!(ground.user_token(&key, "acme", ADA).await.token(), tokens[0]);
    // Whoever comes late with the dead one gets the new one.
    assert_eq!(ground.report(&key, ADA, &dead).await.token(), tokens[0]);
    assert_eq!((ground.count(LOOKS).await, ground.mints().await), (looks + 1, mints + 1));
    ground.end().await;
}

#[tokio::test]
async fn reports_of_living_and_of_unknown_tokens_cost_no_mint_and_few_looks() {
    let (ground, key) = acme().await;
    let living = ground.user_token(&key, "acme", ADA).await.token();
    let other = ground.user_token(&key, "acme", GRACE).await.token();
    let (looks, mints) = (ground.count(LOOKS).await, ground.mints().await);
    for _ in 0..10 {
        assert_eq!(ground.report(&key, ADA, &living).await.token(), living);
    }
    assert_eq!(ground.count(LOOKS).await, looks + 1, "what was seen alive is believed for a while");
    ground.clock.advance(Duration::from_secs(5));
    assert_eq!(ground.report(&key, ADA, &living).await.token(), living);
    assert_eq!(ground.count(LOOKS).await, looks + 2);
    for unknown in [other.as_str(), "made-up", ""] {
        assert_eq!(ground.report(&key, ADA, unknown).await.token(), living);
    }
    assert_eq!((ground.count(LOOKS).await, ground.mints().await), (looks + 2, mints));
    ground.end().await;
}

#[tokio::test]
async fn a_token_that_dies_again_at_once_is_not_replaced_for_a_while() {
    let (ground, key) = acme().await;
    let first = ground.user_token(&key, "acme", ADA).await.token();
    ground.kill(&first).await;
    let second = ground.report(&key, ADA, &first).await.token();
    ground.clock.advance(Duration::from_secs(10));
    ground.kill(&second).await;
    let mints = ground.mints().await;
    let refused = ground.report(&key, ADA, &second).await.refuses(503, "upstream_unavailable");
    assert_eq!((&refused["retry_after"], &refused["scope"]), (&json!(20), &json!("subject")));
    ground.clock.advance(Duration::from_secs(15));
    let refused = ground.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable");
    assert_eq!((&refused["retry_after"], &refused["scope"]), (&json!(5), &json!("subject")));
    assert_eq!(ground.mints().await, mints);
    ground.user_token(&key, "acme", GRACE).await.token();
    ground.clock.advance(Duration::from_secs(5));
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn a_look_that_hangs_delays_nobody_else() {
    let (ground, key) = acme().await;
    let token = ground.user_token(&key, "acme", ADA).await.token();
    ground.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": { "hang": true } })).await;
    let before = ground.count(LOOKS).await;
    let others = async {
        eventually("the look is at Box", async || ground.count(LOOKS).await > before).await;
        assert_eq!(ground.user_token(&key, "acme", ADA).await.token(), token);
        ground.user_token(&key, "acme", GRACE).await.token();
    };
    tokio::select! {
        () = others => {}
        reply = ground.report(&key, ADA, &token) => panic!("the others waited for {reply:?}"),
    }
    ground.end().await;
}

#[tokio::test]
async fn a_dead_downscoped_token_is_replaced_and_its_parent_only_where_that_is_dead_too() {
    let (ground, key) = acme().await;
    let body = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    let child = ground.downscoped(&key, "acme", body.clone()).await.token();
    ground.kill(&child).await;
    let (mints, exchanges) = (ground.mints().await, ground.exchanges().await);
    let mut report = body;
    report["rejected"] = Value::from(child.as_str());
    let again = ground.downscoped(&key, "acme", report).await.token();
    assert_ne!(again, child);
    assert_eq!((ground.mints().await, ground.exchanges().await), (mints, exchanges + 1));
    ground.end().await;
}

#[tokio::test]
async fn r4_reports_while_box_does_not_answer_cost_one_look_a_second() {
    let (ground, key) = acme().await;
    let token = ground.user_token(&key, "acme", ADA).await.token();
    ground.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": { "status": 503 } })).await;
    for _ in 0..3 {
        let before = ground.count(LOOKS).await;
        for _ in 0..10 {
            let refused = ground.report(&key, ADA, &token).await.refuses(503, "upstream_unavailable");
            assert_eq!(refused["retry_after"], 1);
        }
        // One look, which is tried twice.
        assert_eq!(ground.count(LOOKS).await, before + 2);
        assert_eq!(ground.user_token(&key, "acme", ADA).await.token(), token);
        ground.clock.advance(Duration::from_secs(1));
    }
    ground.heal().await;
    assert_eq!(ground.report(&key, ADA, &token).await.token(), token);
    ground.end().await;
}
