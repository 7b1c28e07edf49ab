//! A broker that restarts finds its warm tokens in the store.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::harness::{ADA, FILE, FOLDER, GRACE};
use crate::token_requests::{acme, user};

#[tokio::test]
async fn tokens_come_back_from_the_store_without_a_mint() {
    let (mut harness, key) = acme().await;
    let on_file =
        json!({ "scopes": ["item_preview", "item_download"], "resource": { "type": "file", "id": FILE } });
    let by_ada =
        json!({ "subject": user(ADA), "preset": "explorer", "resource": { "type": "folder", "id": FOLDER } });
    let bodies = async |harness: &crate::harness::Harness| {
        [
            harness.token(&key, "acme").await.ok(),
            harness.user_token(&key, "acme", ADA).await.ok(),
            harness.downscoped(&key, "acme", on_file.clone()).await.ok(),
            harness.downscoped(&key, "acme", by_ada.clone()).await.ok(),
        ]
    };
    let before = bodies(&harness).await;
    let (mints, exchanges) = (harness.mints().await, harness.exchanges().await);
    harness.clock.advance(Duration::from_secs(100));
    harness.restart().await;
    for (before, after) in before.into_iter().zip(bodies(&harness).await) {
        assert_eq!(after["access_token"], before["access_token"]);
        assert_eq!(after["restricted_to"], before["restricted_to"]);
        assert_eq!(after["expires_at"], before["expires_at"]);
        assert_eq!(after["expires_in"], before["expires_in"].as_u64().unwrap() - 100);
    }
    assert_eq!((harness.mints().await, harness.exchanges().await), (mints, exchanges));
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_that_waits_for_a_restart_is_served_at_once() {
    let (mut harness, key) = acme().await;
    let before = harness.user_token(&key, "acme", ADA).await.token();
    harness.restart().await;
    let replies = join_all((0..1000).map(|_| harness.user_token(&key, "acme", ADA))).await;
    for reply in replies {
        assert_eq!(reply.token(), before);
    }
    harness.end().await;
}

#[tokio::test]
async fn invariant_1_a_token_from_the_store_is_kept_from_those_who_may_not_have_it() {
    let (mut harness, key) = acme().await;
    harness.user_token(&key, "acme", ADA).await.token();
    let narrow =
        json!([{ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": [format!("user:{GRACE}")] }]);
    let narrow = harness.service("narrow", narrow).await;
    harness.restart().await;
    harness.user_token(&narrow, "acme", ADA).await.refuses(403, "forbidden");
    harness.end().await;
}

#[tokio::test]
async fn invariant_3_a_token_that_expired_while_the_broker_was_away_does_not_come_back() {
    let (mut harness, key) = acme().await;
    let narrow = json!({ "scopes": ["item_preview"] });
    let full = harness.token(&key, "acme").await.token();
    let child = harness.downscoped(&key, "acme", narrow.clone()).await.token();
    harness.stop().await;
    // The full one has 300 s left, its floor; the downscoped one 875 s.
    harness.clock.advance(Duration::from_secs(3300));
    harness.start().await;
    let body = harness.token(&key, "acme").await.ok();
    assert_ne!(body["access_token"], full);
    assert_eq!(body["expires_in"], 3600);
    assert_eq!(harness.downscoped(&key, "acme", narrow.clone()).await.token(), child);

    harness.stop().await;
    harness.clock.advance(Duration::from_secs(875));
    harness.start().await;
    let body = harness.downscoped(&key, "acme", narrow).await.ok();
    assert_ne!(body["access_token"], child);
    assert_eq!(body["expires_in"], 4175);
    harness.end().await;
}

#[tokio::test]
async fn the_newest_of_several_tokens_comes_back() {
    let (mut harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(600));
    let new = harness.lasting(&key, "acme", 3000).await.token();
    assert_ne!(new, old);
    harness.restart().await;
    let mints = harness.mints().await;
    assert_eq!(harness.token(&key, "acme").await.token(), new);
    assert_eq!(harness.mints().await, mints);
    harness.end().await;
}
