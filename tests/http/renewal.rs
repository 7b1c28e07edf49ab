//! Tokens in use are renewed ahead, so that nobody who uses one waits for Box.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::harness::{ADA, Harness};
use crate::token_requests::{acme, any_token};

/// A downscoped token of one of many keys.
fn of(number: usize) -> Value {
    json!({ "scopes": ["item_preview"], "annotator": { "id": number.to_string(), "name": "Zoe" } })
}

impl Harness {
    /// Lets time go by second by second, and what is due be renewed.
    async fn pass(&self, seconds: u64) {
        for _ in 0..seconds {
            self.clock.advance(Duration::from_secs(1));
            self.broker().renew_due().await;
        }
    }

    /// How many tokens Box gave for each annotator.
    async fn mints_per_annotator(&self) -> BTreeMap<String, u64> {
        let mut mints = BTreeMap::new();
        for sha256 in self.issued("grant=token-exchange").await {
            let known = self.known_by_sha256(&sha256).await;
            if let Some(id) = known["annotator"].as_str() {
                *mints.entry(id.to_owned()).or_default() += 1;
            }
        }
        mints
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_keys_in_steady_use_never_wait_for_box_over_three_lives() {
    const KEYS: usize = 200;
    const LIFE: u64 = 20;
    const MARGIN: u64 = 4;
    let (harness, key) = acme().await;
    harness.token_lives(LIFE, LIFE).await;
    let registered = harness.mints().await;
    join_all((0..KEYS).map(|number| harness.downscoped(&key, "acme", of(number)))).await;
    assert_eq!(harness.exchanges().await, KEYS as u64 + 1, "one more tested the registration");

    let mut given: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
    for second in 0..3 * LIFE {
        let before = harness.count("path=/oauth2/token").await;
        for number in 0..KEYS {
            let body = harness.downscoped(&key, "acme", of(number)).await.ok();
            assert!(body["expires_in"].as_u64().unwrap() > LIFE / 10, "{second} s: {body}");
            given.entry(number).or_default().insert(body["access_token"].as_str().unwrap().to_owned());
        }
        assert_eq!(harness.count("path=/oauth2/token").await, before, "{second} s: somebody waited for Box");
        harness.pass(1).await;
    }
    let most = (11 * 3 * LIFE).div_ceil(10 * (LIFE - MARGIN));
    let mints = harness.mints_per_annotator().await;
    assert_eq!(mints.len(), KEYS);
    for (number, tokens) in given {
        let minted = mints[&number.to_string()];
        assert!(tokens.len() as u64 >= 3, "key {number}: {} tokens served three lives", tokens.len());
        assert!(minted <= most, "key {number}: {minted} mints, {most} are enough");
    }
    // All of them come of one full token, which is a key like others.
    let full = harness.mints().await - registered;
    assert!(full <= most, "{full} mints of the full token, {most} are enough");
    harness.end().await;
}

#[tokio::test]
async fn a_token_that_nobody_uses_is_let_go() {
    let (harness, key) = acme().await;
    harness.token_lives(20, 20).await;
    harness.user_token(&key, "acme", ADA).await.token();
    let mints = harness.mints().await;
    harness.pass(20).await;
    assert_eq!(harness.mints().await, mints);
    // Used in one life and not in the next: renewed once.
    let old = harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), old);
    harness.pass(40).await;
    assert_eq!(harness.mints().await, mints + 2);
    harness.end().await;
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_the_valid_token_served_to_its_floor() {
    let (harness, key) = acme().await;
    let old = harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), old);
    harness.pass(2690).await;
    let before = harness.mints().await;
    harness
        .fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "status": 503, "retry_after": 60 } }))
        .await;
    harness.pass(600).await;
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), old);
    // Each time Box says how long to leave it alone, and a call is tried twice.
    let tries = harness.mints().await - before;
    assert!((4..=22).contains(&tries), "{tries}");
    harness.heal().await;
    harness.pass(61).await;
    assert_ne!(harness.user_token(&key, "acme", ADA).await.token(), old);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the spread is to be looked at: --nocapture shows it")]
async fn a_thousand_tenants_of_one_minute_do_not_renew_in_one_minute_an_hour_later() {
    const TENANTS: usize = 1000;
    let harness = Harness::with(&[], |world, apps| {
        for number in 0..TENANTS {
            world.add_enterprise(&apps.portal.client_id, &(100_000 + number).to_string(), "One").unwrap();
        }
    })
    .await;
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
    let key = harness.service("all", any_token("*")).await;
    for number in 0..TENANTS {
        let tenant = format!("t{number}");
        let body =
            json!({ "tenant": tenant, "app": "vendor", "enterprise_id": (100_000 + number).to_string() });
        harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
        harness.token(&key, &tenant).await.token();
        harness.clock.advance(Duration::from_millis(60_000 / TENANTS as u64));
    }
    let mut histogram = Vec::new();
    let mut before = harness.mints().await;
    for _ in 0..60 {
        harness.pass(60).await;
        let now = harness.mints().await;
        histogram.push(now - before);
        before = now;
    }
    for (minute, renewed) in histogram.iter().enumerate().filter(|(_, renewed)| **renewed > 0) {
        println!("minute {minute:2}: {renewed:4} {}", "#".repeat(*renewed as usize / 10));
    }
    assert_eq!(histogram.iter().sum::<u64>(), TENANTS as u64);
    assert!(histogram.iter().all(|renewed| *renewed <= TENANTS as u64 * 2 / 5), "{histogram:?}");
    assert!(histogram.iter().filter(|renewed| **renewed > 0).count() >= 5, "{histogram:?}");
    harness.end().await;
}
