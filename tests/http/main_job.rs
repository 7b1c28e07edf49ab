//! The whole way once: registered, minted, downscoped, deleted.

use serde_json::json;

use crate::ground::{ADA, FILE, Ground};

#[tokio::test]
async fn a_registered_app_gives_tokens_that_box_takes() {
    let ground = Ground::new().await;
    let tenant = ground.register("acme", &ground.apps.acme).await;
    assert_eq!(tenant["tenant"], "acme");
    let key =
        json!([{ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let key = ground.service("portal", key).await;

    let token = ground.token(&key, "acme").await.token();
    assert_eq!(ground.at_box(&token, "/2.0/users/me").await, 200);
    assert_eq!(ground.token(&key, "acme").await.token(), token);
    let users = ground.user_token(&key, "acme", ADA).await.token();
    assert_ne!(users, token);

    let narrow = json!({ "subject": { "type": "user", "id": ADA }, "scopes": ["item_preview"], "resource": { "type": "file", "id": FILE } });
    let narrow = ground.downscoped(&key, "acme", narrow).await.token();
    assert_eq!(ground.at_box(&narrow, &format!("/2.0/files/{FILE}")).await, 200);

    ground.delete(&ground.admin, "/v1/tenants/acme").await.ok();
    ground.token(&key, "acme").await.refuses(404, "not_found");
    ground.end().await;
}
