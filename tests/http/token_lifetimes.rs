//! How long a token is served: renewed within its margin, never served below its floor.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness};
use crate::token_requests::{acme, eventually};

/// Box gives 3,600 s: renewed in the last 540 to 600 s, never served in the last 300 s.
const LIFE: u64 = 3600;
const INSIDE_MARGIN: u64 = LIFE - 530;

fn time(body: &Value, field: &str) -> Timestamp {
    body[field].as_str().unwrap().parse().unwrap()
}

fn seconds(harness: &Harness, body: &Value, field: &str) -> i64 {
    use box_token_broker::clock::Clock as _;
    time(body, field).duration_since(harness.clock.wall()).as_secs()
}

#[tokio::test]
async fn the_times_of_an_answer_agree() {
    let (harness, key) = acme().await;
    for (gone, left) in [(0, 3600), (1, 3599), (2399, 1200)] {
        harness.clock.advance(Duration::from_secs(gone));
        let body = harness.token(&key, "acme").await.ok();
        assert_eq!(body["expires_in"], left);
        assert_eq!(seconds(&harness, &body, "expires_at"), left);
        let margin = left - seconds(&harness, &body, "refresh_at");
        assert!((540..=600).contains(&margin), "{margin}");
    }
    let mut again = std::collections::BTreeSet::new();
    for _ in 0..50 {
        again.insert(time(&harness.token(&key, "acme").await.ok(), "refresh_at"));
    }
    assert!(again.len() > 20, "those who have one token come back at different times: {again:?}");
    // Inside the margin: ask again soon, for a renewal is under way.
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    harness.clock.advance(Duration::from_secs(670));
    let body = harness.token(&key, "acme").await.ok();
    assert_eq!((&body["expires_in"], seconds(&harness, &body, "refresh_at")), (&json!(530), 5));
    harness.end().await;
}

#[tokio::test]
async fn invariant_3_a_token_is_served_while_its_renewal_runs_and_then_the_new_one() {
    let (harness, key) = acme().await;
    let old = harness.user_token(&key, "acme", ADA).await.token();
    harness.clock.advance(Duration::from_secs(INSIDE_MARGIN));
    let mints = harness.mints().await;
    let held = harness.hold(json!({ "grant": "jwt-bearer" })).await;
    for _ in 0..5 {
        assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), old);
    }
    harness.lift(&held).await;
    eventually("the renewal lands", async || harness.user_token(&key, "acme", ADA).await.token() != old)
        .await;
    let body = harness.user_token(&key, "acme", ADA).await.ok();
    assert_eq!(body["expires_in"], LIFE);
    assert_eq!(harness.mints().await, mints + 1);
    harness.end().await;
}

#[tokio::test]
async fn invariant_3_no_token_is_served_at_its_floor() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    harness.clock.advance(Duration::from_secs(LIFE - 301));
    let body = harness.token(&key, "acme").await.ok();
    assert_eq!((body["access_token"].as_str(), &body["expires_in"]), (Some(old.as_str()), &json!(301)));
    harness.clock.advance(Duration::from_secs(1));
    harness.token(&key, "acme").await.refuses(503, "upstream_unavailable");

    harness.heal().await;
    harness.clock.advance(Duration::from_secs(1));
    let body = harness.token(&key, "acme").await.ok();
    assert_eq!(body["expires_in"], LIFE);
    assert_ne!(body["access_token"], old);
    harness.end().await;
}

#[tokio::test]
async fn invariant_3_the_floor_of_a_short_life_is_a_tenth_of_it() {
    let (harness, key) = acme().await;
    harness.token_lives(60, 60).await;
    let old = harness.user_token(&key, "acme", ADA).await.token();
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    harness.clock.advance(Duration::from_secs(53));
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), old);
    harness.clock.advance(Duration::from_secs(1));
    harness.user_token(&key, "acme", ADA).await.refuses(503, "upstream_unavailable");
    harness.end().await;
}

#[tokio::test]
async fn invariant_3_a_failed_renewal_keeps_the_valid_token_and_is_tried_again_later() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(INSIDE_MARGIN));
    harness.fault(json!({ "effect": { "status": 503 } })).await;
    let before = harness.mints().await;
    assert_eq!(harness.token(&key, "acme").await.token(), old);
    eventually("both tries fail", async || harness.count("grant=jwt-bearer&status=503").await == 2).await;
    // Who asks meanwhile gets the token and sets no renewal off.
    for _ in 0..20 {
        assert_eq!(harness.token(&key, "acme").await.token(), old);
    }
    assert_eq!(harness.mints().await, before + 2);

    harness.heal().await;
    harness.clock.advance(Duration::from_secs(5));
    assert_eq!(harness.token(&key, "acme").await.token(), old);
    eventually("the renewal lands", async || harness.token(&key, "acme").await.token() != old).await;
    assert_eq!(harness.mints().await, before + 3);
    harness.end().await;
}

#[tokio::test]
async fn invariant_3_a_promised_life_is_kept_by_a_new_mint() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(599));
    assert_eq!(harness.lasting(&key, "acme", 3000).await.token(), old);
    harness.clock.advance(Duration::from_secs(1));
    let body = harness.lasting(&key, "acme", 3000).await.ok();
    assert_eq!(body["expires_in"], LIFE);
    let new = body["access_token"].as_str().unwrap();
    assert_ne!(new, old);
    assert_eq!(harness.token(&key, "acme").await.token(), new);
    harness.end().await;
}

#[tokio::test]
async fn more_than_three_thousand_seconds_are_never_promised() {
    let (harness, key) = acme().await;
    for min_ttl in [json!(3001), json!(u64::MAX), json!(-1), json!(1.5), json!("60")] {
        let body = json!({ "min_ttl": min_ttl });
        let problem = harness.post(&key, "/v1/tenants/acme/token", body).await.refuses(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], "/min_ttl");
    }
    harness.lasting(&key, "acme", 3000).await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_promise_beyond_what_box_gives_burns_no_mints() {
    let (harness, key) = acme().await;
    harness.token_lives(1000, 1000).await;
    let ask = json!({ "subject": { "type": "user", "id": ADA }, "min_ttl": 1001 });
    let before = harness.mints().await;
    for _ in 0..10 {
        let reply = harness.post(&key, "/v1/tenants/acme/token", ask.clone()).await;
        assert_eq!(reply.refuses(422, "min_ttl_unavailable")["scope"], "subject");
    }
    assert_eq!(harness.mints().await, before + 1);
    // What was minted serves whomever it can; a promise that needs a mint per request is none.
    for (gone, min_ttl, kept) in [(0, 990, true), (10, 990, false), (0, 989, true), (90, 901, false)] {
        harness.clock.advance(Duration::from_secs(gone));
        let ask = json!({ "subject": { "type": "user", "id": ADA }, "min_ttl": min_ttl });
        let reply = harness.post(&key, "/v1/tenants/acme/token", ask).await;
        assert_eq!(reply.status == 200, kept, "{reply:?}");
        assert_eq!(harness.mints().await, before + 1);
    }
    harness.end().await;
}

#[tokio::test]
async fn a_promise_is_refused_no_longer_than_the_token_lives_that_showed_it_vain() {
    let (harness, key) = acme().await;
    harness.token_lives(1000, 1000).await;
    let ask = json!({ "subject": { "type": "user", "id": ADA }, "min_ttl": 3000 });
    let asks = async || harness.post(&key, "/v1/tenants/acme/token", ask.clone()).await;
    asks().await.refuses(422, "min_ttl_unavailable");
    harness.token_lives(3600, 4175).await;
    asks().await.refuses(422, "min_ttl_unavailable");
    harness.clock.advance(Duration::from_secs(900));
    assert_eq!(asks().await.ok()["expires_in"], LIFE);
    harness.end().await;
}

#[tokio::test]
async fn r8_a_wall_clock_stepped_forward_ends_tokens_and_not_the_service() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.step(SignedDuration::from_mins(10));
    let body = harness.token(&key, "acme").await.ok();
    assert_eq!((body["access_token"].as_str(), &body["expires_in"]), (Some(old.as_str()), &json!(3000)));
    harness.clock.step(SignedDuration::from_mins(50));
    let body = harness.token(&key, "acme").await.ok();
    assert_ne!(body["access_token"], old);
    assert_eq!(body["expires_in"], LIFE);
    harness.end().await;
}

#[tokio::test]
async fn r8_a_wall_clock_stepped_back_lengthens_no_life() {
    let (harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    harness.clock.step(SignedDuration::from_hours(-1));
    let body = harness.token(&key, "acme").await.ok();
    assert_eq!((body["access_token"].as_str(), &body["expires_in"]), (Some(old.as_str()), &json!(3600)));
    assert_eq!(seconds(&harness, &body, "expires_at"), 3600);
    // An hour went by, whatever the wall shows: the token is over, in memory and in the store.
    harness.clock.advance(Duration::from_secs(LIFE - 300));
    let body = harness.token(&key, "acme").await.ok();
    assert_ne!(body["access_token"], old);
    assert_eq!(body["expires_in"], LIFE);
    harness.end().await;
}

#[tokio::test]
async fn r8_a_clock_that_is_off_costs_one_more_attempt_and_is_remembered() {
    let (harness, key) = acme().await;
    for (skew, user) in [(600, ADA), (-600, GRACE)] {
        harness.control("PUT", "/clock", Some(&json!({ "skew_seconds": skew }))).await;
        let mints = harness.mints().await;
        let body = harness.user_token(&key, "acme", user).await.ok();
        assert_eq!(body["expires_in"], LIFE);
        assert_eq!(harness.mints().await, mints + 2);
        // What was learnt of Box's clock holds for the next.
        harness.clock.advance(Duration::from_secs(LIFE));
        harness.user_token(&key, "acme", user).await.token();
        assert_eq!(harness.mints().await, mints + 3);
    }
    harness.end().await;
}

#[tokio::test]
async fn a_promise_beyond_what_box_gives_burns_no_exchanges() {
    let (harness, key) = acme().await;
    harness.token_lives(3600, 500).await;
    let (mints, exchanges) = (harness.mints().await, harness.exchanges().await);
    let ask = json!({ "scopes": ["item_preview"], "min_ttl": 600 });
    for _ in 0..10 {
        harness.downscoped(&key, "acme", ask.clone()).await.refuses(422, "min_ttl_unavailable");
    }
    assert_eq!((harness.mints().await, harness.exchanges().await), (mints, exchanges + 1));
    // Nor mints, where the parent lives too short.
    harness.token_lives(500, 4175).await;
    let ask = json!({ "subject": { "type": "user", "id": ADA }, "scopes": ["item_preview"], "min_ttl": 600 });
    for _ in 0..10 {
        harness.downscoped(&key, "acme", ask.clone()).await.refuses(422, "min_ttl_unavailable");
    }
    assert_eq!((harness.mints().await, harness.exchanges().await), (mints + 1, exchanges + 1));
    harness.end().await;
}
