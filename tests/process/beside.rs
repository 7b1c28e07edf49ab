//! What runs beside a `serve`: another one, and commands.

use std::time::Duration;

use crate::ground::{Ground, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_serve_is_refused_until_the_first_is_gone() {
    let ground = Ground::new().await;
    let (serving, key) = ground.serve_acme().await;
    let tokens = ground.tokens(&serving, &key).await;
    let second = ground.place.run(&["serve"]).await;
    let told = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(1), "{told}");
    assert!(told.starts_with("error: ") && told.lines().count() == 1, "{told}");
    assert!(told.contains("another `serve` works on this database"), "{told}");
    assert_eq!(ground.tokens(&serving, &key).await, tokens, "the first one goes on");

    let asked = ground.asked_for_tokens().await;
    serving.kill().await;
    let second = ground.place.serve().await;
    assert_eq!(ground.tokens(&second, &key).await, tokens);
    assert_eq!(ground.asked_for_tokens().await, asked);
    second.stop().await;
    ground.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_callers_create_made_beside_serve_opens_within_2_s() {
    let ground = Ground::new().await;
    let serving = ground.place.serve().await;
    let status = async |key: &str| {
        let whoami = ground.http.get(serving.url("/v1/whoami")).bearer_auth(key);
        whoami.send().await.unwrap().status().as_u16()
    };
    let key = ground.place.new_admin("ann").await;
    until(Duration::from_secs(4), async || status(&key).await == 200).await;
    let other = ground.place.new_admin("bob").await;
    assert_ne!(key, other);
    until(Duration::from_secs(4), async || status(&other).await == 200).await;
    serving.stop().await;
    ground.end().await;
}
