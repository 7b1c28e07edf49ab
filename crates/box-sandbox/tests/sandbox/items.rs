//! API calls: visible items, `As-User`, CORS origins, expired tokens.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{
    ADA, ADAS_NOTES, CONTRACT_PDF, CONTRACTS, CONTRACTS_2024, ENTERPRISE, INVOICES, OTHER_ADA, Reply,
    TestSandbox,
};

fn names(listing: &Value) -> Vec<&str> {
    listing["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_subject_sees_the_items_it_was_invited_to() {
    let sandbox = TestSandbox::new().await;
    let service = sandbox.service_token().await;
    let ada = sandbox.mint("user", ADA).await.token();
    let other = sandbox.mint("user", OTHER_ADA).await.token();
    assert_eq!(names(&sandbox.read("/2.0/folders/0/items", &service).await), ["Contracts", "Invoices"]);
    assert_eq!(names(&sandbox.read("/2.0/folders/0/items", &ada).await), ["Ada's notes", "Contracts"]);
    // As an older SDK writes it.
    assert_eq!(names(&sandbox.read("/2.0/folders/0/items/", &ada).await), ["Ada's notes", "Contracts"]);
    let contracts = format!("/2.0/folders/{CONTRACTS}/items");
    assert_eq!(names(&sandbox.read(&contracts, &ada).await), ["2024", "Contract.pdf"]);
    assert_eq!(names(&sandbox.read(&format!("{contracts}?offset=1&limit=5"), &ada).await), ["Contract.pdf"]);
    assert_eq!(sandbox.status(&format!("/2.0/folders/{INVOICES}"), &ada).await, 404);
    assert_eq!(sandbox.status(&format!("/2.0/folders/{ADAS_NOTES}"), &service).await, 404);
    assert_eq!(sandbox.status(&contracts, &other).await, 404);

    let file = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}"), &ada).await;
    assert_eq!(file["parent"]["id"], CONTRACTS);
    let folder = sandbox.read(&format!("/2.0/folders/{CONTRACTS_2024}"), &ada).await;
    assert_eq!(names(&folder["path_collection"]), ["All Files", "Contracts"]);
    assert_eq!(folder["item_collection"]["total_count"], 1);
}

#[tokio::test]
async fn users_me_contains_the_enterprise_if_selected() {
    let sandbox = TestSandbox::new().await;
    let ada = sandbox.mint("user", ADA).await.token();
    let me = sandbox.read("/2.0/users/me", &ada).await;
    assert_eq!((&me["id"], &me["name"], me.get("enterprise")), (&json!(ADA), &json!("Ada"), None));
    let me = sandbox.read("/2.0/users/me?fields=enterprise", &ada).await;
    assert_eq!(me["enterprise"]["id"], ENTERPRISE);
    assert_eq!(me.get("login"), None);
}

#[tokio::test]
async fn as_user_requires_a_full_service_account_token_and_the_app_setting() {
    let sandbox = TestSandbox::new().await;
    let service = sandbox.service_token().await;
    let as_user = async |token: &str, user: &str| -> Reply {
        Reply::of(sandbox.get("/2.0/users/me", token).header("As-User", user).send().await.unwrap()).await
    };
    assert_eq!(as_user(&service, ADA).await.body["id"], ADA);
    let notes = format!("/2.0/folders/{ADAS_NOTES}");
    let seen = sandbox.get(&notes, &service).header("As-User", ADA).send().await.unwrap();
    assert_eq!(seen.status(), 200);

    let own = sandbox.read("/2.0/users/me", &service).await["id"].as_str().unwrap().to_owned();
    let child = sandbox.exchange(&service, "root_readonly", &[]).await.token();
    let ada = sandbox.mint("user", ADA).await.token();
    for (token, user) in [(&service, own.as_str()), (&service, OTHER_ADA), (&child, ADA), (&ada, ADA)] {
        let reply = as_user(token, user).await;
        assert_eq!(reply.status, 403);
        assert_eq!(reply.body["code"], "access_denied_insufficient_permissions");
    }
    sandbox.patch_app(&sandbox.app.client_id, json!({ "as_user_header": false })).await;
    assert_eq!(as_user(&service, ADA).await.status, 403);
}

#[tokio::test]
async fn a_page_of_an_origin_that_the_app_does_not_allow_is_refused() {
    let sandbox = TestSandbox::new().await;
    sandbox.patch_app(&sandbox.app.client_id, json!({ "origins": ["https://app.example"] })).await;
    let token = sandbox.service_token().await;
    let from = async |origin: &str| {
        Reply::of(sandbox.get("/2.0/folders/0", &token).header("Origin", origin).send().await.unwrap()).await
    };
    let good = from("https://app.example").await;
    assert_eq!(
        (good.status.as_u16(), good.header("access-control-allow-origin")),
        (200, "https://app.example")
    );
    let bad = from("https://evil.example").await;
    assert_eq!((bad.status.as_u16(), bad.header("access-control-allow-origin")), (403, ""));
    assert_eq!(bad.body["code"], "cors_origin_not_whitelisted");

    let url = format!("{}/2.0/folders/0", sandbox.server.url());
    let preflight = sandbox
        .http
        .request(reqwest::Method::OPTIONS, url)
        .header("Origin", "https://evil.example")
        .header("Access-Control-Request-Method", "GET")
        .header("Access-Control-Request-Headers", "authorization");
    let reply = Reply::of(preflight.send().await.unwrap()).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("access-control-allow-headers"), "authorization");
}

#[tokio::test]
async fn tokens_expire_by_the_clock_of_the_sandbox() {
    let sandbox = TestSandbox::new().await;
    let body = json!({ "seconds": 100, "client_id": sandbox.app.client_id });
    assert_eq!(sandbox.control("PUT", "/token-life", Some(body)).await.status, 204);
    let minted = sandbox.mint("enterprise", ENTERPRISE).await;
    assert_eq!(minted.body["expires_in"], 100);
    let token = minted.token();
    sandbox.clock.advance(Duration::from_secs(99));
    assert_eq!(sandbox.status("/2.0/users/me", &token).await, 200);
    sandbox.control("PUT", "/clock", Some(json!({ "skew_seconds": 1 }))).await;
    assert_eq!(sandbox.status("/2.0/users/me", &token).await, 401);
    assert_eq!(sandbox.status("/2.0/users/me", "made-up").await, 401);
    assert_eq!(
        sandbox.http.get(format!("{}/2.0/users/me", sandbox.server.url())).send().await.unwrap().status(),
        401
    );
}

#[tokio::test]
async fn an_app_without_read_scopes_reads_no_items() {
    let sandbox = TestSandbox::new().await;
    sandbox.patch_app(&sandbox.app.client_id, json!({ "scopes": ["manage_groups"] })).await;
    let token = sandbox.service_token().await;
    assert_eq!(sandbox.status("/2.0/folders/0/items", &token).await, 403);
    assert_eq!(sandbox.status("/2.0/users/me", &token).await, 200);
}
