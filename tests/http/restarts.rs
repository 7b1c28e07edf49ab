//! A broker that restarts finds its warm tokens in the store.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::asking::{acme, user};
use crate::ground::{ADA, FILE, FOLDER, GRACE};

#[tokio::test]
async fn tokens_come_back_from_the_store_without_a_mint() {
    let (mut ground, key) = acme().await;
    let on_file =
        json!({ "scopes": ["item_preview", "item_download"], "resource": { "type": "file", "id": FILE } });
    let by_ada =
        json!({ "subject": user(ADA), "preset": "explorer", "resource": { "type": "folder", "id": FOLDER } });
    let bodies = async |ground: &crate::ground::Ground| {
        [
            ground.token(&key, "acme").await.ok(),
            ground.user_token(&key, "acme", ADA).await.ok(),
            ground.downscoped(&key, "acme", on_file.clone()).await.ok(),
            ground.downscoped(&key, "acme", by_ada.clone()).await.ok(),
        ]
    };
    let before = bodies(&ground).await;
    let (mints, exchanges) = (ground.mints().await, ground.exchanges().await);
    ground.clock.advance(Duration::from_secs(100));
    ground.restart().await;
    for (before, after) in before.into_iter().zip(bodies(&ground).await) {
        assert_eq!(after["access_token"], before["access_token"]);
        assert_eq!(after["restricted_to"], before["restricted_to"]);
        assert_eq!(after["expires_at"], before["expires_at"]);
        assert_eq!(after["expires_in"], before["expires_in"].as_u64().unwrap() - 100);
    }
    assert_eq!((ground.mints().await, ground.exchanges().await), (mints, exchanges));
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_waits_for_a_restart_is_served_at_once() {
    let (mut ground, key) = acme().await;
    let before = ground.user_token(&key, "acme", ADA).await.token();
    ground.restart().await;
    let replies = join_all((0..1000).map(|_| ground.user_token(&key, "acme", ADA))).await;
    for reply in replies {
        assert_eq!(reply.token(), before);
    }
    ground.end().await;
}

#[tokio::test]
async fn invariant_1_a_token_from_the_store_is_kept_from_those_who_may_not_have_it() {
    let (mut ground, key) = acme().await;
    ground.user_token(&key, "acme", ADA).await.token();
    let narrow =
        json!([{ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": [format!("user:{GRACE}")] }]);
    let narrow = ground.service("narrow", narrow).await;
    ground.restart().await;
    ground.user_token(&narrow, "acme", ADA).await.refuses(403, "forbidden");
    ground.end().await;
}

#[tokio::test]
async fn invariant_3_a_token_that_expired_while_the_broker_was_away_does_not_come_back() {
    let (mut ground, key) = acme().await;
    let narrow = json!({ "scopes": ["item_preview"] });
    let full = ground.token(&key, "acme").await.token();
    let child = ground.downscoped(&key, "acme", narrow.clone()).await.token();
    ground.stop().await;
    // The full one has 300 s left, its floor; the downscoped one 875 s.
    ground.clock.advance(Duration::from_secs(3300));
    ground.start().await;
    let body = ground.token(&key, "acme").await.ok();
    assert_ne!(body["access_token"], full);
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(ground.downscoped(&key, "acme", narrow.clone()).await.token(), child);

    ground.stop().await;
    ground.clock.advance(Duration::from_secs(875));
    ground.start().await;
    let body = ground.downscoped(&key, "acme", narrow).await.ok();
    assert_ne!(body["access_token"], child);
    assert_eq!(body["expires_in"], 4175);
    ground.end().await;
}

#[tokio::test]
async fn the_newest_of_several_tokens_comes_back() {
    let (mut ground, key) = acme().await;
    let old = ground.token(&key, "acme").await.token();
    ground.clock.advance(Duration::from_secs(600));
    let new = ground.lasting(&key, "acme", 3000).await.token();
    assert_ne!(new, old);
    ground.restart().await;
    let mints = ground.mints().await;
    assert_eq!(ground.token(&key, "acme").await.token(), new);
    assert_eq!(ground.mints().await, mints);
    ground.end().await;
}
