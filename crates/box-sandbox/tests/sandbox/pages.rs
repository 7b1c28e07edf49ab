//! Calls from web pages: preflights, CORS origins, tokens as query parameters, previews, early revocation.

use axum::http::Method;
use rsa::sha2::{Digest as _, Sha256};
use serde_json::json;

use crate::harness::{CONTRACT_PDF, CONTRACTS, ENTERPRISE, Reply, TestSandbox};

const PAGE: &str = "https://app.example";

async fn sandbox_with_page() -> TestSandbox {
    let sandbox = TestSandbox::with(|world, _| {
        world.add_demo_folders();
    })
    .await;
    sandbox.patch_app(&sandbox.app.client_id, json!({ "origins": [PAGE] })).await;
    sandbox
}

#[tokio::test]
async fn a_cors_preflight_differs_from_an_upload_preflight() {
    let sandbox = sandbox_with_page().await;
    let token = sandbox.service_token().await;
    let url = format!("{}/2.0/files/content", sandbox.server.url());
    let options = || sandbox.http.request(Method::OPTIONS, &url).header("Origin", PAGE);
    let browsers = options()
        .header("Access-Control-Request-Method", "OPTIONS")
        .header("Access-Control-Request-Headers", "authorization,content-type");
    let browsers = Reply::of(browsers.send().await.unwrap()).await;
    assert_eq!((browsers.status.as_u16(), browsers.header("access-control-allow-origin")), (200, PAGE));
    assert!(browsers.header("access-control-allow-methods").contains("OPTIONS"));
    let body = json!({ "name": "New.txt", "parent": { "id": CONTRACTS }, "size": 1 });
    let uploads = Reply::of(options().bearer_auth(&token).json(&body).send().await.unwrap()).await;
    assert_eq!((uploads.status.as_u16(), uploads.header("access-control-allow-origin")), (200, PAGE));
    assert!(uploads.body["upload_url"].is_string());
}

#[tokio::test]
async fn uploads_and_downloads_follow_the_allowed_origins() {
    let sandbox = sandbox_with_page().await;
    let token = sandbox.service_token().await;
    let attributes = json!({ "name": "New.txt", "parent": { "id": CONTRACTS } });
    let upload = async |origin: &str| {
        let form = sandbox.form_upload("/api/2.0/files/content", &token, &attributes, b"x");
        Reply::of(form.header("Origin", origin).send().await.unwrap()).await
    };
    let bad = upload("https://evil.example").await;
    assert_eq!((bad.status.as_u16(), &bad.body["code"]), (403, &json!("cors_origin_not_whitelisted")));
    let good = upload(PAGE).await;
    assert_eq!((good.status.as_u16(), good.header("access-control-allow-origin")), (201, PAGE));

    let file = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=download_url"), &token).await;
    let url = file["download_url"].as_str().unwrap();
    let download = Reply::of(sandbox.http.get(url).header("Origin", PAGE).send().await.unwrap()).await;
    assert_eq!((download.status.as_u16(), download.header("access-control-allow-origin")), (200, PAGE));
    assert!(download.header("content-disposition").contains("Contract.pdf"));
    let file = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=download_url"), &token).await;
    let url = file["download_url"].as_str().unwrap();
    let foreign = sandbox.http.get(url).header("Origin", "https://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
}

#[tokio::test]
async fn a_page_can_read_errors_and_the_responses_of_faults() {
    let sandbox = sandbox_with_page().await;
    let token = sandbox.service_token().await;
    let status = async || {
        let get = sandbox.get(&format!("/2.0/folders/{CONTRACTS}"), &token).header("Origin", PAGE);
        let reply = Reply::of(get.send().await.unwrap()).await;
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
        reply.status.as_u16()
    };
    let busy = json!({ "status": 429, "retry_after": 1 });
    sandbox.fault(json!({ "select": { "path": "/2.0/*" }, "effect": busy, "times": 1 })).await;
    assert_eq!((status().await, status().await), (429, 200));
    sandbox.control("DELETE", "/tokens", None).await;
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn texts_and_pictures_of_the_demo_folder_have_previews() {
    let sandbox = sandbox_with_page().await;
    let parent = sandbox.service_token().await;
    let demo = sandbox.read("/2.0/search?query=Demo&type=folder", &parent).await;
    let demo = demo["entries"][0]["id"].as_str().unwrap().to_owned();
    let token = sandbox.child(&parent, "base_explorer base_preview", &demo).await;
    for (name, media, begins) in
        [("Dawn", "image/png", &b"\x89PNG\r\n"[..]), ("Minutes", "text/plain; charset=utf-8", b"Minutes")]
    {
        let found = sandbox.read(&format!("/2.0/search?query={name}&fields=representations"), &token).await;
        let template =
            found["entries"][0]["representations"]["entries"][0]["content"]["url_template"].as_str().unwrap();
        let url = template.replace("{+asset_path}", "");
        assert_eq!(sandbox.http.get(&url).send().await.unwrap().status(), 401);
        let shown = sandbox.http.get(format!("{url}?access_token={token}")).send().await.unwrap();
        assert_eq!(
            (shown.status().as_u16(), shown.headers()["content-type"].to_str().unwrap()),
            (200, media)
        );
        assert!(shown.bytes().await.unwrap().starts_with(begins));
    }
    let picker = sandbox.child(&parent, "base_picker", &demo).await;
    let found = sandbox.read("/2.0/search?query=Dawn&fields=representations", &picker).await;
    assert_eq!(found["entries"][0]["representations"]["entries"], json!([]));
}

#[tokio::test]
async fn tokens_can_be_revoked_by_the_control_plane_and_the_journal_counts_the_401s() {
    let sandbox = sandbox_with_page().await;
    let (first, second) = (sandbox.service_token().await, sandbox.service_token().await);
    let folder = format!("/2.0/folders/{CONTRACTS}");
    let path = format!("/tokens/{}", hex::encode(Sha256::digest(&first)));
    assert_eq!(sandbox.control("DELETE", &path, None).await.status, 204);
    assert_eq!((sandbox.status(&folder, &first).await, sandbox.status(&folder, &second).await), (401, 200));
    let all = format!("/tokens?client_id={}&subject=enterprise:{ENTERPRISE}", sandbox.app.client_id);
    assert_eq!(sandbox.control("DELETE", &all, None).await.body["count"], 1);
    assert_eq!(sandbox.status(&folder, &second).await, 401);
    assert_eq!(sandbox.upload(&second, CONTRACTS, "New.txt", b"x").await.status, 401);
    assert_eq!(
        (sandbox.count("path=/2.0/*&status=401").await, sandbox.count("path=*&status=401").await),
        (2, 3)
    );
    assert_eq!(sandbox.control("DELETE", "/tokens/00", None).await.status, 404);
}
