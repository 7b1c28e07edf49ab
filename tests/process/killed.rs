//! A process that ends without warning leaves nothing that hurts, and loses no token.

use serde_json::json;

use crate::harness::{ADA, FILE, Harness};

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_the_same_tokens_are_there_and_box_is_not_asked() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    let tokens = harness.tokens(&serving, &key).await;
    let asked = harness.asked_for_tokens().await;
    serving.kill().await;

    let serving = harness.place.serve().await;
    assert_eq!(harness.tokens(&serving, &key).await, tokens);
    assert_eq!(harness.asked_for_tokens().await, asked);
    assert_eq!(harness.at_box(&tokens[0], "/2.0/users/me").await, 200);
    assert_eq!(harness.at_box(&tokens[2], &format!("/2.0/files/{FILE}")).await, 200);
    serving.stop().await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_sigkill_broke_off_bars_no_later_one() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    let asked = harness.asked_for_tokens().await;
    harness.fault(json!({ "hang": true })).await;
    let body = json!({ "subject": { "type": "user", "id": ADA } });
    let request = harness.http.post(serving.url("/v1/tenants/acme/token")).bearer_auth(&key).json(&body);
    let request = tokio::spawn(request.send());
    harness.asked_more_often_than(asked).await;
    serving.kill().await;
    assert!(request.await.unwrap().is_err(), "nobody is left who could answer");
    harness.heal().await;

    let serving = harness.place.serve().await;
    let token = harness.token(&serving, &key, Some(ADA)).await;
    assert_eq!(harness.at_box(&token, "/2.0/users/me").await, 200);
    serving.stop().await;
    harness.end().await;
}
