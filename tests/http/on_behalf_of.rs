//! For whom a caller says that it asks: recorded as it is claimed, and required where the policy says so.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness};
use crate::token_requests::{acme, events, user};

async fn last_claim(harness: &Harness, action: &str) -> Value {
    let last = events(harness, action).await.pop().unwrap()["on_behalf_of"].take();
    // What comes next is later: records of one moment have no order.
    harness.clock.advance(Duration::from_secs(1));
    last
}

#[tokio::test]
async fn it_stands_in_the_event_of_the_mint_and_leads_to_no_other_token() {
    let (harness, key) = acme().await;
    let path = "/v1/tenants/acme/token";
    let ask = async |name: &str| {
        let body = json!({ "subject": user(ADA), "on_behalf_of": name });
        harness.post(&key, path, body).await.token()
    };
    let token = ask("Ada Lovelace <ada@example.com>").await;
    assert_eq!(last_claim(&harness, "token.mint").await, "Ada Lovelace <ada@example.com>");
    let mints = harness.mints().await;
    assert_eq!(ask("somebody else").await, token);
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), token);
    assert_eq!(harness.mints().await, mints);

    let child = async |name: Value| {
        let body = json!({ "subject": user(ADA), "scopes": ["item_preview"], "on_behalf_of": name });
        harness.downscoped(&key, "acme", body).await.token()
    };
    let made = child(json!("job 7")).await;
    assert_eq!(last_claim(&harness, "token.downscope").await, "job 7");
    assert_eq!(child(json!("job 8")).await, made);
    assert_eq!(child(Value::Null).await, made);
    // Who claims nothing is recorded with nothing.
    harness.user_token(&key, "acme", GRACE).await.token();
    assert_eq!(last_claim(&harness, "token.mint").await, Value::Null);
    harness.end().await;
}

#[tokio::test]
async fn it_is_a_short_text_that_people_can_read() {
    let (harness, key) = acme().await;
    let paths = [("token", json!({})), ("token/downscoped", json!({ "scopes": ["item_preview"] }))];
    for (rest, body) in paths {
        let ask = async |name: Value| {
            let mut body = body.clone();
            body["on_behalf_of"] = name;
            harness.post(&key, &format!("/v1/tenants/acme/{rest}"), body).await
        };
        for good in ["a".repeat(128), "\u{fc}".repeat(128), "a b".to_owned()] {
            ask(json!(good)).await.token();
        }
        for bad in [
            json!(""),
            json!("a".repeat(129)),
            json!("a\nb"),
            json!("a\u{0}"),
            json!("a\u{202e}b"),
            json!(7),
            json!({}),
        ] {
            let told = ask(bad.clone()).await.refuses(422, "invalid");
            assert_eq!(told["errors"][0]["pointer"], "/on_behalf_of", "{bad}");
        }
    }
    harness.end().await;
}

#[tokio::test]
async fn where_the_policy_requires_it_nothing_leaves_without_and_the_rule_is_not_told() {
    let (harness, key) = acme().await;
    let child = json!({ "scopes": ["item_preview"] });
    harness.token(&key, "acme").await.token();
    harness.downscoped(&key, "acme", child.clone()).await.token();
    harness.change_tenant("acme", json!({ "policy": { "require_on_behalf_of": true } })).await;
    let refused = harness.token(&key, "acme").await.refuses(403, "forbidden");
    assert!(!refused.to_string().contains("behalf"), "{refused}");
    harness.downscoped(&key, "acme", child.clone()).await.refuses(403, "forbidden");
    let named = |mut body: Value| {
        body["on_behalf_of"] = json!("ada");
        body
    };
    harness.post(&key, "/v1/tenants/acme/token", named(json!({}))).await.token();
    harness.downscoped(&key, "acme", named(child)).await.token();
    harness.end().await;
}
