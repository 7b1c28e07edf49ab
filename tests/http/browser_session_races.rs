//! What changes while a page waits for the last of its tokens counts for those that were ready before.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser_fixture::{Opened, Scene, any_session, but};
use crate::harness::{FILE, FOLDER};
use crate::response::Reply;
use crate::token_requests::{events, meanwhile};

/// What a page hears that asked for a folder's token, which was ready, and for a file's, for which Box took
/// its time while `change` happened.
async fn waiting(scene: &Scene, session: &Opened, change: impl Future<Output = ()>) -> Reply {
    let (folder, file) = (format!("folder_{FOLDER}"), format!("file_{FILE}"));
    scene.page(session, &[&folder]).await.tokens_of(&folder);
    let ids = [folder.as_str(), file.as_str()];
    let ask = scene.page(session, &ids);
    meanwhile(&scene.harness, "token-exchange", ask, change).await
}

async fn on_a_folder_and_a_file(scene: &Scene) -> Opened {
    let resources = json!([{ "type": "folder", "id": FOLDER }, { "type": "file", "id": FILE }]);
    Opened::of(scene.open(but(json!({ "resources": resources }))).await)
}

#[tokio::test]
async fn r7_a_session_that_is_cancelled_meanwhile_gives_no_token_that_was_ready() {
    let scene = Scene::new().await;
    let session = on_a_folder_and_a_file(&scene).await;
    let reply = waiting(&scene, &session, scene.cancel(&session)).await;
    reply.refuses(401, "session_cancelled");
    scene.end().await;
}

#[tokio::test]
async fn r7_a_tenant_that_is_suspended_or_locked_meanwhile_gives_no_token_that_was_ready() {
    let scene = Scene::new().await;
    let session = on_a_folder_and_a_file(&scene).await;
    let suspend = async { drop(scene.harness.change_tenant("acme", json!({ "state": "suspended" })).await) };
    waiting(&scene, &session, suspend).await.refuses(403, "tenant_suspended");
    scene.harness.change_tenant("acme", json!({ "state": "active" })).await;
    scene.harness.clock.advance(Duration::from_secs(5000));
    let session = on_a_folder_and_a_file(&scene).await;
    let lock = async { drop(scene.harness.lock_down(&scene.harness.admin, "tenants/acme").await.is(200)) };
    waiting(&scene, &session, lock).await.refuses(401, "session_cancelled");
    scene.end().await;
}

#[tokio::test]
async fn r7_an_origin_or_a_grant_that_is_taken_away_meanwhile_gives_no_token_that_was_ready() {
    let scene = Scene::new().await;
    let session = on_a_folder_and_a_file(&scene).await;
    let policy = json!({ "policy": { "browser_origins": ["https://elsewhere.example"] } });
    let away = async { drop(scene.harness.change_tenant("acme", policy).await) };
    waiting(&scene, &session, away).await.refuses(403, "origin_not_allowed");
    scene.harness.pages_of("acme").await;
    scene.harness.clock.advance(Duration::from_secs(5000));
    let session = on_a_folder_and_a_file(&scene).await;
    let narrow = async {
        let mut grants = any_session("acme");
        grants[0]["resources"] = json!([{ "type": "file", "id": "39999999999" }]);
        let change: Value = json!({ "grants": grants });
        scene.harness.patch(&scene.harness.admin, "/v1/callers/portal", change).await.is(200);
    };
    let reply = waiting(&scene, &session, narrow).await;
    for id in [format!("folder_{FOLDER}"), format!("file_{FILE}")] {
        assert_eq!(reply.error_of(&id), "forbidden");
    }
    // Once each, though they were judged when they were ready and again when they were to leave.
    scene.harness.broker().write_counts().await;
    let told = events(&scene.harness, "token.release").await;
    let refused = told.iter().filter(|event| event["reason"] == "grant.resources");
    let counts: Vec<&Value> = refused.map(|event| &event["count"]).collect();
    assert_eq!(counts, [&json!(1), &json!(1)], "{told:?}");
    scene.end().await;
}
