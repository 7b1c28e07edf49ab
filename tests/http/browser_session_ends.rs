//! What ends a session, how soon, and that nothing brings one back.

use std::time::Duration;

use box_token_broker::auth::api_key;
use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::id::SessionId;
use serde_json::{Value, json};

use crate::browser_fixture::{Opened, Scene, any_session, usual};
use crate::harness::FOLDER;
use crate::issuer_fixture;
use crate::other_processes::{another, event};

fn folder() -> String {
    format!("folder_{FOLDER}")
}

impl Scene {
    async fn serves(&self, session: &Opened) {
        self.page(session, &[&folder()]).await.tokens_of(&folder());
    }

    async fn has_ended(&self, session: &Opened) {
        self.page(session, &[&folder()]).await.refuses(401, "session_cancelled");
    }

    /// A session that another key of the portal's opened.
    async fn by_another_key(&self, until: Value) -> (Opened, String) {
        let key = self
            .harness
            .post(&self.harness.admin, "/v1/callers/portal/keys", json!({ "expires_at": until }))
            .await;
        let key = key.is(201)["key"].as_str().unwrap().to_owned();
        let session = self.harness.post(&key, "/v1/tenants/acme/browser-sessions", usual()).await;
        (Opened::of(session), format!("/v1/callers/portal/keys/{}", api_key::id_of(&key).unwrap()))
    }
}

#[tokio::test]
async fn a_session_ends_with_the_key_that_opened_it_and_no_other() {
    let scene = Scene::new().await;
    let (session, key) = scene.by_another_key(Value::Null).await;
    let other = scene.opened(json!({})).await;
    scene.serves(&session).await;
    scene.harness.delete(&scene.harness.admin, &key).await.is(204);
    scene.has_ended(&session).await;
    scene.serves(&other).await;
    let listed = scene.harness.get(&scene.portal, "/v1/tenants/acme/browser-sessions").await.is(200);
    for item in listed["items"].as_array().unwrap() {
        assert_eq!(item["cancelled_at"].is_string(), item["id"] == session.id, "lists say so too: {listed}");
    }
    let (session, _) = scene.by_another_key(json!("2026-01-02T03:05:05Z")).await;
    scene.serves(&session).await;
    scene.harness.clock.advance(Duration::from_secs(60));
    scene.has_ended(&session).await;
    scene.end().await;
}

#[tokio::test]
async fn a_session_lives_no_longer_than_the_policy_of_the_moment_lets_it() {
    let scene = Scene::new().await;
    let session = scene.opened(json!({ "ttl": 3600 })).await;
    scene.harness.change_tenant("acme", json!({ "policy": { "max_session_ttl": 60 } })).await;
    scene.serves(&session).await;
    scene.harness.clock.advance(Duration::from_secs(60));
    scene.page(&session, &[&folder()]).await.refuses(401, "session_expired");
    scene.end().await;
}

#[tokio::test]
async fn a_session_ends_with_its_caller_locked_or_deleted() {
    let mut scene = Scene::new().await;
    let session = scene.opened(json!({})).await;
    scene.serves(&session).await;
    let toll = scene.harness.lock_down(&scene.harness.admin, "callers/portal").await.is(200);
    assert_eq!(toll["sessions"], 1);
    // A caller's lockdown reaches what its sessions gave.
    assert!(toll["tokens"].as_u64().unwrap() >= 1, "{toll}");
    scene.has_ended(&session).await;
    let lifted = json!({ "state": "active" });
    scene.harness.patch(&scene.harness.admin, "/v1/callers/portal", lifted).await.is(200);
    scene.has_ended(&session).await;
    let session = scene.opened(json!({})).await;
    scene.serves(&session).await;
    scene.harness.delete(&scene.harness.admin, "/v1/callers/portal").await.is(204);
    scene.has_ended(&session).await;
    scene.harness.restart().await;
    scene.has_ended(&session).await;
    // Whoever bears the name next inherits nothing.
    scene.harness.service("portal", any_session("acme")).await;
    scene.has_ended(&session).await;
    scene.end().await;
}

#[tokio::test]
async fn a_lockdown_of_tenant_or_app_ends_its_sessions_for_good_and_no_others() {
    let scene = Scene::new().await;
    scene.harness.register("globex", &scene.harness.apps.globex).await;
    scene.harness.pages_of("globex").await;
    let every = scene.harness.service("every", any_session("*")).await;
    let theirs = scene.harness.post(&every, "/v1/tenants/globex/browser-sessions", json!({
        "resources": [{ "type": "folder", "id": "0" }], "read": { "preset": "picker" }, "origins": [crate::browser_fixture::PORTAL],
    })).await;
    let theirs = Opened::of(theirs);
    let sessions = [scene.opened(json!({})).await, scene.opened(json!({ "on_behalf_of": "ada" })).await];
    scene.serves(&sessions[0]).await;
    let toll = scene.harness.lock_down(&scene.harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll["sessions"], 2);
    assert_eq!(scene.harness.lock_down(&scene.harness.admin, "tenants/acme").await.is(200)["sessions"], 0);
    scene.open(usual()).await.refuses(403, "tenant_suspended");
    for session in &sessions {
        scene.has_ended(session).await;
    }
    scene.harness.change_tenant("acme", json!({ "state": "active" })).await;
    scene.has_ended(&sessions[0]).await;
    scene.page(&theirs, &["folder_0"]).await.tokens_of("folder_0");
    scene.harness.two_on_one_app().await;
    scene.harness.pages_of("north").await;
    let north = scene.harness.post(&every, "/v1/tenants/north/browser-sessions", json!({
        "resources": [{ "type": "folder", "id": "0" }], "read": { "preset": "picker" }, "origins": [crate::browser_fixture::PORTAL],
    })).await;
    let north = Opened::of(north);
    assert_eq!(scene.harness.lock_down(&scene.harness.admin, "apps/vendor").await.is(200)["sessions"], 1);
    scene.page(&north, &["folder_0"]).await.refuses(401, "session_cancelled");
    scene.page(&theirs, &["folder_0"]).await.tokens_of("folder_0");
    scene.end().await;
}

#[tokio::test]
async fn a_suspended_tenants_sessions_wait_and_a_deleted_ones_are_over() {
    let mut scene = Scene::new().await;
    let session = scene.opened(json!({ "ttl": 28800 })).await;
    let state = |state: &str| scene.harness.change_tenant("acme", json!({ "state": state }));
    state("suspended").await;
    scene.page(&session, &[&folder()]).await.refuses(403, "tenant_suspended");
    state("active").await;
    scene.serves(&session).await;
    scene.harness.delete(&scene.harness.admin, "/v1/tenants/acme").await.is(204);
    scene.has_ended(&session).await;
    state("active").await;
    scene.has_ended(&session).await;
    let session = scene.opened(json!({ "ttl": 28800 })).await;
    scene.serves(&session).await;
    scene.harness.delete(&scene.harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    scene.page(&session, &[&folder()]).await.refuses(401, "unauthenticated");
    scene.harness.restart().await;
    scene.page(&session, &[&folder()]).await.refuses(401, "unauthenticated");
    assert!(scene.harness.hand().reads("SELECT id FROM sessions").await.is_empty());
    scene.end().await;
}

#[tokio::test]
async fn a_session_that_a_token_of_an_issuer_opened_outlives_the_token_and_ends_with_the_trust() {
    let scene = issuer_fixture::Scene::bare(&[]).await;
    let harness = &scene.harness;
    harness.pages_of("acme").await;
    harness.service("job", any_session("acme")).await;
    let trust = scene.trust("job", json!({})).await.is(201)["id"].as_str().unwrap().to_owned();
    let token = scene.token(json!({}));
    let session = Opened::of(harness.post(&token, "/v1/tenants/acme/browser-sessions", usual()).await);
    harness.clock.advance(Duration::from_secs(1800));
    let page = async || harness.page(crate::browser_fixture::PORTAL, &session.text, &[&folder()]).await;
    page().await.tokens_of(&folder());
    harness.delete(&harness.admin, &format!("/v1/callers/job/trusts/{trust}")).await.is(204);
    page().await.refuses(401, "session_cancelled");
    scene.trust("job", json!({})).await.is(201);
    page().await.refuses(401, "session_cancelled");
    scene.harness.end().await;
}

#[tokio::test]
async fn r7_a_session_that_another_process_cancels_gives_nothing_once_it_is_heard() {
    let scene = Scene::new().await;
    let session = scene.opened(json!({})).await;
    scene.serves(&session).await;
    let store = another(&scene.harness).await;
    let id = SessionId::parse(&session.id).unwrap();
    let cancelled = event(&scene.harness, AuditAction::SessionCancel);
    assert_eq!(store.cancel_browser_sessions(&[id], &cancelled).await.unwrap(), 1);
    scene.harness.broker().poll_changes().await;
    scene.has_ended(&session).await;
    scene.end().await;
}

#[tokio::test]
async fn r7_a_session_is_over_two_seconds_after_it_was_cancelled_elsewhere_though_nobody_heard() {
    let scene = Scene::new().await;
    let sessions = [scene.opened(json!({})).await, scene.opened(json!({})).await];
    for session in &sessions {
        scene.serves(session).await;
    }
    let store = another(&scene.harness).await;
    let id = SessionId::parse(&sessions[0].id).unwrap();
    store.cancel_browser_sessions(&[id], &event(&scene.harness, AuditAction::SessionCancel)).await.unwrap();
    // Nobody asked the log for more than two seconds, so the request itself does.
    scene.harness.clock.advance(Duration::from_millis(2001));
    scene.has_ended(&sessions[0]).await;
    // A line that was taken out of the log leaves a hole, and all is looked up anew.
    let id = SessionId::parse(&sessions[1].id).unwrap();
    store.cancel_browser_sessions(&[id], &event(&scene.harness, AuditAction::SessionCancel)).await.unwrap();
    scene.harness.hand().does("DELETE FROM changes WHERE number = (SELECT MAX(number) FROM changes)").await;
    scene.harness.hand().does("DELETE FROM changes WHERE number = (SELECT MAX(number) FROM changes)").await;
    scene.harness.clock.advance(Duration::from_millis(2001));
    scene.has_ended(&sessions[1]).await;
    scene.end().await;
}

#[tokio::test]
async fn sessions_are_found_again_after_a_restart_and_swept_out_a_day_after_their_end() {
    let mut scene = Scene::new().await;
    let (going, cancelled) = (scene.opened(json!({})).await, scene.opened(json!({})).await);
    scene.cancel(&cancelled).await;
    scene.serves(&going).await;
    scene.harness.restart().await;
    let calls = scene.harness.exchanges().await;
    scene.serves(&going).await;
    assert_eq!(scene.harness.exchanges().await, calls, "the tokens are found again too");
    scene.has_ended(&cancelled).await;
    scene.harness.clock.advance(Duration::from_secs(3600));
    scene.page(&going, &[&folder()]).await.refuses(401, "session_expired");
    scene.harness.broker().run_housekeeping().await;
    scene.harness.restart().await;
    scene.page(&going, &[&folder()]).await.refuses(401, "session_expired");
    scene.harness.clock.advance(Duration::from_hours(24));
    scene.harness.broker().run_housekeeping().await;
    assert!(scene.harness.hand().reads("SELECT id FROM sessions").await.is_empty());
    scene.harness.restart().await;
    scene.page(&going, &[&folder()]).await.refuses(401, "unauthenticated");
    scene.end().await;
}

#[tokio::test]
async fn a_rotated_session_key_goes_on_verifying_and_one_that_is_gone_ends_its_sessions() {
    let mut scene = Scene::new().await;
    let old = scene.opened(json!({})).await;
    scene.harness.stop().await;
    let path = scene.harness.key_file();
    let mut keys: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let mut new = keys["session"][0].clone();
    new["id"] = json!("session.next-one");
    new["key"] = json!(data_encoding::BASE64.encode(&[7; 32]));
    keys["session"][0]["state"] = json!("retired");
    keys["session"].as_array_mut().unwrap().push(new);
    std::fs::write(&path, keys.to_string()).unwrap();
    scene.harness.start().await;
    scene.serves(&old).await;
    let fresh = scene.opened(json!({})).await;
    scene.serves(&fresh).await;
    scene.harness.stop().await;
    keys["session"].as_array_mut().unwrap().remove(0);
    std::fs::write(&path, keys.to_string()).unwrap();
    scene.harness.start().await;
    scene.page(&old, &[&folder()]).await.refuses(401, "unauthenticated");
    scene.serves(&fresh).await;
    scene.end().await;
}
