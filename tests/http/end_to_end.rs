//! The whole way once: registered, minted, downscoped, deleted.

use serde_json::json;

use crate::harness::{ADA, FILE, Harness};

#[tokio::test]
async fn a_registered_app_gives_tokens_that_box_takes() {
    let harness = Harness::new().await;
    let tenant = harness.register("acme", &harness.apps.acme).await;
    assert_eq!(tenant["tenant"], "acme");
    let key =
        json!([{ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let key = harness.service("portal", key).await;

    let token = harness.token(&key, "acme").await.token();
    assert_eq!(harness.at_box(&token, "/2.0/users/me").await, 200);
    assert_eq!(harness.token(&key, "acme").await.token(), token);
    let users = harness.user_token(&key, "acme", ADA).await.token();
    assert_ne!(users, token);

    let narrow = json!({ "subject": { "type": "user", "id": ADA }, "scopes": ["item_preview"], "resource": { "type": "file", "id": FILE } });
    let narrow = harness.downscoped(&key, "acme", narrow).await.token();
    assert_eq!(harness.at_box(&narrow, &format!("/2.0/files/{FILE}")).await, 200);

    harness.delete(&harness.admin, "/v1/tenants/acme").await.ok();
    harness.token(&key, "acme").await.refuses(404, "not_found");
    harness.end().await;
}
