//! Sessions with several folders: each item gets the token of the innermost one that it lies in.

use serde_json::{Value, json};

use crate::browser_fixture::{Opened, Scene};
use crate::harness::{FILE, FOLDER, Harness};
use crate::token_requests::eventually;

/// What the sandbox has: a folder below the usual one, a file in it, another folder, and a file elsewhere.
struct Items {
    inner: String,
    inner_file: String,
    other: String,
}

/// Finds items by what Box shows the session's subject.
async fn items(scene: &Scene) -> Items {
    let (harness, admin) = (&scene.harness, &scene.harness.admin);
    let token = harness.user_token(admin, "acme", crate::harness::ADA).await.token();
    let shown = async |folder: &str| -> Vec<Value> {
        let url = format!("{}/2.0/folders/{folder}/items", harness.sandbox.url());
        let text = harness.http.get(url).bearer_auth(&token).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["entries"].as_array().unwrap().clone()
    };
    let id = |item: &Value| item["id"].as_str().unwrap().to_owned();
    let of = |items: &[Value], kind: &str| {
        let mut of_kind = items.iter().filter(|item| item["type"] == kind).map(id);
        of_kind.find(|id| id != FOLDER).unwrap_or_else(|| panic!("no {kind} in {items:?}"))
    };
    let inner = of(&shown(FOLDER).await, "folder");
    Items { inner_file: of(&shown(&inner).await, "file"), other: of(&shown("0").await, "folder"), inner }
}

fn folders(ids: &[&str]) -> Value {
    json!({ "resources": ids.iter().map(|id| json!({ "type": "folder", "id": id })).collect::<Vec<_>>() })
}

/// How often Box was asked where something lies.
async fn looks(harness: &Harness) -> u64 {
    harness.count("path=/2.0/files/*").await + harness.count("path=/2.0/folders/*").await
}

async fn confined_to(harness: &Harness, token: &str) -> String {
    harness.known_at_box(token).await["resource"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn the_innermost_of_several_folders_serves_an_item_and_box_is_asked_once() {
    let scene = Scene::new().await;
    let Items { inner, inner_file, other } = items(&scene).await;
    let session = scene.opened(folders(&[FOLDER, &inner, &other])).await;
    let before = looks(&scene.harness).await;
    let (file, deep) = (format!("file_{FILE}"), format!("file_{inner_file}"));
    let reply = scene.page(&session, &[&file, &deep, &format!("folder_{inner}")]).await;
    assert_eq!(confined_to(&scene.harness, &reply.tokens_of(&file).0).await, FOLDER);
    assert_eq!(confined_to(&scene.harness, &reply.tokens_of(&deep).0).await, inner);
    assert_eq!(confined_to(&scene.harness, &reply.tokens_of(&format!("folder_{inner}")).0).await, inner);
    assert_eq!(looks(&scene.harness).await, before + 2, "an exact resource needs no look");
    scene.page(&session, &[&file, &deep]).await.tokens_of(&deep);
    let another: Opened = scene.opened(folders(&[FOLDER, &other])).await;
    let reply = scene.page(&another, &[&deep]).await;
    assert_eq!(confined_to(&scene.harness, &reply.tokens_of(&deep).0).await, FOLDER);
    assert_eq!(looks(&scene.harness).await, before + 2, "what was seen is remembered");
    scene.end().await;
}

#[tokio::test]
async fn whether_an_item_elsewhere_exists_a_page_does_not_learn() {
    let scene = Scene::new().await;
    let Items { inner, other, .. } = items(&scene).await;
    let session = scene.opened(folders(&[&inner, &other])).await;
    let (elsewhere, absent) = (format!("file_{FILE}"), "file_39999999999");
    let reply = scene.page(&session, &[&elsewhere, absent, &format!("folder_{FOLDER}")]).await;
    for id in [&elsewhere, absent, &format!("folder_{FOLDER}")] {
        assert_eq!(reply.error_of(id), "forbidden");
    }
    assert_eq!(reply.body["errors"][&elsewhere], reply.body["errors"][absent]);
    scene.end().await;
}

#[tokio::test]
async fn many_who_ask_about_an_item_at_once_share_one_look() {
    let scene = Scene::new().await;
    let Items { other, .. } = items(&scene).await;
    let session = scene.opened(folders(&[FOLDER, &other])).await;
    let before = looks(&scene.harness).await;
    let effect = json!({ "latency_ms": 300 });
    scene
        .harness
        .fault(json!({ "select": { "path": format!("/2.0/files/{FILE}") }, "effect": effect }))
        .await;
    let file = format!("file_{FILE}");
    let ids = [file.as_str()];
    let replies = futures::future::join_all((0..30).map(|_| scene.page(&session, &ids))).await;
    for reply in replies {
        reply.tokens_of(&file);
    }
    assert_eq!(looks(&scene.harness).await, before + 1);
    scene.end().await;
}

#[tokio::test]
async fn a_full_token_that_died_at_box_is_minted_anew_for_the_look() {
    let scene = Scene::new().await;
    let Items { other, .. } = items(&scene).await;
    let session = scene.opened(folders(&[FOLDER, &other])).await;
    scene.page(&session, &[&format!("folder_{FOLDER}")]).await;
    let config: Value = serde_json::from_str(&scene.harness.apps.acme.json).unwrap();
    let token = scene.harness.user_token(&scene.harness.admin, "acme", crate::harness::ADA).await.token();
    let form = [
        ("client_id", scene.harness.apps.acme.client_id.as_str()),
        ("client_secret", config["boxAppSettings"]["clientSecret"].as_str().unwrap()),
        ("token", token.as_str()),
    ];
    let url = format!("{}/oauth2/revoke", scene.harness.sandbox.url());
    scene.harness.http.post(url).form(&form).send().await.unwrap();
    eventually("it is dead", async || scene.harness.known_at_box(&token).await["live"] == false).await;
    let file = format!("file_{FILE}");
    scene.page(&session, &[&file]).await.tokens_of(&file);
    scene.end().await;
}

#[tokio::test]
async fn an_outage_of_the_look_is_one_and_the_warm_items_go_on() {
    let scene = Scene::new().await;
    let Items { other, .. } = items(&scene).await;
    let session = scene.opened(folders(&[FOLDER, &other])).await;
    let (folder, file) = (format!("folder_{FOLDER}"), format!("file_{FILE}"));
    scene.page(&session, &[&folder]).await.tokens_of(&folder);
    scene.harness.fault(json!({ "effect": { "status": 503 } })).await;
    scene.page(&session, &[&file]).await.refuses(503, "upstream_unavailable");
    let reply = scene.page(&session, &[&folder, &file]).await;
    reply.tokens_of(&folder);
    assert_eq!(reply.error_of(&file), "upstream_unavailable");
    assert!(reply.body["errors"][&file]["retry_after"].is_u64(), "{reply:?}");
    scene.end().await;
}
