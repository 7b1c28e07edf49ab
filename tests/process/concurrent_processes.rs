//! What runs beside a `serve`: another one, and commands.

use std::time::Duration;

use crate::harness::{Harness, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_serve_is_refused_until_the_first_is_gone() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    let tokens = harness.tokens(&serving, &key).await;
    let second = harness.place.run(&["serve"]).await;
    let told = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.starts_with("error: ") && told.lines().count() == 1, "{told}");
    assert!(told.contains("another `serve` works on this database"), "{told}");
    assert_eq!(harness.tokens(&serving, &key).await, tokens, "the first one goes on");

    let asked = harness.asked_for_tokens().await;
    serving.kill().await;
    let second = harness.place.serve().await;
    assert_eq!(harness.tokens(&second, &key).await, tokens);
    assert_eq!(harness.asked_for_tokens().await, asked);
    second.stop().await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_callers_create_made_beside_serve_opens_within_2_s() {
    let harness = Harness::new().await;
    let serving = harness.place.serve().await;
    let status = async |key: &str| {
        let whoami = harness.http.get(serving.url("/v1/whoami")).bearer_auth(key);
        whoami.send().await.unwrap().status().as_u16()
    };
    let key = harness.place.new_admin("ann").await;
    until(Duration::from_secs(4), async || status(&key).await == 200).await;
    let other = harness.place.new_admin("bob").await;
    assert_ne!(key, other);
    until(Duration::from_secs(4), async || status(&other).await == 200).await;
    serving.stop().await;
    harness.end().await;
}
