//! What is tried again, how often, and for how long.

use std::time::Duration;

use box_token_broker::box_api::BoxError;
use box_token_broker::clock::{Clock as _, SystemClock};
use box_token_broker::domain::box_refusal::BoxRefusal;
use box_token_broker::domain::restriction::RestrictionTarget;
use box_token_broker::domain::subject::Subject;
use jiff::SignedDuration;
use serde_json::json;

use crate::fixture::*;
use crate::stub_server::{self, Stub, field};

#[tokio::test]
async fn r8_a_clock_ten_minutes_off_is_corrected_within_two_attempts() {
    for skew in [600, -600] {
        let bench = Bench::new().await;
        bench.control("PUT", "/clock", json!({ "skew_seconds": skew })).await;
        bench.token().await;
        let grants = bench.grants().await;
        assert_eq!(grants.len(), 2, "{skew}");
        assert_ne!(grants[0]["jti"], grants[1]["jti"]);
        assert_eq!(bench.client.clock_offset(), SignedDuration::from_secs(skew));
        // What was learnt stays, also for clones and other apps and subjects.
        let clone = bench.client.clone();
        clone.mint(&bench.jwt, &bench.enterprise, &user(ADA)).await.unwrap();
        assert_eq!(bench.grants().await.len(), 3, "{skew}");
        // And is unlearnt when our clock is set right.
        bench.clock.step(SignedDuration::from_secs(3600));
        bench.control("PUT", "/clock", json!({ "skew_seconds": 0 })).await;
        bench.token().await;
        assert_eq!(bench.grants().await.len(), 5, "{skew}");
        assert_eq!(bench.client.clock_offset(), SignedDuration::ZERO);
    }
}

#[tokio::test]
async fn r8_an_annotators_token_follows_boxs_clock_too() {
    let bench = Bench::new().await;
    let parent = bench.token().await;
    bench.control("PUT", "/clock", json!({ "skew_seconds": 600 })).await;
    let restriction = annotated(&["annotation_edit"], RestrictionTarget::Anything);
    bench.client.downscope(&bench.jwt, &parent, &restriction).await.unwrap();
    assert_eq!(bench.client.clock_offset(), SignedDuration::from_secs(600));
}

#[tokio::test]
async fn a_clock_that_cannot_be_followed_is_a_refusal() {
    // No date; one that is absurd; one that does not help.
    for (date, attempts) in [
        ("", 1),
        ("date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 1),
        ("date: Fri, 02 Jan 2026 03:14:05 GMT\r\n", 2),
    ] {
        let mut stub = Stub::start(move |_, _| {
            stub_server::refusal(date, "invalid_grant", "Please check the 'exp' claim.")
        })
        .await;
        let outcome = mint_at(&stub).await;
        assert!(
            matches!(outcome, Err(BoxError::Refused { refusal: BoxRefusal::ClockSkew, .. })),
            "{outcome:?}"
        );
        assert_eq!(stub.left(), attempts, "{date}");
    }
}

#[tokio::test]
async fn a_dropped_connection_is_tried_again_with_a_new_assertion() {
    let bench = Bench::new().await;
    bench.fault(json!({ "effect": { "drop": true }, "times": 1 })).await;
    bench.token().await;
    let grants = bench.grants().await;
    assert_eq!(grants.len(), 2);
    assert_ne!(grants[0]["jti"], grants[1]["jti"]);
    bench.fault(json!({ "effect": { "drop": true } })).await;
    let lost = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
    assert!(matches!(lost, Err(BoxError::Unavailable { .. })), "{lost:?}");
    assert_eq!(bench.grants().await.len(), 4);
}

#[tokio::test]
async fn a_failing_server_is_asked_twice() {
    for status in [500, 502, 503, 504] {
        let bench = Bench::new().await;
        bench.fault(json!({ "effect": { "status": status }, "times": 1 })).await;
        bench.token().await;
        bench.fault(json!({ "effect": { "status": status, "retry_after": 17 } })).await;
        let failed = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
        let Err(BoxError::Unavailable { retry_after, .. }) = failed else { panic!("{failed:?}") };
        assert_eq!(retry_after, Some(Duration::from_secs(17)));
        let grants = bench.grants().await;
        let jtis: std::collections::BTreeSet<_> = grants.iter().map(|grant| grant["jti"].as_str()).collect();
        assert_eq!((grants.len(), jtis.len()), (4, 4), "{status}");
    }
}

#[tokio::test]
async fn a_jti_that_box_takes_for_used_is_replaced_once() {
    let replay = || stub_server::refusal("", "invalid_grant", "A unique 'jti' value is required.");
    let mut stub =
        Stub::start(move |n, _| if n == 0 { replay() } else { stub_server::token("second") }).await;
    assert_eq!(mint_at(&stub).await.unwrap().token.expose(), "second");
    let (first, second) = (stub.request().await, stub.request().await);
    assert_ne!(field(&first, "assertion").unwrap(), field(&second, "assertion").unwrap());

    let mut stub = Stub::start(move |_, _| replay()).await;
    let outcome = mint_at(&stub).await;
    assert!(matches!(outcome, Err(BoxError::Protocol { .. })), "{outcome:?}");
    assert_eq!(stub.left(), 2);
}

#[tokio::test]
async fn nobody_listening_is_unavailable() {
    let client = client(&settings("http://127.0.0.1:9"), manual_clock());
    let bench = Bench::new().await;
    let outcome = client.mint(&bench.ccg, &bench.enterprise, &Subject::ENTERPRISE).await;
    assert!(matches!(outcome, Err(BoxError::Unavailable { .. })), "{outcome:?}");
}

#[tokio::test]
async fn invariant_12_a_hanging_box_costs_one_try() {
    let bench = Bench::with(|settings| settings.timeout = Duration::from_millis(200)).await;
    bench.fault(json!({ "effect": { "hang": true } })).await;
    let outcome = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
    assert!(matches!(outcome, Err(BoxError::Unavailable { .. })), "{outcome:?}");
    assert_eq!(bench.grants().await.len(), 1);
}

#[tokio::test]
async fn invariant_12_all_tries_together_end_within_five_seconds() {
    let bench = Bench::new().await;
    bench.fault(json!({ "effect": { "latency_ms": 3000, "status": 503 }, "times": 1 })).await;
    bench.fault(json!({ "effect": { "hang": true } })).await;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let outcome = bench.client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await;
    let took = clock.monotonic().since(began);
    assert!(matches!(outcome, Err(BoxError::Unavailable { .. })), "{outcome:?}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(bench.grants().await.len(), 2);
}

async fn mint_at(stub: &Stub) -> Result<box_token_broker::box_api::MintedToken, BoxError> {
    let bench = Bench::new().await;
    let client = client(&settings(stub.url()), bench.clock.clone());
    client.mint(&bench.jwt, &bench.enterprise, &Subject::ENTERPRISE).await
}
