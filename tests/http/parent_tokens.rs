//! The full token that a downscoped one is made from: renewed in time, and minted anew where it died.

use std::time::Duration;

use box_token_broker::crypto::sha256_hex;
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::token_requests::acme;

fn child(scope: &str) -> Value {
    json!({ "scopes": [scope] })
}

/// The SHA-256 of the full token that a downscoped one came from.
async fn parent_of(harness: &Harness, token: &str) -> String {
    harness.known_at_box(token).await["parent"].as_str().unwrap().to_owned()
}

/// Ends a token at Box behind the broker's back.
async fn dies_at_box(harness: &Harness, token: &str) {
    let config: Value = serde_json::from_str(&harness.apps.acme.json).unwrap();
    let secret = config["boxAppSettings"]["clientSecret"].as_str().unwrap();
    let form =
        [("client_id", harness.apps.acme.client_id.as_str()), ("client_secret", secret), ("token", token)];
    let url = format!("{}/oauth2/revoke", harness.sandbox.url());
    assert!(harness.http.post(url).form(&form).send().await.unwrap().status().is_success());
    assert_eq!(harness.known_at_box(token).await["live"], false);
}

#[tokio::test]
async fn children_share_a_parent_while_it_lasts() {
    let (harness, key) = acme().await;
    let parent = sha256_hex(harness.token(&key, "acme").await.token().as_bytes());
    let mints = harness.mints().await;
    for scope in ["item_preview", "item_download", "item_upload"] {
        let token = harness.downscoped(&key, "acme", child(scope)).await.token();
        assert_eq!(parent_of(&harness, &token).await, parent);
    }
    assert_eq!(harness.mints().await, mints);
    harness.end().await;
}

#[tokio::test]
async fn a_parent_inside_its_margin_is_renewed_first() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(3600 - 530));
    let mints = harness.mints().await;
    let token = harness.downscoped(&key, "acme", child("item_preview")).await.token();
    let new = harness.token(&key, "acme").await.token();
    assert_ne!(new, old);
    assert_eq!(parent_of(&harness, &token).await, sha256_hex(new.as_bytes()));
    assert_eq!(harness.mints().await, mints + 1);
    harness.end().await;
}

#[tokio::test]
async fn a_parent_that_cannot_cover_a_promise_is_renewed_first() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(600));
    let mints = harness.mints().await;
    let plain = harness.downscoped(&key, "acme", child("item_preview")).await.token();
    assert_eq!(parent_of(&harness, &plain).await, sha256_hex(old.as_bytes()));
    assert_eq!(harness.mints().await, mints);
    let lasting = json!({ "scopes": ["item_download"], "min_ttl": 3000 });
    let lasting = harness.downscoped(&key, "acme", lasting).await.token();
    assert_ne!(parent_of(&harness, &lasting).await, sha256_hex(old.as_bytes()));
    assert_eq!(harness.mints().await, mints + 1);
    harness.end().await;
}

#[tokio::test]
async fn a_parent_that_died_at_box_is_minted_anew_once_for_all_its_children() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(1));
    dies_at_box(&harness, &old).await;
    let mints = harness.mints().await;
    let scopes = ["item_preview", "item_download", "item_upload", "item_rename", "item_share"];
    let ask = |scope| harness.downscoped(&key, "acme", child(scope));
    let replies = futures::future::join_all(scopes.map(ask)).await;
    let new = sha256_hex(harness.token(&key, "acme").await.token().as_bytes());
    for reply in replies {
        let token = reply.token();
        assert_eq!(harness.known_at_box(&token).await["live"], true);
        assert_eq!(parent_of(&harness, &token).await, new);
    }
    assert_eq!(harness.mints().await, mints + 1);
    harness.end().await;
}

#[tokio::test]
async fn a_parent_that_died_with_the_one_before_it_is_minted_anew() {
    let (harness, key) = acme().await;
    let older = harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(600));
    let newer = harness.lasting(&key, "acme", 3000).await.token();
    harness.clock.advance(Duration::from_secs(1));
    for token in [&older, &newer] {
        dies_at_box(&harness, token).await;
    }
    let mints = harness.mints().await;
    let token = harness.downscoped(&key, "acme", child("item_preview")).await.token();
    assert_eq!(harness.known_at_box(&token).await["live"], true);
    assert_eq!(harness.mints().await, mints + 1);
    harness.end().await;
}

#[tokio::test]
async fn a_parent_that_is_dead_at_once_again_ends_the_attempt() {
    let (harness, key) = acme().await;
    harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(1));
    let (mints, exchanges) = (harness.mints().await, harness.exchanges().await);
    let body = json!({ "error": "invalid_grant", "error_description": "The 'subject_token' specified is invalid or has expired" });
    let effect = json!({ "status": 400, "body": body });
    harness.fault(json!({ "select": { "grant": "token-exchange" }, "effect": effect })).await;
    harness.downscoped(&key, "acme", child("item_preview")).await.refuses(502, "upstream_protocol");
    assert_eq!(harness.mints().await, mints + 1);
    assert_eq!(harness.exchanges().await, exchanges + 2);
    harness.end().await;
}

#[tokio::test]
async fn a_child_is_served_when_its_parent_is_gone_and_a_failing_parent_keeps_a_valid_child() {
    let (harness, key) = acme().await;
    let token = harness.downscoped(&key, "acme", child("item_preview")).await.token();
    // The child lives 4,175 s, its parent 3,600 s.
    harness.clock.advance(Duration::from_secs(3600));
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    let body = harness.downscoped(&key, "acme", child("item_preview")).await.ok();
    assert_eq!((body["access_token"].as_str(), &body["expires_in"]), (Some(token.as_str()), &json!(575)));
    harness.downscoped(&key, "acme", child("item_download")).await.refuses(503, "upstream_unavailable");
    harness.end().await;
}
