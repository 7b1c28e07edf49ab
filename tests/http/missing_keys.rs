//! Key sets that lack a key: what that costs, and whom.

use std::sync::Arc;

use serde_json::{Value, json};

use box_token_broker::app;
use box_token_broker::crypto::KeySet;
use box_token_broker::entropy::SystemEntropy;

use crate::ground::{ADA, Ground};

fn key_set(ground: &Ground) -> Value {
    serde_json::from_slice(&std::fs::read(ground.key_file()).unwrap()).unwrap()
}

fn write(ground: &Ground, keys: &Value) {
    std::fs::write(ground.key_file(), keys.to_string()).unwrap();
}

fn another_set() -> Value {
    serde_json::from_slice(KeySet::generate(&SystemEntropy).to_json().expose()).unwrap()
}

/// Why the broker does not start.
async fn refused_start(ground: &Ground) -> String {
    let started = app::start(&ground.settings, ground.clock.clone(), Arc::new(SystemEntropy)).await;
    started.expect_err("it does not start").to_string()
}

async fn minter(ground: &Ground) -> String {
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    ground.service("minter", grants).await
}

#[tokio::test]
async fn r15_invariant_11_rows_under_a_missing_key_cost_their_tenant_alone() {
    let mut ground = Ground::new().await;
    let minter = minter(&ground).await;
    ground.register("acme", &ground.apps.acme).await;
    ground.token(&minter, "acme").await.token();
    ground.stop().await;
    let mut keys = key_set(&ground);
    let mut old = keys["encryption"][0].clone();
    old["state"] = json!("retired");
    let new = another_set()["encryption"][0].clone();
    keys["encryption"] = json!([new, old]);
    write(&ground, &keys);
    ground.start().await;
    ground.user_token(&minter, "acme", ADA).await.token();
    ground.register("globex", &ground.apps.globex).await;
    ground.stop().await;

    keys["encryption"] = json!([new]);
    write(&ground, &keys);
    ground.start().await;
    let asked = ground.count("path=/oauth2/token").await;
    for _ in 0..2 {
        let problem = ground.token(&minter, "acme").await.refuses(503, "key_unavailable");
        assert_eq!((&problem["scope"], &problem["retry"]), (&json!("tenant"), &json!("after")));
        assert!(problem["fix"].as_str().unwrap().contains("key set"), "{problem}");
    }
    ground.token(&minter, "globex").await.token();
    ground.user_token(&minter, "globex", "10000002001").await.token();
    assert_eq!(ground.count("path=/oauth2/token").await, asked + 1, "acme never came as far as Box");
    let test = ground.call(&ground.admin, "POST", "/v1/tenants/acme/test", None).await.is(200);
    assert_eq!(test["diagnosis"][0]["code"], "key_unavailable");
    assert_eq!(test["diagnosis"][1]["outcome"], "skipped", "Box was not asked: {test}");
    assert_eq!(ground.get(&ground.admin, "/v1/tenants").await.is(200)["items"].as_array().unwrap().len(), 2);
    ground.stop().await;

    keys["encryption"] = json!([new, old]);
    write(&ground, &keys);
    ground.start().await;
    ground.user_token(&minter, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn r15_without_an_active_key_the_start_is_refused_with_what_to_do() {
    let mut ground = Ground::new().await;
    ground.stop().await;
    let whole = key_set(&ground);
    for kind in ["encryption", "row", "pepper"] {
        let mut keys = whole.clone();
        keys[kind][0]["state"] = json!("retired");
        for without in [keys.clone(), {
            keys[kind] = json!([]);
            keys
        }] {
            write(&ground, &without);
            let error = refused_start(&ground).await;
            assert!(error.contains(&format!("no active `{kind}` key")), "{error}");
            let key = whole[kind][0]["key"].as_str().unwrap();
            assert!(!error.contains(key), "{error}");
        }
    }
    for broken in ["", "{", "[]", "{\"version\": 2}"] {
        std::fs::write(ground.key_file(), broken).unwrap();
        assert!(refused_start(&ground).await.contains("key set"), "{broken}");
    }
    std::fs::remove_file(ground.key_file()).unwrap();
    assert!(refused_start(&ground).await.contains("keys generate"));
    ground.end().await;
}

#[tokio::test]
async fn another_key_set_altogether_opens_nothing() {
    let mut ground = Ground::new().await;
    let minter = minter(&ground).await;
    ground.register("acme", &ground.apps.acme).await;
    ground.stop().await;
    let right = key_set(&ground);
    // All keys are others, and then those that have the same ids.
    let strange = another_set();
    let mut alike = strange.clone();
    for (kind, keys) in right.as_object().unwrap() {
        if let Some(key) = keys.get(0) {
            alike[kind][0]["id"] = key["id"].clone();
        }
    }
    let asked = ground.count("").await;
    for keys in [strange, alike] {
        write(&ground, &keys);
        let started = app::start(&ground.settings, ground.clock.clone(), Arc::new(SystemEntropy)).await;
        let Ok(running) = started else { continue };
        for key in [&minter, &ground.admin] {
            let url = format!("http://{}/v1/tenants/acme/token", running.service);
            let reply = ground.http.post(url).bearer_auth(key).send().await.unwrap();
            let status = reply.status().as_u16();
            assert!([401, 500, 503].contains(&status), "{status}");
        }
        running.stop().await;
    }
    assert_eq!(ground.count("").await, asked);
    write(&ground, &right);
    ground.start().await;
    ground.token(&minter, "acme").await.token();
    ground.end().await;
}
