//! What Box says of a downscoped token's restriction is compared with what was asked, before the token
//! leaves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{FILE, Harness};
use crate::token_requests::{acme, eventually};

const LINK: &str = "https://app.box.com/s/sandbox-20000001002";

fn on_file(scopes: &[&str]) -> Value {
    json!({ "scopes": scopes, "resource": { "type": "file", "id": FILE } })
}

async fn restricts(harness: &Harness, restricted_to: Value) {
    let effect = json!({ "restricted_to": restricted_to });
    harness.fault(json!({ "select": { "grant": "token-exchange" }, "effect": effect })).await;
}

#[tokio::test]
async fn what_box_gave_wider_than_asked_is_refused_and_revoked() {
    let (harness, key) = acme().await;
    let this = json!({ "type": "file", "id": FILE });
    let other = json!({ "type": "file", "id": "30000001003" });
    let entry = |scope: &str, object: &Value| json!({ "scope": scope, "object": object });
    let on_link = json!({ "scopes": ["item_preview"], "shared_link": LINK });
    let bare = json!({ "scopes": ["item_preview"] });
    for (n, (mut body, answer)) in [
        (on_file(&["item_preview"]), json!([entry("item_preview", &other)])),
        (on_file(&["item_preview"]), json!([entry("item_preview", &this), entry("item_preview", &other)])),
        (
            on_file(&["item_preview"]),
            json!([entry("item_preview", &json!({ "type": "folder", "id": FILE }))]),
        ),
        (on_file(&["item_preview"]), json!([entry("item_preview", &this), entry("item_download", &this)])),
        (on_file(&["item_preview"]), json!([])),
        (on_file(&["item_preview"]), json!([{ "scope": "item_preview" }])),
        (on_link.clone(), json!([])),
        (on_link, json!([entry("item_preview", &this), entry("item_preview", &other)])),
        (bare, json!([{ "scope": "root_readwrite" }])),
    ]
    .into_iter()
    .enumerate()
    {
        // Each asks for a token that was not there before.
        body["annotator"] = json!({ "id": n.to_string(), "name": "Zoe" });
        restricts(&harness, answer.clone()).await;
        let revoked = harness.count("path=/oauth2/revoke").await;
        let reply = harness.downscoped(&key, "acme", body.clone()).await;
        assert!(reply.body.get("access_token").is_none(), "{answer}");
        reply.refuses(502, "upstream_protocol");
        let sha256 = harness.issued("grant=token-exchange").await.pop().unwrap();
        eventually("the token dies", async || harness.known_by_sha256(&sha256).await["live"] == false).await;
        assert_eq!(harness.count("path=/oauth2/revoke").await, revoked + 1);
        // Nor is it kept: after a pause the next request asks Box again.
        harness.heal().await;
        let before = harness.exchanges().await;
        harness.downscoped(&key, "acme", body.clone()).await.refuses(502, "upstream_protocol");
        assert_eq!(harness.exchanges().await, before);
        harness.clock.advance(Duration::from_secs(10));
        let token = harness.downscoped(&key, "acme", body).await.token();
        assert_eq!(harness.known_at_box(&token).await["live"], true);
        assert_eq!(harness.exchanges().await, before + 1);
    }
    harness.end().await;
}

#[tokio::test]
async fn without_a_resource_box_need_not_say_what_it_restricted() {
    let (harness, key) = acme().await;
    restricts(&harness, json!([])).await;
    let body = harness.downscoped(&key, "acme", json!({ "scopes": ["item_preview"] })).await.ok();
    assert_eq!(body["restricted_to"], json!([]));
    harness.end().await;
}

#[tokio::test]
async fn a_setting_turns_the_check_of_restrictions_into_a_warning() {
    let harness = Harness::with(&[("BTB_BOX__RESTRICTED_TO", "warn")], |_, _| {}).await;
    harness.register("acme", &harness.apps.acme).await;
    restricts(&harness, json!([])).await;
    let body = harness.downscoped(&harness.admin, "acme", on_file(&["item_preview"])).await.ok();
    assert_eq!(body["restricted_to"], json!([]));
    harness.end().await;
}
