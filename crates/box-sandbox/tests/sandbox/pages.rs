//! What pages need: preflights told apart, origins, tokens in parameters, representations, the demo's
//! folder; and tokens that die in mid-life.

use axum::http::Method;
use rsa::sha2::{Digest as _, Sha256};
use serde_json::json;

use crate::bench::{Bench, CONTRACT_PDF, CONTRACTS, ENTERPRISE, Reply};

const PAGE: &str = "https://app.example";

async fn bench() -> Bench {
    let bench = Bench::with(|world, _| {
        world.add_demo_folders();
    })
    .await;
    bench.patch_app(&bench.app.client_id, json!({ "origins": [PAGE] })).await;
    bench
}

#[tokio::test]
async fn a_browsers_preflight_is_told_from_the_preflight_of_an_upload() {
    let bench = bench().await;
    let token = bench.service_token().await;
    let url = format!("{}/2.0/files/content", bench.sandbox.url());
    let options = || bench.http.request(Method::OPTIONS, &url).header("Origin", PAGE);
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
async fn uploads_and_downloads_are_shared_with_the_apps_origins_alone() {
    let bench = bench().await;
    let token = bench.service_token().await;
    let attributes = json!({ "name": "New.txt", "parent": { "id": CONTRACTS } });
    let upload = async |origin: &str| {
        let form = bench.form_upload("/api/2.0/files/content", &token, &attributes, b"x");
        Reply::of(form.header("Origin", origin).send().await.unwrap()).await
    };
    let bad = upload("https://evil.example").await;
    assert_eq!((bad.status.as_u16(), &bad.body["code"]), (403, &json!("cors_origin_not_whitelisted")));
    let good = upload(PAGE).await;
    assert_eq!((good.status.as_u16(), good.header("access-control-allow-origin")), (201, PAGE));

    let file = bench.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=download_url"), &token).await;
    let url = file["download_url"].as_str().unwrap();
    let download = Reply::of(bench.http.get(url).header("Origin", PAGE).send().await.unwrap()).await;
    assert_eq!((download.status.as_u16(), download.header("access-control-allow-origin")), (200, PAGE));
    assert!(download.header("content-disposition").contains("Contract.pdf"));
    let file = bench.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=download_url"), &token).await;
    let url = file["download_url"].as_str().unwrap();
    let foreign = bench.http.get(url).header("Origin", "https://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
}

#[tokio::test]
async fn a_page_reads_why_it_is_refused_and_what_a_fault_says() {
    let bench = bench().await;
    let token = bench.service_token().await;
    let status = async || {
        let get = bench.get(&format!("/2.0/folders/{CONTRACTS}"), &token).header("Origin", PAGE);
        let reply = Reply::of(get.send().await.unwrap()).await;
        assert_eq!(reply.header("access-control-allow-origin"), PAGE);
        reply.status.as_u16()
    };
    let busy = json!({ "status": 429, "retry_after": 1 });
    bench.fault(json!({ "select": { "path": "/2.0/*" }, "effect": busy, "times": 1 })).await;
    assert_eq!((status().await, status().await), (429, 200));
    bench.control("DELETE", "/tokens", None).await;
    assert_eq!(status().await, 401);
}

#[tokio::test]
async fn the_demos_texts_and_pictures_can_be_previewed() {
    let bench = bench().await;
    let parent = bench.service_token().await;
    let demo = bench.read("/2.0/search?query=Demo&type=folder", &parent).await;
    let demo = demo["entries"][0]["id"].as_str().unwrap().to_owned();
    let token = bench.child(&parent, "base_explorer base_preview", &demo).await;
    for (name, media, begins) in
        [("Dawn", "image/png", &b"\x89PNG\r\n"[..]), ("Minutes", "text/plain; charset=utf-8", b"Minutes")]
    {
        let found = bench.read(&format!("/2.0/search?query={name}&fields=representations"), &token).await;
        let template =
            found["entries"][0]["representations"]["entries"][0]["content"]["url_template"].as_str().unwrap();
        let url = template.replace("{+asset_path}", "");
        assert_eq!(bench.http.get(&url).send().await.unwrap().status(), 401);
        let shown = bench.http.get(format!("{url}?access_token={token}")).send().await.unwrap();
        assert_eq!(
            (shown.status().as_u16(), shown.headers()["content-type"].to_str().unwrap()),
            (200, media)
        );
        assert!(shown.bytes().await.unwrap().starts_with(begins));
    }
    let picker = bench.child(&parent, "base_picker", &demo).await;
    let found = bench.read("/2.0/search?query=Dawn&fields=representations", &picker).await;
    assert_eq!(found["entries"][0]["representations"]["entries"], json!([]));
}

#[tokio::test]
async fn a_token_is_killed_in_mid_life_and_the_journal_counts_the_calls_it_made() {
    let bench = bench().await;
    let (first, second) = (bench.service_token().await, bench.service_token().await);
    let folder = format!("/2.0/folders/{CONTRACTS}");
    let path = format!("/tokens/{}", hex::encode(Sha256::digest(&first)));
    assert_eq!(bench.control("DELETE", &path, None).await.status, 204);
    assert_eq!((bench.status(&folder, &first).await, bench.status(&folder, &second).await), (401, 200));
    let all = format!("/tokens?client_id={}&subject=enterprise:{ENTERPRISE}", bench.app.client_id);
    assert_eq!(bench.control("DELETE", &all, None).await.body["count"], 1);
    assert_eq!(bench.status(&folder, &second).await, 401);
    assert_eq!(bench.upload(&second, CONTRACTS, "New.txt", b"x").await.status, 401);
    assert_eq!((bench.count("path=/2.0/*&status=401").await, bench.count("path=*&status=401").await), (2, 3));
    assert_eq!(bench.control("DELETE", "/tokens/00", None).await.status, 404);
}
