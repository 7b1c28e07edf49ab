//! `POST …/test`: each check by itself, and nothing left over.

use serde_json::json;

use crate::diagnosis::{APOLLO, all_pass_but, lines, test};
use crate::harness::{ADA, Harness, NORTH, by_config};
use crate::token_requests::eventually;

#[tokio::test]
async fn a_test_tells_user_tokens_from_the_as_user_header() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let app = &harness.apps.acme;
    let skipped = [("user_token", "skipped"), ("as_user_header", "skipped")];
    assert_eq!(test(&harness, None).await, all_pass_but(&skipped));
    assert_eq!(test(&harness, Some(ADA)).await, all_pass_but(&[]));
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
        harness.change_app(app, change.clone()).await;
        assert_eq!(test(&harness, Some(user)).await, all_pass_but(failed), "{change}");
    }
    // What a test mints is ended again.
    let issued = harness.control("GET", "/journal?path=/oauth2/token&status=200", None).await;
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
            let seen = harness.control("GET", &format!("/tokens/{token}"), None).await;
            seen["live"] == false
        })
        .await;
    }
    let kept = harness.control("GET", &format!("/tokens/{first}"), None).await;
    assert_eq!(kept["live"], true, "the tenant's own token lives on");
    harness.end().await;
}

#[tokio::test]
async fn a_test_is_asked_for_properly() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let path = "/v1/tenants/acme/test";
    for body in [json!({ "user": "ada" }), json!({ "user": 1 }), json!({ "users": ADA })] {
        harness.post(&harness.admin, path, body).await.refuses(422, "invalid");
    }
    let grants = json!([{ "tenant": "acme", "permissions": ["tenants:read"] }]);
    let reader = harness.caller("reader", "admin", grants).await;
    harness.call(&reader, "POST", path, None).await.refuses(403, "forbidden");
    harness.call(&reader, "POST", "/v1/tenants/other/test", None).await.refuses(404, "not_found");
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    harness.call(&harness.admin, "POST", path, None).await.refuses(409, "conflict");
    harness.end().await;
}

#[tokio::test]
async fn s14_a_test_of_a_shared_app_finds_another_customers_user_out() {
    let harness = Harness::new().await;
    let config = by_config("", &harness.apps.portal)["config"].clone();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
    // Ada of NORTH and Ada of SOUTH: Box gives tokens for both.
    let (own, foreign) = ("10000003001", "10000004001");
    for (user, failed) in [
        (own, &[][..]),
        (foreign, &[("user_token", "subject_invalid"), ("as_user_header", "scope_not_granted")]),
    ] {
        let reply = harness.post(&harness.admin, "/v1/tenants/north/test", json!({ "user": user })).await;
        assert_eq!(lines(&reply.is(200)["diagnosis"]), all_pass_but(failed), "{user}");
        let query = format!("/journal?subject=user:{user}&status=200&grant=jwt-bearer");
        let issued = harness.control("GET", &query, None).await["items"][0]["issued"].clone();
        let issued = format!("/tokens/{}", issued.as_str().unwrap());
        eventually("its end", async || harness.control("GET", &issued, None).await["live"] == false).await;
    }
    harness.end().await;
}
