//! Box's clock is not ours: it is followed wherever it goes, and no caller hears of it.

use std::collections::BTreeSet;
use std::time::Duration;

use box_token_broker::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::harness::{ADA, Harness};
use crate::token_requests::{acme, any_token};

/// How far a clock may be off, in seconds.
const OFF: i64 = 600;

impl Harness {
    /// Steps Box's clock, which is this far ahead of ours then.
    async fn skew(&self, seconds: i64) {
        self.control("PUT", "/clock", Some(&json!({ "skew_seconds": seconds }))).await;
    }

    /// The assertions that Box saw after so many.
    async fn assertions_since(&self, before: u64) -> Vec<Value> {
        let journal = self.control("GET", "/journal?grant=jwt-bearer", None).await;
        journal["items"].as_array().unwrap().iter().skip(usize::try_from(before).unwrap()).cloned().collect()
    }

    /// Mints a token of the user, and tells how many tries at Box that took; each one with a `jti` of
    /// its own.
    async fn tries_of_a_mint(&self, key: &str) -> usize {
        let before = self.mints().await;
        let token = self.user_token(key, "acme", ADA).await.token();
        assert_eq!(self.at_box(&token, "/2.0/users/me").await, 200);
        let tries = self.assertions_since(before).await;
        let jtis: BTreeSet<_> = tries.iter().map(|tried| tried["jti"].as_str().unwrap()).collect();
        assert_eq!(jtis.len(), tries.len());
        self.call(&self.admin, "POST", "/v1/tenants/acme/flush", None).await.is(200);
        tries.len()
    }
}

#[tokio::test]
async fn r8_a_tenant_is_registered_and_served_where_the_clocks_are_ten_minutes_apart() {
    for skew in [OFF, -OFF] {
        let harness = Harness::new().await;
        harness.skew(skew).await;
        harness.register("acme", &harness.apps.acme).await;
        let key = harness.service("portal", any_token("acme")).await;
        assert_eq!(harness.mints().await, 2, "{skew}: the first call learns, and its second try succeeds");
        let body = harness.user_token(&key, "acme", ADA).await.ok();
        assert_eq!(harness.mints().await, 3, "{skew}: what was learnt stays");
        assert_eq!(body["expires_in"], 3600, "{skew}: a life is counted by our own clock");
        harness.end().await;
    }
}

#[tokio::test]
async fn r8_a_clock_that_steps_while_the_broker_runs_costs_one_try_each_time() {
    let (harness, key) = acme().await;
    assert_eq!(harness.tries_of_a_mint(&key).await, 1);
    for skew in [OFF, -OFF, 0, -OFF, OFF, 0] {
        harness.skew(skew).await;
        assert_eq!(harness.tries_of_a_mint(&key).await, 2, "stepped to {skew}");
        assert_eq!(harness.tries_of_a_mint(&key).await, 1, "{skew} is known");
    }
    harness.end().await;
}

#[tokio::test]
async fn r8_a_429_that_names_a_second_is_waited_out_and_asked_again_with_a_new_jti() {
    let (harness, key) = acme().await;
    let order = json!({ "select": { "grant": "jwt-bearer" }, "effect": { "status": 429, "retry_after": 1 }, "times": 1 });
    harness.fault(order).await;
    let clock = SystemClock::new();
    let began = clock.monotonic();
    assert_eq!(harness.tries_of_a_mint(&key).await, 2, "no caller hears of it");
    assert!(clock.monotonic().since(began) >= Duration::from_secs(1), "Box was left alone as it wished");
    harness.end().await;
}
