//! What Box says of a downscoped token's restriction is compared with what was asked, before the token
//! leaves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::{acme, eventually};
use crate::ground::{FILE, Ground};

const LINK: &str = "https://app.box.com/s/sandbox-20000001002";

fn on_file(scopes: &[&str]) -> Value {
    json!({ "scopes": scopes, "resource": { "type": "file", "id": FILE } })
}

async fn restricts(ground: &Ground, restricted_to: Value) {
    let effect = json!({ "restricted_to": restricted_to });
    ground.fault(json!({ "select": { "grant": "token-exchange" }, "effect": effect })).await;
}

#[tokio::test]
async fn what_box_gave_wider_than_asked_is_refused_and_revoked() {
    let (ground, key) = acme().await;
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
        restricts(&ground, answer.clone()).await;
        let revoked = ground.count("path=/oauth2/revoke").await;
        let reply = ground.downscoped(&key, "acme", body.clone()).await;
        assert!(reply.body.get("access_token").is_none(), "{answer}");
        reply.refuses(502, "upstream_protocol");
        let sha256 = ground.issued("grant=token-exchange").await.pop().unwrap();
        eventually("the token dies", async || ground.known_by_sha256(&sha256).await["live"] == false).await;
        assert_eq!(ground.count("path=/oauth2/revoke").await, revoked + 1);
        // Nor is it kept: after a pause the next request asks Box again.
        ground.heal().await;
        let before = ground.exchanges().await;
        ground.downscoped(&key, "acme", body.clone()).await.refuses(502, "upstream_protocol");
        assert_eq!(ground.exchanges().await, before);
        ground.clock.advance(Duration::from_secs(10));
        let token = ground.downscoped(&key, "acme", body).await.token();
        assert_eq!(ground.known_at_box(&token).await["live"], true);
        assert_eq!(ground.exchanges().await, before + 1);
    }
    ground.end().await;
}

#[tokio::test]
async fn without_a_resource_box_need_not_say_what_it_restricted() {
    let (ground, key) = acme().await;
    restricts(&ground, json!([])).await;
    let body = ground.downscoped(&key, "acme", json!({ "scopes": ["item_preview"] })).await.ok();
    assert_eq!(body["restricted_to"], json!([]));
    ground.end().await;
}

#[tokio::test]
async fn a_setting_turns_the_check_of_restrictions_into_a_warning() {
    let ground = Ground::with(&[("BTB_BOX__RESTRICTED_TO", "warn")], |_, _| {}).await;
    ground.register("acme", &ground.apps.acme).await;
    restricts(&ground, json!([])).await;
    let body = ground.downscoped(&ground.admin, "acme", on_file(&["item_preview"])).await.ok();
    assert_eq!(body["restricted_to"], json!([]));
    ground.end().await;
}
