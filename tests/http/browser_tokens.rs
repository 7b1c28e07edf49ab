//! What pages get with a browser session, and what they do not.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser_fixture::{INTRANET, Opened, PORTAL, Scene, TOKENS, usual};
use crate::harness::{ADA, FILE, FOLDER, GRACE};
use crate::response::Reply;
use crate::token_requests::{events, user};

/// Typed ids of what the first enterprise has.
fn ids() -> (String, String) {
    (format!("folder_{FOLDER}"), format!("file_{FILE}"))
}

#[tokio::test]
async fn a_page_gets_tokens_that_reach_what_the_session_says_and_no_further() {
    let scene = Scene::new().await;
    let (folder, file) = ids();
    let write = json!({ "scopes": ["base_explorer", "item_upload", "item_rename"] });
    let session = scene.opened(json!({ "write": write, "on_behalf_of": "ada@example.com" })).await;
    let reply = scene.page(&session, &[&folder, &file]).await;
    assert_eq!(reply.header("cache-control"), "no-store");
    let ((read, write), of_file) = (reply.tokens_of(&folder), reply.tokens_of(&file));
    let write = write.unwrap();
    assert_eq!(of_file, (read.clone(), Some(write.clone())), "the only folder serves what it holds");
    assert_ne!(read, write);
    for (token, scopes) in [
        (
            &read,
            vec![
                "base_explorer",
                "item_delete",
                "item_download",
                "item_preview",
                "item_rename",
                "item_share",
                "item_upload",
            ],
        ),
        (&write, vec!["base_explorer", "item_rename", "item_upload"]),
    ] {
        let known = scene.harness.known_at_box(token).await;
        assert_eq!(known["scopes"], json!(scopes), "{known}");
        assert!(known["parent"].is_string(), "{known}");
        assert_eq!(known["resource"]["id"], FOLDER, "{known}");
    }
    assert_eq!(scene.harness.at_box(&read, &format!("/2.0/folders/{FOLDER}/items")).await, 200);
    assert_eq!(reply.body["errors"], json!({}));
    assert!(reply.body["refresh_at"].as_str() < reply.body["expires_at"].as_str(), "{reply:?}");
    scene.end().await;
}

#[tokio::test]
async fn a_warm_page_touches_neither_the_store_nor_box() {
    let scene = Scene::new().await;
    let (folder, file) = ids();
    let session = scene.opened(json!({})).await;
    // Once what changed before came back by the log, nothing is looked up any more.
    scene.harness.broker().poll_changes().await;
    let first = scene.page(&session, &[&folder]).await;
    let calls = scene.harness.count("").await;
    let hand = scene.harness.hand();
    for table in ["sessions", "callers", "tenants", "tokens"] {
        hand.does(&format!("ALTER TABLE {table} RENAME TO hidden_{table}")).await;
    }
    for _ in 0..20 {
        let again = scene.page(&session, &[&folder, &file]).await;
        assert_eq!(again.tokens_of(&file), first.tokens_of(&folder));
    }
    for table in ["sessions", "callers", "tenants", "tokens"] {
        hand.does(&format!("ALTER TABLE hidden_{table} RENAME TO {table}")).await;
    }
    assert_eq!(scene.harness.count("").await, calls);
    scene.end().await;
}

#[tokio::test]
async fn what_is_no_item_of_the_session_is_told_item_by_item() {
    let scene = Scene::new().await;
    let (folder, file) = ids();
    let session = scene.opened(json!({ "resources": [{ "type": "file", "id": FILE }] })).await;
    let odd = ["web_link_1", "file_", "file_x", "folder_1 ", "", "file_123456789012345678901", "FILE_1"];
    let mut all = odd.to_vec();
    all.extend([file.as_str(), &folder, &file]);
    let reply = scene.page(&session, &all).await;
    reply.tokens_of(&file);
    assert_eq!(reply.error_of(&folder), "forbidden");
    for id in odd {
        assert_eq!(reply.error_of(id), "invalid", "{id}");
    }
    // A file that the subject does not see is no outage.
    let unseen = scene.opened(json!({ "resources": [{ "type": "file", "id": "39999999999" }] })).await;
    assert_eq!(
        scene.page(&unseen, &["file_39999999999"]).await.error_of("file_39999999999"),
        "resource_not_visible"
    );
    assert_eq!(scene.page(&unseen, &["file_39999999999"]).await.body["expires_at"], Value::Null);
    let many: Vec<String> = (0..1001).map(|number| format!("file_{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(scene.page(&session, &many).await.refuses(422, "invalid")["errors"][0]["pointer"], "/ids");
    scene.page(&session, &[]).await.refuses(422, "invalid");
    let reply = scene.page(&session, &many[..1000]).await;
    assert_eq!(reply.body["errors"].as_object().unwrap().len(), 1000);
    scene.end().await;
}

#[tokio::test]
async fn each_release_is_within_the_grants_and_the_policy_of_the_moment() {
    let scene = Scene::new().await;
    let (folder, _) = ids();
    let write = json!({ "preset": "uploader" });
    let session = scene.opened(json!({ "write": write })).await;
    scene.page(&session, &[&folder]).await.tokens_of(&folder).1.expect("a token to write");
    let policy = |policy: Value| scene.harness.change_tenant("acme", json!({ "policy": policy }));
    // What may not be written may be read all the same.
    policy(json!({ "scopes": ["base_explorer", "item_preview", "item_download", "item_rename", "item_share", "item_delete", "item_upload"] })).await;
    assert_eq!(scene.page(&session, &[&folder]).await.tokens_of(&folder).1, None);
    policy(json!({ "scopes": ["base_upload"] })).await;
    assert_eq!(scene.page(&session, &[&folder]).await.error_of(&folder), "forbidden");
    policy(json!({ "scopes": null, "subjects": ["enterprise"] })).await;
    assert_eq!(scene.page(&session, &[&folder]).await.error_of(&folder), "forbidden");
    policy(json!({ "subjects": null, "require_on_behalf_of": true })).await;
    assert_eq!(scene.page(&session, &[&folder]).await.error_of(&folder), "forbidden");
    policy(json!({ "require_on_behalf_of": null })).await;
    scene.page(&session, &[&folder]).await.tokens_of(&folder);
    let grants = |change: Value| {
        let mut grant =
            json!({ "tenant": "acme", "permissions": ["sessions:create"], "subjects": ["user:*"] });
        grant.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        scene.harness.patch(&scene.harness.admin, "/v1/callers/portal", json!({ "grants": [grant] }))
    };
    for change in [
        json!({ "subjects": ["enterprise", format!("user:{GRACE}")] }),
        json!({ "permissions": ["tokens:mint", "tokens:downscope"] }),
        json!({ "scopes": ["base_upload", "item_preview"] }),
        json!({ "resources": [{ "type": "file", "id": FILE }] }),
    ] {
        grants(change.clone()).await.is(200);
        assert_eq!(scene.page(&session, &[&folder]).await.error_of(&folder), "forbidden", "{change}");
    }
    grants(json!({ "resources": [{ "type": "folder", "id": FOLDER }] })).await.is(200);
    scene.page(&session, &[&folder]).await.tokens_of(&folder);
    scene.harness.patch(&scene.harness.admin, "/v1/callers/portal", json!({ "grants": [] })).await.is(200);
    assert_eq!(scene.page(&session, &[&folder]).await.error_of(&folder), "forbidden");
    scene.end().await;
}

#[tokio::test]
async fn tokens_are_for_pages_of_the_sessions_origins_that_the_policy_still_names() {
    let scene = Scene::new().await;
    let (folder, _) = ids();
    let session = scene.opened(json!({})).await;
    scene.page(&session, &[&folder]).await.tokens_of(&folder);
    for origin in [
        INTRANET,
        "https://evil.example",
        "null",
        "https://portal.example.com.evil.example",
        "http://portal.example.com",
        "*",
    ] {
        scene.harness.page(origin, &session.text, &[&folder]).await.refuses(403, "origin_not_allowed");
    }
    let bare = scene.harness.http.post(scene.harness.url(TOKENS)).bearer_auth(&session.text);
    let bare = Reply::of(bare.json(&json!({ "ids": [folder] })).send().await.unwrap()).await;
    assert_eq!(bare.headers.get("access-control-allow-origin"), None);
    bare.refuses(403, "origin_not_allowed");
    let both = scene.harness.http.post(scene.harness.url(TOKENS)).bearer_auth(&session.text);
    let both = both.header("origin", PORTAL).header("origin", INTRANET);
    let both = Reply::of(both.json(&json!({ "ids": [folder] })).send().await.unwrap()).await;
    both.refuses(403, "origin_not_allowed");
    let narrowed = json!({ "policy": { "browser_origins": [INTRANET] } });
    scene.harness.change_tenant("acme", narrowed).await;
    scene.page(&session, &[&folder]).await.refuses(403, "origin_not_allowed");
    scene.harness.broker().write_counts().await;
    let refused = events(&scene.harness, "token.release").await;
    let refused: Vec<_> = refused.iter().filter(|event| event["reason"] == "session.origins").collect();
    assert!(!refused.is_empty());
    for event in refused {
        assert_eq!(event["actor"]["caller"]["credential"]["session"], session.id, "{event}");
        assert_eq!(event["subject"], user(ADA), "{event}");
    }
    scene.end().await;
}

#[tokio::test]
async fn the_audit_tells_which_session_had_which_token_for_whom() {
    let scene = Scene::new().await;
    let (folder, _) = ids();
    let session = scene.opened(json!({ "on_behalf_of": "ada@example.com" })).await;
    scene.page(&session, &[&folder]).await.tokens_of(&folder);
    scene.page(&session, &["file_x"]).await;
    scene.cancel(&session).await;
    scene.page(&session, &[&folder]).await.refuses(401, "session_cancelled");
    scene.harness.broker().write_counts().await;
    let read =
        scene.harness.get(&scene.harness.admin, "/v1/audit?tenant=acme&on_behalf_of=ada@example.com").await;
    let items = read.is(200)["items"].as_array().unwrap().clone();
    let of = |action: &str| -> Vec<&Value> { items.iter().filter(|item| item["action"] == action).collect() };
    let by_session = json!({ "type": "browser_session", "id": session.id });
    assert_eq!(of("session.create").len(), 1);
    assert!(of("session.create")[0]["detail"].as_str().unwrap().starts_with(&session.id));
    let releases = of("token.release");
    let done: Vec<_> = releases.iter().filter(|item| item["outcome"] == "done").collect();
    assert_eq!(done.len(), 1);
    assert_eq!(done[0]["credential"], by_session);
    assert_eq!(done[0]["caller"]["name"], "portal");
    assert_eq!(done[0]["resource"], json!({ "type": "folder", "id": FOLDER }));
    assert!(done[0]["fingerprint"].is_string());
    let refused: Vec<_> = releases.iter().filter(|item| item["reason"] == "session_cancelled").collect();
    assert_eq!((refused.len(), &refused[0]["detail"]), (1, &json!(session.id)));
    assert_eq!(of("token.downscope")[0]["credential"], by_session, "the mint is the session's too");
    scene.end().await;
}

#[tokio::test]
async fn a_page_is_refreshed_in_time_and_a_promise_is_kept() {
    let scene = Scene::new().await;
    let (folder, _) = ids();
    let session = scene.opened(json!({ "ttl": 28800, "min_ttl": 1200 })).await;
    let first = scene.page(&session, &[&folder]).await;
    scene.harness.clock.advance(Duration::from_secs(3000));
    let second = scene.page(&session, &[&folder]).await;
    assert_ne!(first.tokens_of(&folder), second.tokens_of(&folder), "less than 1200 s of the first are left");
    scene.harness.clock.advance(Duration::from_secs(28800 - 3000));
    scene.page(&session, &[&folder]).await.refuses(401, "session_expired");
    let greedy: Opened = scene.opened(json!({ "min_ttl": 3000 })).await;
    scene.harness.token_lives(1800, 1800).await;
    scene.harness.change_tenant("acme", json!({ "state": "suspended" })).await;
    scene.page(&greedy, &[&folder]).await.refuses(403, "tenant_suspended");
    scene.harness.change_tenant("acme", json!({ "state": "active" })).await;
    let usual = Opened::of(scene.open(usual()).await);
    scene.page(&usual, &[&folder]).await.tokens_of(&folder);
    scene.end().await;
}

#[tokio::test]
async fn an_outage_is_told_from_a_logout() {
    let scene = Scene::new().await;
    let (folder, _) = ids();
    let session = scene.opened(json!({})).await;
    scene.harness.fault(json!({ "effect": { "status": 503 } })).await;
    let problem = scene.page(&session, &[&folder]).await.refuses(503, "upstream_unavailable");
    assert_eq!(problem["retry"], "after");
    scene.harness.heal().await;
    scene.harness.clock.advance(Duration::from_secs(2));
    scene.page(&session, &[&folder]).await.tokens_of(&folder);
    let other = scene.opened(json!({})).await;
    scene.cancel(&other).await;
    scene.page(&other, &[&folder]).await.refuses(401, "session_cancelled");
    scene.end().await;
}
