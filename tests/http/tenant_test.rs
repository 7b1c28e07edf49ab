//! `POST …/test`: each check by itself, and nothing left over.

use serde_json::json;

use crate::asking::eventually;
use crate::diagnosis::{APOLLO, all_pass_but, lines, test};
use crate::ground::{ADA, Ground, NORTH, by_config};

#[tokio::test]
async fn a_test_tells_user_tokens_from_the_as_user_header() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let app = &ground.apps.acme;
    let skipped = [("user_token", "skipped"), ("as_user_header", "skipped")];
    assert_eq!(test(&ground, None).await, all_pass_but(&skipped));
    assert_eq!(test(&ground, Some(ADA)).await, all_pass_but(&[]));
    let header = ("as_user_header", "scope_not_granted");
    let denied = [("user_token", "user_tokens_disabled"), header];
    for (change, user, failed) in [
        (json!({ "user_tokens": false }), ADA, &denied[..1]),
        (json!({ "user_tokens": true, "as_user_header": false }), ADA, &denied[1..]),
        (json!({ "as_user_header": true, "enterprise_access": false }), ADA, &denied[..]),
        // An app user is within reach of a user token, but never of the header.
        (json!({}), APOLLO, &denied[1..]),
        (json!({ "enterprise_access": true }), "999", &[("user_token", "subject_invalid"), header]),
        (json!({ "scopes": ["root_readwrite"] }), ADA, &[("downscope", "scope_not_granted")]),
    ] {
        ground.change_app(app, change.clone()).await;
        assert_eq!(test(&ground, Some(user)).await, all_pass_but(failed), "{change}");
    }
    // What a test mints is ended again.
    let issued = ground.control("GET", "/journal?path=/oauth2/token&status=200", None).await;
    let issued: Vec<String> = issued["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["issued"].as_str().unwrap().to_owned())
        .collect();
    assert!(issued.len() > 15, "{issued:?}");
    let first = &issued[0];
    for token in &issued[1..] {
        eventually("the end of a test's token", async || {
            let seen = ground.control("GET", &format!("/tokens/{token}"), None).await;
            seen["live"] == false
        })
        .await;
    }
    let kept = ground.control("GET", &format!("/tokens/{first}"), None).await;
    assert_eq!(kept["live"], true, "the tenant's own token lives on");
    ground.end().await;
}

#[tokio::test]
async fn a_test_is_asked_for_properly() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    let path = "/v1/tenants/acme/test";
    for body in [json!({ "user": "ada" }), json!({ "user": 1 }), json!({ "users": ADA })] {
        ground.post(&ground.admin, path, body).await.refuses(422, "invalid");
    }
    let grants = json!([{ "tenant": "acme", "permissions": ["tenants:read"] }]);
    let reader = ground.caller("reader", "admin", grants).await;
    ground.call(&reader, "POST", path, None).await.refuses(403, "forbidden");
    ground.call(&reader, "POST", "/v1/tenants/other/test", None).await.refuses(404, "not_found");
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    ground.call(&ground.admin, "POST", path, None).await.refuses(409, "conflict");
    ground.end().await;
}

#[tokio::test]
async fn s14_a_test_of_a_shared_app_finds_another_customers_user_out() {
    let ground = Ground::new().await;
    let config = by_config("", &ground.apps.portal)["config"].clone();
    ground.post(&ground.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    ground.post(&ground.admin, "/v1/tenants", north).await.is(201);
    // Ada of NORTH and Ada of SOUTH: Box gives tokens for both.
    let (own, foreign) = ("10000003001", "10000004001");
    for (user, failed) in [
        (own, &[][..]),
        (foreign, &[("user_token", "subject_invalid"), ("as_user_header", "scope_not_granted")]),
    ] {
        let reply = ground.post(&ground.admin, "/v1/tenants/north/test", json!({ "user": user })).await;
        assert_eq!(lines(&reply.is(200)["diagnosis"]), all_pass_but(failed), "{user}");
        let query = format!("/journal?subject=user:{user}&status=200&grant=jwt-bearer");
        let issued = ground.control("GET", &query, None).await["items"][0]["issued"].clone();
        let issued = format!("/tokens/{}", issued.as_str().unwrap());
        eventually("its end", async || ground.control("GET", &issued, None).await["live"] == false).await;
    }
    ground.end().await;
}
