//! Customers who are not ready: registered untested, and in service by themselves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::asking::{any_token, eventually};
use crate::ground::{ADA, Ground, NORTH, by_config};
use crate::registration::{post, shared_app, with};
use crate::reply::Reply;
use crate::rotation::read;
use crate::watching::rows;

/// A broker that has kept house since it started, and so tries nothing by itself while a test goes on.
pub(crate) async fn calm() -> Ground {
    let ground = Ground::new().await;
    // What it began when it started comes between these two at the latest.
    ground.broker().run_housekeeping().await;
    ground.broker().run_housekeeping().await;
    ground
}

pub(crate) async fn later(ground: &Ground, body: Value) -> Reply {
    ground.post(&ground.admin, "/v1/tenants?verify=later", body).await
}

/// A broker with acme registered for later, and a service that may have its tokens. Box knows the
/// app, but its admin has not authorised it.
async fn not_authorised() -> (Ground, String) {
    let ground = calm().await;
    ground.change_app(&ground.apps.acme, json!({ "authorized": [] })).await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    (ground, key)
}

async fn authorise(ground: &Ground) {
    let app = &ground.apps.acme;
    ground.change_app(app, json!({ "authorized": [app.enterprise_id] })).await;
}

async fn state(ground: &Ground, tenant: &str) -> Value {
    read(ground, tenant).await["state"].clone()
}

async fn listed(ground: &Ground, query: &str) -> Vec<String> {
    let list = ground.get(&ground.admin, &format!("/v1/tenants?{query}")).await.is(200);
    let items = list["items"].as_array().unwrap();
    items.iter().map(|item| item["tenant"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_customer_who_is_not_ready_is_stored_and_box_is_not_asked() {
    let ground = calm().await;
    shared_app(&ground).await;
    let asked = ground.count("path=/oauth2/token").await;
    let own = later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    assert_eq!((&own["state"], &own["service_account"]), (&json!("pending"), &Value::Null));
    assert_eq!((&own["health"]["state"], own.get("keypair")), (&json!("unknown"), None));
    assert_eq!(own["diagnosis"][1]["outcome"], "skipped");
    assert_eq!(own["key"]["public_key_id"], ground.apps.acme.public_key_id);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    assert_eq!(later(&ground, north).await.is(201)["state"], "pending");
    assert_eq!(ground.count("path=/oauth2/token").await, asked);
    ground.register("globex", &ground.apps.globex).await;
    assert_eq!(listed(&ground, "state=pending").await, ["acme", "north"]);
    assert_eq!(listed(&ground, "state=active").await, ["globex"]);
    // What cannot be right ever is refused at once.
    let stored = rows(&ground).await;
    let damaged =
        with(by_config("x", &ground.apps.acme), "/config/boxAppSettings/appAuth/privateKey", json!("?"));
    later(&ground, damaged).await.refuses(422, "invalid_private_key");
    later(&ground, by_config("x", &ground.apps.globex)).await.refuses(409, "conflict");
    later(&ground, by_config("acme", &ground.apps.ccg)).await.refuses(422, "invalid_box_config");
    ground
        .post(&ground.admin, "/v1/tenants?verify=now", by_config("x", &ground.apps.acme))
        .await
        .refuses(422, "invalid");
    let dry = ground.post(
        &ground.admin,
        "/v1/tenants?verify=later&dry_run=true",
        by_config("x", &ground.apps.acme),
    );
    assert_eq!(dry.await.is(200)["state"], "pending");
    assert_eq!(rows(&ground).await, stored);
    ground.end().await;
}

#[tokio::test]
async fn its_first_request_brings_it_into_service() {
    let ground = calm().await;
    shared_app(&ground).await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    later(&ground, north).await.is(201);
    let key = ground.service("portal", any_token("*")).await;
    for tenant in ["acme", "north"] {
        let mints = ground.mints().await;
        let token = ground.token(&key, tenant).await.token();
        assert_eq!(ground.known_at_box(&token).await["live"], true);
        assert_eq!(ground.mints().await, mints + 1, "the trial's token is the first");
        let after = read(&ground, tenant).await;
        assert_eq!((&after["state"], &after["health"]["state"]), (&json!("active"), &json!("ok")));
        assert!(after["service_account"]["login"].is_string());
    }
    let events = ground.hand().reads("SELECT action FROM audit WHERE action = 'tenant.activate'").await;
    assert_eq!(events.len(), 2);
    // A request for a user does as well, and a narrower grant's too.
    ground.delete(&ground.admin, "/v1/tenants/acme?purge=now").await.is(204);
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn invariant_4_many_first_requests_share_one_trial() {
    let ground = calm().await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    ground.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "latency_ms": 500 } })).await;
    let asks = (0..50).map(|_| ground.token(&key, "acme"));
    let replies = futures::future::join_all(asks).await;
    let tokens: std::collections::BTreeSet<String> = replies.into_iter().map(Reply::token).collect();
    assert_eq!((tokens.len(), ground.mints().await), (1, 1));
    ground.end().await;
}

#[tokio::test]
async fn while_box_refuses_requests_say_so_and_box_is_left_alone() {
    let (ground, key) = not_authorised().await;
    for _ in 0..5 {
        let problem = ground.token(&key, "acme").await.refuses(424, "app_not_authorized");
        assert!(problem["fix"].is_string());
    }
    assert_eq!(ground.mints().await, 1);
    let tenant = read(&ground, "acme").await;
    let health = &tenant["health"];
    assert_eq!((&tenant["state"], &health["state"]), (&json!("pending"), &json!("failing")));
    assert_eq!(health["code"], "app_not_authorized");
    assert!(health["fix"].as_str().unwrap().contains("Authorize"), "{health}");
    // To whom it is not granted it does not exist, and nobody's call tries it.
    let foreign = ground.service("foreign", json!([])).await;
    ground.token(&foreign, "acme").await.refuses(404, "not_found");
    authorise(&ground).await;
    ground.clock.advance(Duration::from_secs(60));
    ground.token(&key, "acme").await.token();
    assert_eq!(state(&ground, "acme").await, "active");
    ground.end().await;
}

#[tokio::test]
async fn s6_nobody_without_a_grant_sets_off_a_trial() {
    let ground = calm().await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let foreign = ground.service("foreign", json!([])).await;
    let narrow = json!([{ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": ["user:1"] }]);
    let narrow = ground.service("narrow", narrow).await;
    ground.token(&foreign, "acme").await.refuses(404, "not_found");
    ground.token(&narrow, "acme").await.refuses(403, "forbidden");
    assert_eq!((ground.mints().await, state(&ground, "acme").await), (0, json!("pending")));
    ground.end().await;
}

#[tokio::test]
async fn it_is_tried_by_itself_less_and_less_often() {
    let (ground, _) = not_authorised().await;
    let mut tries = 0;
    let mut pause = 60;
    while tries < 12 {
        ground.broker().run_housekeeping().await;
        tries += 1;
        assert_eq!(ground.mints().await, tries, "after a pause of {pause} s");
        // Now and just before the time has come nothing is asked.
        ground.broker().run_housekeeping().await;
        ground.clock.advance(Duration::from_secs(pause - 1));
        ground.broker().run_housekeeping().await;
        assert_eq!(ground.mints().await, tries, "before {pause} s were over");
        ground.clock.advance(Duration::from_secs(1));
        pause = (2 * pause).min(6 * 3600);
    }
    assert_eq!(pause, 6 * 3600);
    assert_eq!(state(&ground, "acme").await, "pending");
    authorise(&ground).await;
    ground.broker().run_housekeeping().await;
    assert_eq!(state(&ground, "acme").await, "active");
    ground.broker().run_housekeeping().await;
    assert_eq!(ground.mints().await, tries + 1);
    ground.end().await;
}

#[tokio::test]
async fn after_a_restart_it_is_tried_again_at_once() {
    let (mut ground, key) = not_authorised().await;
    ground.broker().run_housekeeping().await;
    authorise(&ground).await;
    ground.restart().await;
    // The broker keeps house when it starts; whoever asks meanwhile shares the trial.
    ground.broker().run_housekeeping().await;
    assert_eq!(state(&ground, "acme").await, "active");
    ground.token(&key, "acme").await.token();
    assert_eq!(ground.mints().await, 2);
    ground.end().await;
}

#[tokio::test]
async fn a_test_that_passes_brings_it_into_service() {
    let (ground, _) = not_authorised().await;
    let path = "/v1/tenants/acme/test";
    let failed = ground.call(&ground.admin, "POST", path, None).await.is(200);
    assert_eq!(failed["diagnosis"][1]["code"], "app_not_authorized");
    assert_eq!(state(&ground, "acme").await, "pending");
    authorise(&ground).await;
    let passed = ground.call(&ground.admin, "POST", path, None).await.is(200);
    assert_eq!(passed["diagnosis"][1]["outcome"], "pass");
    assert_eq!(state(&ground, "acme").await, "active");
    ground.end().await;
}

#[tokio::test]
async fn a_pending_tenant_changes_but_for_its_state() {
    let (ground, _) = not_authorised().await;
    let changed =
        json!({ "display_name": "Acme", "labels": { "a": "b" }, "policy": { "full_tokens": false } });
    let after = ground.change_tenant("acme", changed).await;
    assert_eq!((&after["state"], &after["display_name"]), (&json!("pending"), &json!("Acme")));
    let path = "/v1/tenants/acme";
    ground.patch(&ground.admin, path, json!({ "state": "pending" })).await.refuses(422, "invalid");
    for state in ["active", "suspended"] {
        let problem = ground.patch(&ground.admin, path, json!({ "state": state })).await;
        assert!(problem.refuses(409, "conflict")["detail"].as_str().unwrap().contains("by itself"));
    }
    ground.patch(&ground.admin, path, json!({ "state": "deleted" })).await.refuses(422, "invalid");
    // And nobody else becomes pending.
    ground.register("globex", &ground.apps.globex).await;
    let path = "/v1/tenants/globex";
    ground.patch(&ground.admin, path, json!({ "state": "pending" })).await.refuses(422, "invalid");
    shared_app(&ground).await;
    let path = "/v1/apps/portal";
    ground.patch(&ground.admin, path, json!({ "state": "pending" })).await.refuses(422, "invalid");
    ground.end().await;
}

#[tokio::test]
async fn the_same_registration_again_changes_nothing() {
    let (ground, _) = not_authorised().await;
    let (before, stored) = (read(&ground, "acme").await, rows(&ground).await);
    for reply in [
        later(&ground, by_config("acme", &ground.apps.acme)).await,
        post(&ground, by_config("acme", &ground.apps.acme)).await,
    ] {
        assert_eq!(reply.is(200)["id"], before["id"]);
    }
    let other = with(by_config("acme", &ground.apps.acme), "/config/boxAppSettings/clientSecret", json!("x"));
    later(&ground, other).await.refuses(409, "conflict");
    assert_eq!((rows(&ground).await, ground.mints().await), (stored, 0));
    ground.end().await;
}

#[tokio::test]
async fn new_credentials_bring_it_into_service() {
    let ground = calm().await;
    let wrong = with(by_config("acme", &ground.apps.acme), "/config/boxAppSettings/clientSecret", json!("x"));
    let before = later(&ground, wrong).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    ground.token(&key, "acme").await.refuses(424, "credentials_invalid");
    let right = json!({ "config": by_config("", &ground.apps.acme)["config"] });
    let after = crate::rotation::put(&ground, "acme", "", &right).await.is(200);
    assert_eq!((&after["state"], &after["health"]["state"]), (&json!("active"), &json!("ok")));
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    let mints = ground.mints().await;
    ground.token(&key, "acme").await.token();
    assert_eq!(ground.mints().await, mints);
    ground.end().await;
}

#[tokio::test]
async fn r4_a_box_that_hangs_is_not_asked_again_and_again() {
    let ground = calm().await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    ground.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "status": 503 } })).await;
    ground.token(&key, "acme").await.refuses(503, "upstream_unavailable");
    let mints = ground.mints().await;
    for _ in 0..5 {
        ground.token(&key, "acme").await.refuses(503, "upstream_unavailable");
    }
    assert_eq!(ground.mints().await, mints);
    assert_eq!(read(&ground, "acme").await["health"]["code"], "upstream_unavailable");
    ground.heal().await;
    ground.clock.advance(Duration::from_secs(2));
    ground.token(&key, "acme").await.token();
    ground.end().await;
}

#[tokio::test]
async fn a_deleted_pending_tenant_is_gone_at_once_and_a_trial_revives_nothing() {
    let ground = calm().await;
    let empty = rows(&ground).await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    let reply = crate::asking::meanwhile(&ground, "jwt-bearer", ground.token(&key, "acme"), async {
        ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    })
    .await;
    reply.refuses(404, "not_found");
    ground.get(&ground.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    assert_eq!(ground.issued("grant=jwt-bearer").await.len(), 1);
    ground.all_die_at_box("grant=jwt-bearer").await;
    assert_eq!(rows(&ground).await[..3], empty[..3]);
    // The name is free, and inherits nothing.
    let again = ground.register("acme", &ground.apps.acme).await;
    assert_eq!(again["state"], "active");
    ground.token(&key, "acme").await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn a_change_during_the_trial_is_kept() {
    let ground = calm().await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    let reply = crate::asking::meanwhile(&ground, "jwt-bearer", ground.token(&key, "acme"), async {
        ground.change_tenant("acme", json!({ "display_name": "Acme AG" })).await;
    })
    .await;
    reply.token();
    let after = read(&ground, "acme").await;
    assert_eq!((&after["state"], &after["display_name"]), (&json!("active"), &json!("Acme AG")));
    assert_eq!(ground.mints().await, 1);
    ground.end().await;
}

#[tokio::test]
async fn a_pending_tenant_of_a_suspended_app_waits_for_it() {
    let ground = calm().await;
    shared_app(&ground).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    later(&ground, north).await.is(201);
    let key = ground.service("portal", any_token("*")).await;
    ground.patch(&ground.admin, "/v1/apps/portal", json!({ "state": "suspended" })).await.is(200);
    let mints = ground.mints().await;
    ground.token(&key, "north").await.refuses(403, "tenant_suspended");
    ground.broker().run_housekeeping().await;
    assert_eq!(ground.mints().await, mints);
    ground.patch(&ground.admin, "/v1/apps/portal", json!({ "state": "active" })).await.is(200);
    ground.token(&key, "north").await.token();
    eventually("it is in service", async || state(&ground, "north").await == "active").await;
    ground.end().await;
}

#[tokio::test]
async fn a_trial_and_a_mint_one_after_the_other_take_no_longer_than_a_caller_waits() {
    let ground = calm().await;
    later(&ground, by_config("acme", &ground.apps.acme)).await.is(201);
    let key = ground.service("portal", any_token("acme")).await;
    ground.fault(json!({ "effect": { "latency_ms": 3800 } })).await;
    let asked = ground.user_token(&key, "acme", ADA);
    let reply = tokio::time::timeout(Duration::from_secs(10), asked).await.expect("5 s, and as much slack");
    assert!(reply.refuses(503, "upstream_unavailable")["retry_after"].as_u64() >= Some(1));
    // What was begun for it goes on.
    eventually("it is in service", async || state(&ground, "acme").await == "active").await;
    ground.end().await;
}
