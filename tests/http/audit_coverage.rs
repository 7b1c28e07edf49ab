//! Nothing happens that is not written down, and what goes wrong inside is told to the log alone.

use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness, by_config};
use crate::response::Reply;
use crate::token_requests::{acme, any_token};

/// How many events of an action are written down.
async fn events(harness: &Harness, action: &str) -> usize {
    harness.hand().reads(&format!("SELECT action FROM audit WHERE action = '{action}'")).await.len()
}

/// While it is hidden, no event can be written.
async fn hide_events(harness: &Harness) {
    harness.hand().does("ALTER TABLE audit RENAME TO hidden_events").await;
}

async fn show_events(harness: &Harness) {
    harness.hand().does("ALTER TABLE hidden_events RENAME TO audit").await;
}

#[tokio::test]
async fn invariant_8_each_mint_and_each_change_by_an_admin_has_its_event() {
    let (harness, key) = acme().await;
    let admin = harness.admin.clone();
    let minted = events(&harness, "token.mint").await;
    for user in [ADA, ADA, GRACE, ADA] {
        harness.user_token(&key, "acme", user).await.token();
    }
    // What is warm is no mint.
    assert_eq!(events(&harness, "token.mint").await, minted + 2);
    let exchanged = events(&harness, "token.downscope").await;
    harness.downscoped(&key, "acme", json!({ "preset": "preview" })).await.token();
    assert_eq!(events(&harness, "token.downscope").await, exchanged + 1);
    harness.patch(&admin, "/v1/tenants/acme", json!({ "display_name": "Acme" })).await.is(200);
    harness.patch(&admin, "/v1/tenants/acme", json!({ "display_name": "Acme" })).await.is(200);
    harness.patch(&admin, "/v1/callers/portal", json!({ "grants": [] })).await.is(200);
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    harness.post(&admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    harness.patch(&admin, "/v1/apps/portal", json!({ "state": "suspended" })).await.is(200);
    harness.delete(&admin, "/v1/apps/portal").await.is(204);
    harness.delete(&admin, "/v1/tenants/acme").await.is(204);
    harness.delete(&admin, "/v1/callers/portal").await.is(204);
    for (action, times) in [
        ("tenant.create", 1),
        ("tenant.update", 1),
        ("tenant.delete", 1),
        ("app.create", 1),
        ("app.update", 1),
        ("app.delete", 1),
        ("caller.create", 2),
        ("caller.update", 1),
        ("caller.delete", 1),
        ("key.create", 1),
    ] {
        assert_eq!(events(&harness, action).await, times, "{action}");
    }
    harness.end().await;
}

#[tokio::test]
async fn invariant_8_what_cannot_be_recorded_does_not_happen_and_warm_tokens_go_on() {
    let (harness, key) = acme().await;
    let warm = harness.token(&key, "acme").await.token();
    let (admin, tenant) = (harness.admin.clone(), "/v1/tenants/acme");
    let before = harness.get(&admin, tenant).await.is(200);
    let portal = harness.get(&admin, "/v1/callers/portal").await.is(200);
    hide_events(&harness).await;
    let caller = json!({ "name": "other", "kind": "service", "grants": any_token("acme") });
    for (method, path, body) in [
        ("POST", "/v1/tenants/acme/token", json!({ "subject": { "type": "user", "id": ADA } })),
        ("POST", "/v1/tenants/acme/token/downscoped", json!({ "preset": "preview" })),
        ("PATCH", tenant, json!({ "display_name": "Nobody saw it" })),
        ("POST", "/v1/callers", caller),
        ("POST", "/v1/callers/portal/keys", json!({})),
        ("PATCH", "/v1/callers/portal", json!({ "grants": [] })),
        ("DELETE", "/v1/callers/portal", json!({})),
        ("DELETE", tenant, json!({})),
    ] {
        let reply = harness.call(&admin, method, path, Some(&body)).await;
        assert!(reply.status >= 500, "{method} {path}: {reply:?}");
        assert!(reply.body.get("access_token").is_none() && reply.body.get("key").is_none(), "{reply:?}");
    }
    assert_eq!(harness.token(&key, "acme").await.token(), warm);
    show_events(&harness).await;
    assert_eq!(harness.get(&admin, tenant).await.is(200), before);
    assert_eq!(
        harness.get(&admin, "/v1/callers/portal").await.is(200)["keys"][0]["id"],
        portal["keys"][0]["id"]
    );
    assert_eq!(harness.get(&admin, "/v1/callers/portal").await.is(200)["grants"], portal["grants"]);
    harness.get(&admin, "/v1/callers/other").await.refuses(404, "not_found");
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn invariant_9_no_internal_cause_reaches_a_client() {
    let (harness, key) = acme().await;
    harness.token(&key, "acme").await.token();
    let secret_words = ["hidden_", "no such", "relation", "sqlite", "postgres", "SELECT", "INSERT", ".rs:"];
    let tells_nothing = |reply: &Reply| {
        assert!(reply.status >= 500, "{reply:?}");
        let text = reply.body.to_string();
        assert!(secret_words.iter().all(|word| !text.contains(word)), "{text}");
    };
    hide_events(&harness).await;
    tells_nothing(&harness.user_token(&key, "acme", ADA).await);
    tells_nothing(&harness.patch(&harness.admin, "/v1/tenants/acme", json!({ "display_name": "x" })).await);
    show_events(&harness).await;
    harness.hand().does("ALTER TABLE tenants RENAME TO hidden_tenants").await;
    tells_nothing(&harness.get(&harness.admin, "/v1/tenants").await);
    tells_nothing(
        &harness.post(&harness.admin, "/v1/tenants", by_config("globex", &harness.apps.globex)).await,
    );
    harness.hand().does("ALTER TABLE hidden_tenants RENAME TO tenants").await;
    harness.end().await;
}
