//! A process that ends without warning leaves nothing that hurts, and loses no token.

use serde_json::json;

use crate::ground::{ADA, FILE, Ground};

#[tokio::test(flavor = "multi_thread")]
async fn after_sigkill_the_same_tokens_are_there_and_box_is_not_asked() {
    let ground = Ground::new().await;
    let (serving, key) = ground.serve_acme().await;
    let tokens = ground.tokens(&serving, &key).await;
    let asked = ground.asked_for_tokens().await;
    serving.kill().await;

    let serving = ground.place.serve().await;
    assert_eq!(ground.tokens(&serving, &key).await, tokens);
    assert_eq!(ground.asked_for_tokens().await, asked);
    assert_eq!(ground.at_box(&tokens[0], "/2.0/users/me").await, 200);
    assert_eq!(ground.at_box(&tokens[2], &format!("/2.0/files/{FILE}")).await, 200);
    serving.stop().await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_sigkill_broke_off_bars_no_later_one() {
    let ground = Ground::new().await;
    let (serving, key) = ground.serve_acme().await;
    let asked = ground.asked_for_tokens().await;
    ground.fault(json!({ "hang": true })).await;
    let body = json!({ "subject": { "type": "user", "id": ADA } });
    let request = ground.http.post(serving.url("/v1/tenants/acme/token")).bearer_auth(&key).json(&body);
    let request = tokio::spawn(request.send());
    ground.asked_more_often_than(asked).await;
    serving.kill().await;
    assert!(request.await.unwrap().is_err(), "nobody is left who could answer");
    ground.heal().await;

    let serving = ground.place.serve().await;
    let token = ground.token(&serving, &key, Some(ADA)).await;
    assert_eq!(ground.at_box(&token, "/2.0/users/me").await, 200);
    serving.stop().await;
    ground.end().await;
}
