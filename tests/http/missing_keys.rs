//! Key sets that lack a key: what that costs, and whom.

use std::sync::Arc;

use serde_json::{Value, json};

use box_token_broker::app;
use box_token_broker::crypto::KeySet;
use box_token_broker::entropy::SystemEntropy;

use crate::harness::{ADA, Harness};

fn key_set(harness: &Harness) -> Value {
    serde_json::from_slice(&std::fs::read(harness.key_file()).unwrap()).unwrap()
}

fn write(harness: &Harness, keys: &Value) {
    std::fs::write(harness.key_file(), keys.to_string()).unwrap();
}

fn another_set() -> Value {
    serde_json::from_slice(KeySet::generate(&SystemEntropy).to_json().expose()).unwrap()
}

/// Why the broker does not start.
async fn refused_start(harness: &Harness) -> String {
    let started = app::start(&harness.settings, harness.clock.clone(), Arc::new(SystemEntropy)).await;
    started.expect_err("it does not start").to_string()
}

async fn minter(harness: &Harness) -> String {
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    harness.service("minter", grants).await
}

#[tokio::test]
async fn r15_invariant_11_rows_under_a_missing_key_cost_their_tenant_alone() {
    let mut harness = Harness::new().await;
    let minter = minter(&harness).await;
    harness.register("acme", &harness.apps.acme).await;
    harness.token(&minter, "acme").await.token();
    harness.stop().await;
    let mut keys = key_set(&harness);
    let mut old = keys["encryption"][0].clone();
    old["state"] = json!("retired");
    let new = another_set()["encryption"][0].clone();
    keys["encryption"] = json!([new, old]);
    write(&harness, &keys);
    harness.start().await;
    harness.user_token(&minter, "acme", ADA).await.token();
    harness.register("globex", &harness.apps.globex).await;
    harness.stop().await;

    keys["encryption"] = json!([new]);
    write(&harness, &keys);
    harness.start().await;
    let asked = harness.count("path=/oauth2/token").await;
    for _ in 0..2 {
        let problem = harness.token(&minter, "acme").await.refuses(503, "key_unavailable");
        assert_eq!((&problem["scope"], &problem["retry"]), (&json!("tenant"), &json!("after")));
        assert!(problem["fix"].as_str().unwrap().contains("key set"), "{problem}");
    }
    harness.token(&minter, "globex").await.token();
    harness.user_token(&minter, "globex", "10000002001").await.token();
    assert_eq!(harness.count("path=/oauth2/token").await, asked + 1, "acme never came as far as Box");
    let test = harness.call(&harness.admin, "POST", "/v1/tenants/acme/test", None).await.is(200);
    assert_eq!(test["diagnosis"][0]["code"], "key_unavailable");
    assert_eq!(test["diagnosis"][1]["outcome"], "skipped", "Box was not asked: {test}");
    assert_eq!(
        harness.get(&harness.admin, "/v1/tenants").await.is(200)["items"].as_array().unwrap().len(),
        2
    );
    harness.stop().await;

    keys["encryption"] = json!([new, old]);
    write(&harness, &keys);
    harness.start().await;
    harness.user_token(&minter, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn r15_without_an_active_key_the_start_is_refused_with_what_to_do() {
    let mut harness = Harness::new().await;
    harness.stop().await;
    let whole = key_set(&harness);
    for kind in ["encryption", "row", "pepper"] {
        let mut keys = whole.clone();
        keys[kind][0]["state"] = json!("retired");
        for without in [keys.clone(), {
            keys[kind] = json!([]);
            keys
        }] {
            write(&harness, &without);
            let error = refused_start(&harness).await;
            assert!(error.contains(&format!("no active `{kind}` key")), "{error}");
            let key = whole[kind][0]["key"].as_str().unwrap();
            assert!(!error.contains(key), "{error}");
        }
    }
    for broken in ["", "{", "[]", "{\"version\": 2}"] {
        std::fs::write(harness.key_file(), broken).unwrap();
        assert!(refused_start(&harness).await.contains("key set"), "{broken}");
    }
    std::fs::remove_file(harness.key_file()).unwrap();
    assert!(refused_start(&harness).await.contains("keys generate"));
    harness.end().await;
}

#[tokio::test]
async fn another_key_set_altogether_opens_nothing() {
    let mut harness = Harness::new().await;
    let minter = minter(&harness).await;
    harness.register("acme", &harness.apps.acme).await;
    harness.stop().await;
    let right = key_set(&harness);
    // All keys are others, and then those that have the same ids.
    let strange = another_set();
    let mut alike = strange.clone();
    for (kind, keys) in right.as_object().unwrap() {
        if let Some(key) = keys.get(0) {
            alike[kind][0]["id"] = key["id"].clone();
        }
    }
    let asked = harness.count("").await;
    for keys in [strange, alike] {
        write(&harness, &keys);
        let started = app::start(&harness.settings, harness.clock.clone(), Arc::new(SystemEntropy)).await;
        let Ok(running) = started else { continue };
        for key in [&minter, &harness.admin] {
            let url = format!("http://{}/v1/tenants/acme/token", running.service);
            let reply = harness.http.post(url).bearer_auth(key).send().await.unwrap();
            let status = reply.status().as_u16();
            assert!([401, 500, 503].contains(&status), "{status}");
        }
        running.stop().await;
    }
    assert_eq!(harness.count("").await, asked);
    write(&harness, &right);
    harness.start().await;
    harness.token(&minter, "acme").await.token();
    harness.end().await;
}
