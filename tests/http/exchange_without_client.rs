//! How far a token reaches in the hands of somebody who shows nothing else, and what that costs.

use std::time::Duration;

use serde_json::json;

use crate::exchange::given;
use crate::issuer_fixture::Scene;
use crate::oauth_clients::{credentials, exchange};
use crate::token_requests::acme;

#[tokio::test]
async fn a_dead_child_that_is_asked_for_again_is_replaced_whoever_exchanges() {
    let (harness, _) = acme().await;
    let (key, full) = given(&harness, "sdk").await;
    let looks = async || harness.count("path=/2.0/users/me").await;
    let before = looks().await;
    let child = harness.exchanged(&full, "item_preview", &[]).await.token();
    harness.clock.advance(Duration::from_secs(60));
    // While it lives it costs a look in five seconds, and nothing is made anew.
    let exchanges = harness.exchanges().await;
    for _ in 0..3 {
        assert_eq!(harness.exchanged(&full, "item_preview", &[]).await.token(), child);
    }
    assert_eq!((looks().await, harness.exchanges().await), (before + 1, exchanges));
    harness.clock.advance(Duration::from_secs(60));
    harness.kill(&child).await;
    let second = harness.exchanged_by(&key, None, &full).await.token();
    assert_ne!(second, child);
    assert_eq!(harness.exchanged(&full, "item_preview", &[]).await.token(), second);
    assert_eq!((looks().await, harness.exchanges().await), (before + 2, exchanges + 1));
    // One that nobody had by an exchange is not doubted.
    let asked = json!({ "scopes": ["item_download"] });
    let other = harness.downscoped(&key, "acme", asked).await.token();
    harness.clock.advance(Duration::from_secs(60));
    assert_eq!(harness.exchanged(&full, "item_download", &[]).await.token(), other);
    assert_eq!(looks().await, before + 2);
    harness.end().await;
}

#[tokio::test]
async fn whoever_only_shows_a_token_spends_nothing_of_those_who_were_given_it() {
    let (harness, _) = acme().await;
    let (key, full) = given(&harness, "one").await;
    let (other, same) = given(&harness, "two").await;
    assert_eq!(full, same);
    let limit = json!({ "rate_limit": { "per_second": 2 } });
    harness.patch(&harness.admin, "/v1/callers/one", limit.clone()).await.is(200);
    harness.patch(&harness.admin, "/v1/callers/two", limit).await.is(200);
    let mut served = 0;
    while harness.exchanged(&full, "item_preview", &[]).await.status == 200 {
        served += 1;
        assert!(served <= 4, "as often as both may ask");
    }
    assert_eq!(served, 4);
    harness.ccg(&key, None, &[]).await.token();
    harness.exchanged_by(&key, None, &full).await.token();
    harness.ccg(&other, None, &[]).await.token();
    // The tenant's limit counts, whoever asks.
    harness.clock.advance(Duration::from_secs(1));
    harness.change_tenant("acme", json!({ "policy": { "rate_limit": { "per_second": 1 } } })).await;
    harness.exchanged(&full, "item_preview", &[]).await.token();
    harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    harness.ccg(&key, None, &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    harness.end().await;
}

#[tokio::test]
async fn looking_for_tokens_that_are_none_is_limited_by_address() {
    let (harness, _) = acme().await;
    let (_, full) = given(&harness, "sdk").await;
    let mut refused = 0;
    while harness.exchanged("made-up", "item_preview", &[]).await.status == 400 {
        refused += 1;
        assert!(refused <= 50);
    }
    harness.exchanged("made-up", "item_preview", &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    // A token that is known is its own proof.
    harness.exchanged(&full, "item_preview", &[]).await.token();
    let limit = json!({ "rate_limit": { "per_second": 1 } });
    harness.patch(&harness.admin, "/v1/callers/sdk", limit).await.is(200);
    harness.exchanged(&full, "item_preview", &[]).await.token();
    harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    harness.end().await;
}

#[tokio::test]
async fn a_token_alone_is_worth_nothing_that_reaches_as_far_as_a_full_one() {
    let (harness, _) = acme().await;
    let (key, full) = given(&harness, "sdk").await;
    let exchanges = harness.exchanges().await;
    for scope in ["root_readwrite", "item_preview root_readwrite", "root_readonly", "manage_users"] {
        harness.exchanged(&full, scope, &[]).await.refuses_as_box(400, "invalid_scope");
    }
    assert_eq!(harness.exchanges().await, exchanges);
    let by_client = [exchange(&full, "root_readwrite"), credentials(&key, None)].concat();
    harness.form("token", &by_client).await.token();
    harness.end().await;
}

#[tokio::test]
async fn the_memory_of_who_was_given_a_token_is_bounded_in_bytes() {
    let scene = Scene::new().await;
    scene.trust("job", json!({ "subject": "long:*" })).await.is(201);
    let subject = |number: usize| format!("long:{number}-{}", "x".repeat(5000));
    for number in 0..60 {
        let token = scene.token(json!({ "sub": subject(number), "jti": format!("t-{number}") }));
        scene.ask(&token).await.token();
    }
    scene.harness.broker().write_counts().await;
    let rows = scene.harness.hand().reads("SELECT token_id FROM given").await.len();
    assert!((40..=52).contains(&rows), "a quarter of a MiB of a token: {rows}");
    // Whoever came too late has its token, and others were given it who can exchange it.
    let late = scene.ask(&scene.token(json!({ "sub": subject(59) }))).await.token();
    scene.harness.exchanged(&late, "item_preview", &[]).await.token();
    scene.harness.end().await;
}
