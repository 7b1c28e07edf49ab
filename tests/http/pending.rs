//! Customers who are not ready: registered untested, and in service by themselves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{ADA, Harness, NORTH, by_config};
use crate::registration::{post, shared_app, with};
use crate::response::Reply;
use crate::rotation::read;
use crate::store_probe::rows;
use crate::token_requests::{any_token, eventually};

/// A broker that has kept house since it started, and so tries nothing by itself while a test goes on.
pub(crate) async fn calm() -> Harness {
    let harness = Harness::new().await;
    // What it began when it started comes between these two at the latest.
    harness.broker().run_housekeeping().await;
    harness.broker().run_housekeeping().await;
    harness
}

pub(crate) async fn later(harness: &Harness, body: Value) -> Reply {
    harness.post(&harness.admin, "/v1/tenants?verify=later", body).await
}

/// A broker with acme registered for later, and a service that may have its tokens. Box knows the
/// app, but its admin has not authorised it.
async fn not_authorised() -> (Harness, String) {
    let harness = calm().await;
    harness.change_app(&harness.apps.acme, json!({ "authorized": [] })).await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    (harness, key)
}

async fn authorise(harness: &Harness) {
    let app = &harness.apps.acme;
    harness.change_app(app, json!({ "authorized": [app.enterprise_id] })).await;
}

async fn state(harness: &Harness, tenant: &str) -> Value {
    read(harness, tenant).await["state"].clone()
}

async fn listed(harness: &Harness, query: &str) -> Vec<String> {
    let list = harness.get(&harness.admin, &format!("/v1/tenants?{query}")).await.is(200);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["tenant"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_customer_who_is_not_ready_is_stored_and_box_is_not_asked() {
    let harness = calm().await;
    shared_app(&harness).await;
    let asked = harness.count("path=/oauth2/token").await;
    let own = later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    assert_eq!((&own["state"], &own["service_account"]), (&json!("pending"), &Value::Null));
    assert_eq!((&own["health"]["state"], own.get("keypair")), (&json!("unknown"), None));
    assert_eq!(own["diagnosis"][1]["outcome"], "skipped");
    assert_eq!(own["key"]["public_key_id"], harness.apps.acme.public_key_id);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    assert_eq!(later(&harness, north).await.is(201)["state"], "pending");
    assert_eq!(harness.count("path=/oauth2/token").await, asked);
    harness.register("globex", &harness.apps.globex).await;
    assert_eq!(listed(&harness, "state=pending").await, ["acme", "north"]);
    assert_eq!(listed(&harness, "state=active").await, ["globex"]);
    // What cannot be right ever is refused at once.
    let stored = rows(&harness).await;
    let damaged =
        with(by_config("x", &harness.apps.acme), "/config/boxAppSettings/appAuth/privateKey", json!("?"));
    later(&harness, damaged).await.refuses(422, "invalid_private_key");
    later(&harness, by_config("x", &harness.apps.globex)).await.refuses(409, "conflict");
    later(&harness, by_config("acme", &harness.apps.ccg)).await.refuses(422, "invalid_box_config");
    harness
        .post(&harness.admin, "/v1/tenants?verify=now", by_config("x", &harness.apps.acme))
        .await
        .refuses(422, "invalid");
    let dry = harness.post(
        &harness.admin,
        "/v1/tenants?verify=later&dry_run=true",
        by_config("x", &harness.apps.acme),
    );
    assert_eq!(dry.await.is(200)["state"], "pending");
    assert_eq!(rows(&harness).await, stored);
    harness.end().await;
}

#[tokio::test]
async fn its_first_request_brings_it_into_service() {
    let harness = calm().await;
    shared_app(&harness).await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    later(&harness, north).await.is(201);
    let key = harness.service("portal", any_token("*")).await;
    for tenant in ["acme", "north"] {
        let mints = harness.mints().await;
        let token = harness.token(&key, tenant).await.token();
        assert_eq!(harness.known_at_box(&token).await["live"], true);
        assert_eq!(harness.mints().await, mints + 1, "the trial's token is the first");
        let after = read(&harness, tenant).await;
        assert_eq!((&after["state"], &after["health"]["state"]), (&json!("active"), &json!("ok")));
        assert!(after["service_account"]["login"].is_string());
    }
    let events = harness.hand().reads("SELECT action FROM audit WHERE action = 'tenant.activate'").await;
    assert_eq!(events.len(), 2);
    // A request for a user does as well, and a narrower grant's too.
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn invariant_4_many_first_requests_share_one_trial() {
    let harness = calm().await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    harness.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "latency_ms": 500 } })).await;
    let asks = (0..50).map(|_| harness.token(&key, "acme"));
    let replies = futures::future::join_all(asks).await;
    let tokens: std::collections::BTreeSet<String> = replies.into_iter().map(Reply::token).collect();
    assert_eq!((tokens.len(), harness.mints().await), (1, 1));
    harness.end().await;
}

#[tokio::test]
async fn while_box_refuses_requests_say_so_and_box_is_left_alone() {
    let (harness, key) = not_authorised().await;
    for _ in 0..5 {
        let problem = harness.token(&key, "acme").await.refuses(424, "app_not_authorized");
        assert!(problem["fix"].is_string());
    }
    assert_eq!(harness.mints().await, 1);
    let tenant = read(&harness, "acme").await;
    let health = &tenant["health"];
    assert_eq!((&tenant["state"], &health["state"]), (&json!("pending"), &json!("failing")));
    assert_eq!(health["code"], "app_not_authorized");
    assert!(health["fix"].as_str().unwrap().contains("Authorize"), "{health}");
    // To whom it is not granted it does not exist, and nobody's call tries it.
    let foreign = harness.service("foreign", json!([])).await;
    harness.token(&foreign, "acme").await.refuses(404, "not_found");
    authorise(&harness).await;
    harness.clock.advance(Duration::from_secs(60));
    harness.token(&key, "acme").await.token();
    assert_eq!(state(&harness, "acme").await, "active");
    harness.end().await;
}

#[tokio::test]
async fn s6_nobody_without_a_grant_sets_off_a_trial() {
    let harness = calm().await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let foreign = harness.service("foreign", json!([])).await;
    let narrow = json!([{ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": ["user:1"] }]);
    let narrow = harness.service("narrow", narrow).await;
    harness.token(&foreign, "acme").await.refuses(404, "not_found");
    harness.token(&narrow, "acme").await.refuses(403, "forbidden");
    assert_eq!((harness.mints().await, state(&harness, "acme").await), (0, json!("pending")));
    harness.end().await;
}

#[tokio::test]
async fn it_is_tried_by_itself_less_and_less_often() {
    let (harness, _) = not_authorised().await;
    let mut tries = 0;
    let mut pause = 60;
    while tries < 12 {
        harness.broker().run_housekeeping().await;
        tries += 1;
        assert_eq!(harness.mints().await, tries, "after a pause of {pause} s");
        // Now and just before the time has come nothing is asked.
        harness.broker().run_housekeeping().await;
        harness.clock.advance(Duration::from_secs(pause - 1));
        harness.broker().run_housekeeping().await;
        assert_eq!(harness.mints().await, tries, "before {pause} s were over");
        harness.clock.advance(Duration::from_secs(1));
        pause = (2 * pause).min(6 * 3600);
    }
    assert_eq!(pause, 6 * 3600);
    assert_eq!(state(&harness, "acme").await, "pending");
    authorise(&harness).await;
    harness.broker().run_housekeeping().await;
    assert_eq!(state(&harness, "acme").await, "active");
    harness.broker().run_housekeeping().await;
    assert_eq!(harness.mints().await, tries + 1);
    harness.end().await;
}

#[tokio::test]
async fn after_a_restart_it_is_tried_again_at_once() {
    let (mut harness, key) = not_authorised().await;
    harness.broker().run_housekeeping().await;
    authorise(&harness).await;
    harness.restart().await;
    // The broker keeps house when it starts; whoever asks meanwhile shares the trial.
    harness.broker().run_housekeeping().await;
    assert_eq!(state(&harness, "acme").await, "active");
    harness.token(&key, "acme").await.token();
    assert_eq!(harness.mints().await, 2);
    harness.end().await;
}

#[tokio::test]
async fn a_test_that_passes_brings_it_into_service() {
    let (harness, _) = not_authorised().await;
    let path = "/v1/tenants/acme/test";
    let failed = harness.call(&harness.admin, "POST", path, None).await.is(200);
    assert_eq!(failed["diagnosis"][1]["code"], "app_not_authorized");
    assert_eq!(state(&harness, "acme").await, "pending");
    authorise(&harness).await;
    let passed = harness.call(&harness.admin, "POST", path, None).await.is(200);
    assert_eq!(passed["diagnosis"][1]["outcome"], "pass");
    assert_eq!(state(&harness, "acme").await, "active");
    harness.end().await;
}

#[tokio::test]
async fn a_pending_tenant_changes_but_for_its_state() {
    let (harness, _) = not_authorised().await;
    let changed =
        json!({ "display_name": "Acme", "labels": { "a": "b" }, "policy": { "full_tokens": false } });
    let after = harness.change_tenant("acme", changed).await;
    assert_eq!((&after["state"], &after["display_name"]), (&json!("pending"), &json!("Acme")));
    let path = "/v1/tenants/acme";
    harness.patch(&harness.admin, path, json!({ "state": "pending" })).await.refuses(422, "invalid");
    for state in ["active", "suspended"] {
        let problem = harness.patch(&harness.admin, path, json!({ "state": state })).await;
        assert!(problem.refuses(409, "conflict")["detail"].as_str().unwrap().contains("by itself"));
    }
    harness.patch(&harness.admin, path, json!({ "state": "deleted" })).await.refuses(422, "invalid");
    // And nobody else becomes pending.
    harness.register("globex", &harness.apps.globex).await;
    let path = "/v1/tenants/globex";
    harness.patch(&harness.admin, path, json!({ "state": "pending" })).await.refuses(422, "invalid");
    shared_app(&harness).await;
    let path = "/v1/apps/portal";
    harness.patch(&harness.admin, path, json!({ "state": "pending" })).await.refuses(422, "invalid");
    harness.end().await;
}

#[tokio::test]
async fn the_same_registration_again_changes_nothing() {
    let (harness, _) = not_authorised().await;
    let (before, stored) = (read(&harness, "acme").await, rows(&harness).await);
    for reply in [
        later(&harness, by_config("acme", &harness.apps.acme)).await,
        post(&harness, by_config("acme", &harness.apps.acme)).await,
    ] {
        assert_eq!(reply.is(200)["id"], before["id"]);
    }
    let other =
        with(by_config("acme", &harness.apps.acme), "/config/boxAppSettings/clientSecret", json!("x"));
    later(&harness, other).await.refuses(409, "conflict");
    assert_eq!((rows(&harness).await, harness.mints().await), (stored, 0));
    harness.end().await;
}

#[tokio::test]
async fn new_credentials_bring_it_into_service() {
    let harness = calm().await;
    let wrong =
        with(by_config("acme", &harness.apps.acme), "/config/boxAppSettings/clientSecret", json!("x"));
    let before = later(&harness, wrong).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    harness.token(&key, "acme").await.refuses(424, "credentials_invalid");
    let right = json!({ "config": by_config("", &harness.apps.acme)["config"] });
    let after = crate::rotation::put(&harness, "acme", "", &right).await.is(200);
    assert_eq!((&after["state"], &after["health"]["state"]), (&json!("active"), &json!("ok")));
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    let mints = harness.mints().await;
    harness.token(&key, "acme").await.token();
    assert_eq!(harness.mints().await, mints);
    harness.end().await;
}

#[tokio::test]
async fn r4_a_box_that_hangs_is_not_asked_again_and_again() {
    let harness = calm().await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    harness.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "status": 503 } })).await;
    harness.token(&key, "acme").await.refuses(503, "upstream_unavailable");
    let mints = harness.mints().await;
    for _ in 0..5 {
        harness.token(&key, "acme").await.refuses(503, "upstream_unavailable");
    }
    assert_eq!(harness.mints().await, mints);
    assert_eq!(read(&harness, "acme").await["health"]["code"], "upstream_unavailable");
    harness.heal().await;
    harness.clock.advance(Duration::from_secs(2));
    harness.token(&key, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_deleted_pending_tenant_is_gone_at_once_and_a_trial_revives_nothing() {
    let harness = calm().await;
    let empty = rows(&harness).await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    let reply =
        crate::token_requests::meanwhile(&harness, "jwt-bearer", harness.token(&key, "acme"), async {
            harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
        })
        .await;
    reply.refuses(404, "not_found");
    harness.get(&harness.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    assert_eq!(harness.issued("grant=jwt-bearer").await.len(), 1);
    harness.all_die_at_box("grant=jwt-bearer").await;
    assert_eq!(rows(&harness).await[..3], empty[..3]);
    // The name is free, and inherits nothing.
    let again = harness.register("acme", &harness.apps.acme).await;
    assert_eq!(again["state"], "active");
    harness.token(&key, "acme").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn a_change_during_the_trial_is_kept() {
    let harness = calm().await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    let reply =
        crate::token_requests::meanwhile(&harness, "jwt-bearer", harness.token(&key, "acme"), async {
            harness.change_tenant("acme", json!({ "display_name": "Acme AG" })).await;
        })
        .await;
    reply.token();
    let after = read(&harness, "acme").await;
    assert_eq!((&after["state"], &after["display_name"]), (&json!("active"), &json!("Acme AG")));
    assert_eq!(harness.mints().await, 1);
    harness.end().await;
}

#[tokio::test]
async fn a_pending_tenant_of_a_suspended_app_waits_for_it() {
    let harness = calm().await;
    shared_app(&harness).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    later(&harness, north).await.is(201);
    let key = harness.service("portal", any_token("*")).await;
    harness.patch(&harness.admin, "/v1/apps/portal", json!({ "state": "suspended" })).await.is(200);
    let mints = harness.mints().await;
    harness.token(&key, "north").await.refuses(403, "tenant_suspended");
    harness.broker().run_housekeeping().await;
    assert_eq!(harness.mints().await, mints);
    harness.patch(&harness.admin, "/v1/apps/portal", json!({ "state": "active" })).await.is(200);
    harness.token(&key, "north").await.token();
    eventually("it is in service", async || state(&harness, "north").await == "active").await;
    harness.end().await;
}

#[tokio::test]
async fn a_trial_and_a_mint_one_after_the_other_take_no_longer_than_a_caller_waits() {
    let harness = calm().await;
    later(&harness, by_config("acme", &harness.apps.acme)).await.is(201);
    let key = harness.service("portal", any_token("acme")).await;
    harness.fault(json!({ "effect": { "latency_ms": 3800 } })).await;
    let asked = harness.user_token(&key, "acme", ADA);
    let reply = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("5 s, and as much slack");
    assert!(reply.refuses(503, "upstream_unavailable")["retry_after"].as_u64() >= Some(1));
    // What was begun for it goes on.
    eventually("it is in service", async || state(&harness, "acme").await == "active").await;
    harness.end().await;
}
