//! How far a token reaches in the hands of somebody who shows nothing else, and what that costs.

use std::time::Duration;

use serde_json::json;

use crate::asking::acme;
use crate::exchange::given;
use crate::identity_scene::Scene;
use crate::oauth_asking::{credentials, exchange};

#[tokio::test]
async fn a_dead_child_that_is_asked_for_again_is_replaced_whoever_exchanges() {
    let (ground, _) = acme().await;
    let (key, full) = given(&ground, "sdk").await;
    let looks = async || ground.count("path=/2.0/users/me").await;
    let before = looks().await;
    let child = ground.exchanged(&full, "item_preview", &[]).await.token();
    ground.clock.advance(Duration::from_secs(60));
    // While it lives it costs a look in five seconds, and nothing is made anew.
    let exchanges = ground.exchanges().await;
    for _ in 0..3 {
        assert_eq!(ground.exchanged(&full, "item_preview", &[]).await.token(), child);
    }
    assert_eq!((looks().await, ground.exchanges().await), (before + 1, exchanges));
    ground.clock.advance(Duration::from_secs(60));
    ground.kill(&child).await;
    let second = ground.exchanged_by(&key, None, &full).await.token();
    assert_ne!(second, child);
    assert_eq!(ground.exchanged(&full, "item_preview", &[]).await.token(), second);
    assert_eq!((looks().await, ground.exchanges().await), (before + 2, exchanges + 1));
    // One that nobody had by an exchange is not doubted.
    let asked = json!({ "scopes": ["item_download"] });
    let other = ground.downscoped(&key, "acme", asked).await.token();
    ground.clock.advance(Duration::from_secs(60));
    assert_eq!(ground.exchanged(&full, "item_download", &[]).await.token(), other);
    assert_eq!(looks().await, before + 2);
    ground.end().await;
}

#[tokio::test]
async fn whoever_only_shows_a_token_spends_nothing_of_those_who_were_given_it() {
    let (ground, _) = acme().await;
    let (key, full) = given(&ground, "one").await;
    let (other, same) = given(&ground, "two").await;
    assert_eq!(full, same);
    let limit = json!({ "rate_limit": { "per_second": 2 } });
    ground.patch(&ground.admin, "/v1/callers/one", limit.clone()).await.is(200);
    ground.patch(&ground.admin, "/v1/callers/two", limit).await.is(200);
    let mut served = 0;
    while ground.exchanged(&full, "item_preview", &[]).await.status == 200 {
        served += 1;
        assert!(served <= 4, "as often as both may ask");
    }
    assert_eq!(served, 4);
    ground.ccg(&key, None, &[]).await.token();
    ground.exchanged_by(&key, None, &full).await.token();
    ground.ccg(&other, None, &[]).await.token();
    // The tenant's limit counts, whoever asks.
    ground.clock.advance(Duration::from_secs(1));
    ground.change_tenant("acme", json!({ "policy": { "rate_limit": { "per_second": 1 } } })).await;
    ground.exchanged(&full, "item_preview", &[]).await.token();
    ground.exchanged(&full, "item_preview", &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    ground.ccg(&key, None, &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    ground.end().await;
}

#[tokio::test]
async fn looking_for_tokens_that_are_none_is_limited_by_address() {
    let (ground, _) = acme().await;
    let (_, full) = given(&ground, "sdk").await;
    let mut refused = 0;
    while ground.exchanged("made-up", "item_preview", &[]).await.status == 400 {
        refused += 1;
        assert!(refused <= 50);
    }
    ground.exchanged("made-up", "item_preview", &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    // A token that is known is its own proof.
    ground.exchanged(&full, "item_preview", &[]).await.token();
    let limit = json!({ "rate_limit": { "per_second": 1 } });
    ground.patch(&ground.admin, "/v1/callers/sdk", limit).await.is(200);
    ground.exchanged(&full, "item_preview", &[]).await.token();
    ground.exchanged(&full, "item_preview", &[]).await.refuses_as_box(429, "rate_limit_exceeded");
    ground.end().await;
}

#[tokio::test]
async fn a_token_alone_is_worth_nothing_that_reaches_as_far_as_a_full_one() {
    let (ground, _) = acme().await;
    let (key, full) = given(&ground, "sdk").await;
    let exchanges = ground.exchanges().await;
    for scope in ["root_readwrite", "item_preview root_readwrite", "root_readonly", "manage_users"] {
        ground.exchanged(&full, scope, &[]).await.refuses_as_box(400, "invalid_scope");
    }
    assert_eq!(ground.exchanges().await, exchanges);
    let by_client = [exchange(&full, "root_readwrite"), credentials(&key, None)].concat();
    ground.form("token", &by_client).await.token();
    ground.end().await;
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
    scene.ground.broker().write_counts().await;
    let rows = scene.ground.hand().reads("SELECT token_id FROM given").await.len();
    assert!((40..=52).contains(&rows), "a quarter of a MiB of a token: {rows}");
    // Whoever came too late has its token, and others were given it who can exchange it.
    let late = scene.ask(&scene.token(json!({ "sub": subject(59) }))).await.token();
    scene.ground.exchanged(&late, "item_preview", &[]).await.token();
    scene.ground.end().await;
}
