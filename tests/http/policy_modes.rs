//! A tenant's policy: every field of it, and the mode in which it only observes.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness, by_config};
use crate::response::Reply;
use crate::token_requests::{acme, any_token, events, eventually, user};

async fn set(harness: &Harness, policy: Value) -> Value {
    harness.change_tenant("acme", json!({ "policy": policy })).await["policy"].clone()
}

/// The reason that the last event of an action bears.
async fn last_reason(harness: &Harness, action: &str) -> Value {
    let last = events(harness, action).await.pop().unwrap()["reason"].take();
    // What comes next is later: records of one moment have no order.
    harness.clock.advance(Duration::from_secs(1));
    last
}

#[tokio::test]
async fn a_policy_has_its_defaults_and_each_field_can_be_set() {
    let (harness, _) = acme().await;
    let defaults = json!({
        "subjects": ["enterprise", "user:*"], "scopes": null, "full_tokens": true, "browser_origins": [],
        "max_session_ttl": 28800, "require_on_behalf_of": false, "mode": "enforce",
    });
    let shown = harness.get(&harness.admin, "/v1/tenants/acme").await.ok()["policy"].clone();
    assert_eq!(shown, defaults);
    let all = json!({
        "subjects": ["user:7"], "scopes": ["item_preview"], "full_tokens": false,
        "browser_origins": ["https://app.example.com", "http://localhost:3000"],
        "max_session_ttl": 600, "require_on_behalf_of": true, "mode": "observe",
    });
    assert_eq!(set(&harness, all.clone()).await, all);
    // RFC 7396: what is left out stays, and `null` is the default again.
    let mut one = all.clone();
    one["max_session_ttl"] = json!(28800);
    assert_eq!(set(&harness, json!({ "max_session_ttl": null })).await, one);
    assert_eq!(harness.change_tenant("acme", json!({ "policy": null })).await["policy"], defaults);
    let mut body = by_config("globex", &harness.apps.globex);
    body["policy"] = all.clone();
    assert_eq!(harness.post(&harness.admin, "/v1/tenants", body).await.is(201)["policy"], all);
    harness.end().await;
}

#[tokio::test]
async fn what_a_policy_cannot_be_is_refused_with_its_place() {
    let (harness, _) = acme().await;
    let before = harness.get(&harness.admin, "/v1/tenants/acme").await.ok();
    let many: Vec<String> = (0..101).map(|number| format!("https://a{number}.example.com")).collect();
    for (policy, pointer) in [
        (
            json!({ "browser_origins": ["https://a.example.com", "https://b.example.com/"] }),
            "/browser_origins/1",
        ),
        (json!({ "browser_origins": ["https://*.example.com"] }), "/browser_origins/0"),
        (json!({ "browser_origins": ["*"] }), "/browser_origins/0"),
        (json!({ "browser_origins": ["http://a.example.com"] }), "/browser_origins/0"),
        (
            json!({ "browser_origins": ["https://a.example.com", "https://a.example.com"] }),
            "/browser_origins",
        ),
        (json!({ "browser_origins": many }), "/browser_origins"),
        (json!({ "browser_origins": "https://a.example.com" }), "/browser_origins"),
        (json!({ "max_session_ttl": 59 }), "/max_session_ttl"),
        (json!({ "max_session_ttl": 86401 }), "/max_session_ttl"),
        (json!({ "max_session_ttl": "600" }), "/max_session_ttl"),
        (json!({ "require_on_behalf_of": "yes" }), "/require_on_behalf_of"),
        (json!({ "mode": "off" }), "/mode"),
        (json!({ "modes": "observe" }), "/modes"),
    ] {
        let path = "/v1/tenants/acme";
        let told =
            harness.patch(&harness.admin, path, json!({ "policy": policy })).await.refuses(422, "invalid");
        assert_eq!(told["errors"][0]["pointer"], format!("/policy{pointer}"), "{policy}");
        let mut body = by_config("globex", &harness.apps.globex);
        body["policy"] = policy.clone();
        let told = harness.post(&harness.admin, "/v1/tenants", body).await.refuses(422, "invalid");
        assert_eq!(told["errors"][0]["pointer"], format!("/policy{pointer}"), "{policy}");
    }
    assert_eq!(harness.get(&harness.admin, "/v1/tenants/acme").await.ok(), before);
    harness.end().await;
}

#[tokio::test]
async fn observing_lets_pass_what_each_field_on_tokens_refuses_and_writes_the_rule_down() {
    let (harness, key) = acme().await;
    let ada = json!({ "subject": user(ADA) });
    let preview = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    for (policy, rest, body, action, rule) in [
        (json!({ "subjects": ["enterprise"] }), "", &ada, "token.mint", "policy.subjects"),
        (json!({ "full_tokens": false }), "", &ada, "token.mint", "policy.full_tokens"),
        (json!({ "require_on_behalf_of": true }), "", &ada, "token.mint", "policy.on_behalf_of"),
        (json!({ "scopes": ["item_read"] }), "/downscoped", &preview, "token.downscope", "policy.scopes"),
        (json!({ "scopes": ["item_read"] }), "", &ada, "token.mint", "policy.full_tokens"),
    ] {
        harness.change_tenant("acme", json!({ "policy": null })).await;
        let path = format!("/v1/tenants/acme/token{rest}");
        let ask = async || -> Reply { harness.post(&key, &path, body.clone()).await };
        set(&harness, policy.clone()).await;
        ask().await.refuses(403, "forbidden");
        set(&harness, json!({ "mode": "observe" })).await;
        harness.post(&harness.admin, "/v1/tenants/acme/flush", json!({})).await.is(200);
        let token = ask().await.token();
        assert_eq!(last_reason(&harness, action).await, format!("observed: {rule}"), "{policy}");
        // From memory it passes too, and enforced it is refused there.
        assert_eq!(ask().await.token(), token);
        set(&harness, json!({ "mode": "enforce" })).await;
        ask().await.refuses(403, "forbidden");
    }
    harness.end().await;
}

#[tokio::test]
async fn what_no_rule_is_against_bears_no_reason() {
    let (harness, key) = acme().await;
    set(&harness, json!({ "mode": "observe", "subjects": [format!("user:{ADA}")] })).await;
    harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(last_reason(&harness, "token.mint").await, Value::Null);
    harness.user_token(&key, "acme", GRACE).await.token();
    assert_eq!(last_reason(&harness, "token.mint").await, "observed: policy.subjects");
    // Each release is recorded with it too, and with whom the caller claims to ask for.
    let body = json!({ "subject": user(GRACE), "on_behalf_of": "grace" });
    harness.post(&key, "/v1/tenants/acme/token", body).await.token();
    eventually("the release is written down", async || {
        harness.broker().write_counts().await;
        let released = events(&harness, "token.release").await;
        released
            .iter()
            .any(|event| event["reason"] == "observed: policy.subjects" && event["on_behalf_of"] == "grace")
    })
    .await;
    harness.end().await;
}

#[tokio::test]
async fn observing_relaxes_neither_grants_nor_states_nor_what_admins_may() {
    let (harness, key) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let narrow =
        json!([{ "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": ["item_preview"] }]);
    let narrow = harness.service("narrow", narrow).await;
    let foreign = harness.service("foreign", any_token("globex")).await;
    let reader = json!([{ "tenant": "acme", "permissions": ["tenants:read"] }]);
    let reader = harness.caller("reader", "admin", reader).await;
    let closed = json!({
        "subjects": [format!("user:{GRACE}")], "scopes": ["item_read"], "full_tokens": false,
        "require_on_behalf_of": true, "mode": "observe",
    });
    set(&harness, closed).await;
    harness.token(&key, "acme").await.token();
    harness.token(&narrow, "acme").await.refuses(403, "forbidden");
    harness.user_token(&narrow, "acme", ADA).await.refuses(403, "forbidden");
    harness
        .downscoped(&narrow, "acme", json!({ "scopes": ["item_download"] }))
        .await
        .refuses(403, "forbidden");
    harness.downscoped(&narrow, "acme", json!({ "scopes": ["item_preview"] })).await.token();
    harness.token(&foreign, "acme").await.refuses(404, "not_found");
    harness.token(&reader, "acme").await.refuses(403, "forbidden");
    harness.patch(&reader, "/v1/tenants/acme", json!({ "policy": null })).await.refuses(403, "forbidden");
    harness.change_tenant("acme", json!({ "state": "suspended" })).await;
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    harness.token(&key, "acme").await.refuses(404, "not_found");
    harness.end().await;
}
