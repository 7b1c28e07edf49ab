//! An issuer's keys: how often they are fetched, how long they serve, and what becomes of tokens
//! meanwhile.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::StreamExt as _;
use serde_json::json;

use crate::issuer::{Manner, Signer, token};
use crate::issuer_fixture::Scene;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

impl Scene {
    fn signed(&self, algorithm: &str, id: &str, signer: &Signer) -> String {
        // Each is another token: what is remembered of one tells nothing of the next.
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let claims = self.claims(json!({ "jti": NEXT.fetch_add(1, Ordering::Relaxed).to_string() }));
        token(&json!({ "alg": algorithm, "kid": id }), &claims, signer)
    }

    fn down(&self) {
        self.issuer.behave(Manner::So(500, String::new(), String::new()));
    }
}

#[tokio::test]
async fn every_algorithm_is_verified_with_its_own_key() {
    let scene = Scene::new().await;
    let (p256, p384, ed) = (Signer::p256(), Signer::p384(), Signer::ed25519());
    let rsa = Signer::rsa(0);
    scene.issuer.publish(vec![
        json!({ "kty": "oct", "k": "c2VjcmV0", "kid": "secret" }),
        rsa.jwk("rsa"),
        p256.jwk("p256"),
        p384.jwk("p384"),
        ed.jwk("ed"),
    ]);
    for (algorithm, id, signer) in [
        ("RS256", "rsa", &rsa),
        ("RS384", "rsa", &rsa),
        ("RS512", "rsa", &rsa),
        ("ES256", "p256", &p256),
        ("ES384", "p384", &p384),
        ("EdDSA", "ed", &ed),
    ] {
        scene.ask(&scene.signed(algorithm, id, signer)).await.token();
        for other in ["rsa", "p256", "p384", "ed"] {
            if other != id {
                scene.refused(other, &scene.signed(algorithm, other, signer)).await;
            }
        }
    }
    let secret = Signer::Secret(b"secret".to_vec());
    scene.refused("a published secret", &scene.signed("HS256", "secret", &secret)).await;
    // Who names no key is taken where only one is for the algorithm.
    scene.ask(&token(&json!({ "alg": "ES256" }), &scene.claims(json!({})), &p256)).await.token();
    scene.issuer.publish(vec![rsa.jwk("a"), Signer::rsa(1).jwk("b")]);
    scene.harness.clock.advance(seconds(31));
    scene.ask(&scene.signed("RS256", "a", &rsa)).await.token();
    scene.refused("one of two", &token(&json!({ "alg": "RS256" }), &scene.claims(json!({})), &rsa)).await;
    scene.harness.end().await;
}

#[tokio::test]
async fn a_storm_of_unknown_keys_makes_no_more_than_two_fetches() {
    // None of them is turned away because of where it comes from.
    let scene = Scene::with(&[("BTB_LIMITS__UNAUTHENTICATED_PER_PEER", "10000")]).await;
    let storm = async |number: usize| {
        let text = token(
            &json!({ "alg": "RS256", "kid": format!("k-{number}") }),
            &scene.claims(json!({})),
            &Signer::None,
        );
        scene.refused("an unknown key", &text).await;
    };
    // Cold, then warm behind the cool-down.
    futures::stream::iter(0..5_000).for_each_concurrent(64, &storm).await;
    assert_eq!((scene.issuer.key_sets(), scene.issuer.connections()), (1, 2), "a discovery and a key set");
    scene.harness.clock.advance(seconds(31));
    futures::stream::iter(5_000..10_000).for_each_concurrent(64, &storm).await;
    assert_eq!((scene.issuer.key_sets(), scene.issuer.connections()), (2, 4));
    scene.ask(&scene.token(json!({}))).await.token();
    assert_eq!(scene.issuer.key_sets(), 2);
    scene.harness.end().await;
}

#[tokio::test]
async fn a_new_key_is_taken_up_and_an_old_one_let_go() {
    let scene = Scene::new().await;
    let (old, new) = (Signer::rsa(0), Signer::rsa(1));
    let kept = scene.signed("RS256", "k1", &old);
    scene.ask(&kept).await.token();
    scene.issuer.publish(vec![new.jwk("k2")]);
    // Within the cool-down nobody is asked.
    scene.refused("a key that is not known yet", &scene.signed("RS256", "k2", &new)).await;
    assert_eq!(scene.issuer.key_sets(), 1);
    scene.harness.clock.advance(seconds(30));
    scene.ask(&scene.signed("RS256", "k2", &new)).await.token();
    assert_eq!(scene.issuer.key_sets(), 2);
    scene.refused("a key that is gone", &scene.signed("RS256", "k1", &old)).await;
    // What was verified is not verified again, for five minutes.
    scene.ask(&kept).await.token();
    scene.harness.clock.advance(seconds(269));
    scene.ask(&kept).await.token();
    scene.harness.clock.advance(seconds(1));
    scene.refused("it has to be verified again", &kept).await;
    scene.harness.end().await;
}

#[tokio::test]
async fn keys_in_use_are_fetched_again_and_nobody_waits_for_it() {
    let scene = Scene::new().await;
    let old = Signer::rsa(0);
    scene.ask(&scene.signed("RS256", "k1", &old)).await.token();
    scene.issuer.publish(vec![Signer::rsa(1).jwk("k2")]);
    scene.harness.clock.advance(seconds(599));
    scene.ask(&scene.signed("RS256", "k1", &old)).await.token();
    assert_eq!(scene.issuer.key_sets(), 1);
    scene.harness.clock.advance(seconds(1));
    // This one is judged by the keys of before, and has others fetched.
    scene.ask(&scene.signed("RS256", "k1", &old)).await.token();
    scene.issuer.has_given(2).await;
    crate::token_requests::eventually("the new keys count", async || {
        scene.ask(&scene.signed("RS256", "k1", &old)).await.status == 401
    })
    .await;
    assert_eq!(scene.issuer.key_sets(), 2);
    scene.harness.end().await;
}

#[tokio::test]
async fn keys_that_nobody_looked_after_are_fetched_before_anything_is_judged_by_them() {
    let scene = Scene::new().await;
    let old = Signer::rsa(0);
    scene.ask(&scene.signed("RS256", "k1", &old)).await.token();
    scene.issuer.publish(vec![Signer::rsa(1).jwk("k2")]);
    scene.harness.clock.advance(seconds(20 * 60));
    scene.refused("a key that is gone", &scene.signed("RS256", "k1", &old)).await;
    assert_eq!(scene.issuer.key_sets(), 2);
    scene.harness.end().await;
}

#[tokio::test]
async fn known_keys_serve_for_a_day_while_the_issuer_is_down() {
    let scene = Scene::new().await;
    let signer = Signer::rsa(0);
    scene.ask(&scene.signed("RS256", "k1", &signer)).await.token();
    scene.down();
    for hours in 1..24 {
        scene.harness.clock.advance(seconds(3600));
        scene.harness.broker().poll_changes().await;
        let reply = scene.harness.get(&scene.signed("RS256", "k1", &signer), "/v1/whoami").await;
        assert_eq!(reply.status, 200, "after {hours} h: {reply:?}");
    }
    scene.harness.clock.advance(seconds(3600));
    scene.harness.broker().poll_changes().await;
    let reply = scene.harness.get(&scene.signed("RS256", "k1", &signer), "/v1/whoami").await;
    reply.refuses(503, "upstream_unavailable");
    scene.issuer.behave(Manner::Well);
    scene.harness.clock.advance(seconds(5));
    scene.harness.get(&scene.signed("RS256", "k1", &signer), "/v1/whoami").await.is(200);
    scene.harness.end().await;
}

#[tokio::test]
async fn an_issuer_that_was_never_reached_is_asked_now_and_then_and_named() {
    let scene = Scene::new().await;
    scene.down();
    let text = scene.token(json!({}));
    futures::stream::iter(0..200)
        .for_each_concurrent(32, async |_| {
            let problem = scene.ask(&text).await.refuses(503, "upstream_unavailable");
            assert_eq!((&problem["scope"], &problem["retry_after"]), (&json!("broker"), &json!(5)));
            assert!(problem["detail"].as_str().unwrap().contains(scene.issuer.url()), "{problem}");
        })
        .await;
    assert_eq!(scene.issuer.connections(), 1);
    scene.harness.clock.advance(seconds(4));
    assert_eq!(scene.ask(&text).await.refuses(503, "upstream_unavailable")["retry_after"], 1);
    assert_eq!(scene.issuer.connections(), 1);
    scene.issuer.behave(Manner::Well);
    scene.harness.clock.advance(seconds(1));
    scene.ask(&text).await.token();
    // Whoever comes with a key does not notice any of it.
    scene.harness.get(&scene.harness.admin, "/v1/whoami").await.is(200);
    scene.harness.end().await;
}

#[tokio::test]
async fn whoever_hangs_up_ends_the_fetch_for_nobody() {
    let scene = Scene::new().await;
    scene.issuer.behave(Manner::Silent);
    let text = scene.token(json!({}));
    let url = scene.harness.url("/v1/whoami");
    let first = scene.harness.http.get(url).bearer_auth(&text).send();
    tokio::select! {
        _ = first => panic!("it is answered"),
        () = crate::token_requests::eventually("the issuer is asked", async || scene.issuer.connections() == 1) => {}
    }
    // The fetch goes on, and this one waits for the same; a time-out ends it.
    scene.ask(&text).await.refuses(503, "upstream_unavailable");
    assert_eq!(scene.issuer.connections(), 1);
    scene.harness.end().await;
}
