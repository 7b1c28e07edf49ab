//! `PUT …/credentials`: tested at Box, then switched to as a new generation, or nothing changes.

use box_sandbox::{AppPrivateKey, GeneratedApp};
use serde_json::{Value, json};

use crate::harness::{ACME, ADA, GRACE, Harness, KEYS, NORTH, by_config};
use crate::registration::{pointers, shared_app, with};
use crate::response::Reply;
use crate::store_probe::rows;
use crate::token_requests::{acme, any_token, meanwhile, side_by_side};

/// An app's credentials with another key.
pub(crate) fn by_key(app: &GeneratedApp, kid: &str, key: &AppPrivateKey) -> Value {
    json!({ "credentials": {
        "client_id": app.client_id, "client_secret": app.client_secret, "enterprise_id": app.enterprise_id,
        "auth": "jwt", "public_key_id": kid, "private_key": key.to_pem(),
    } })
}

/// Has Box know a second key of acme's app, and gives the credentials with it.
pub(crate) async fn next_key(harness: &Harness) -> Value {
    let added = json!({ "add_keys": [{ "kid": "next", "public_key": KEYS[1].public_pem() }] });
    harness.change_app(&harness.apps.acme, added).await;
    by_key(&harness.apps.acme, "next", &KEYS[1])
}

pub(crate) async fn put(harness: &Harness, tenant: &str, query: &str, body: &Value) -> Reply {
    let path = format!("/v1/tenants/{tenant}/credentials{query}");
    harness.call(&harness.admin, "PUT", &path, Some(body)).await
}

pub(crate) async fn read(harness: &Harness, tenant: &str) -> Value {
    harness.get(&harness.admin, &format!("/v1/tenants/{tenant}")).await.is(200)
}

/// The body that brings an app's file again.
fn file(app: &GeneratedApp) -> Value {
    json!({ "config": by_config("", app)["config"] })
}

#[tokio::test]
async fn new_credentials_are_tested_and_their_token_is_the_first_of_a_new_generation() {
    let (harness, key) = acme().await;
    let before = read(&harness, "acme").await;
    let old = harness.token(&key, "acme").await.token();
    let body = next_key(&harness).await;
    let mints = harness.mints().await;
    let after = put(&harness, "acme", "", &body).await.is(200);
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    assert_eq!((&after["key"]["public_key_id"], &after["state"]), (&json!("next"), &json!("active")));
    assert_ne!(after["key"]["sha256"], before["key"]["sha256"]);
    assert_eq!(after["diagnosis"][1]["outcome"], "pass");
    let new = harness.token(&key, "acme").await.token();
    assert_ne!(new, old);
    assert_eq!(harness.mints().await, mints + 1, "the test's token is the first");
    // Nothing needs the old key any more, and the old token lives on.
    harness.change_app(&harness.apps.acme, json!({ "remove_keys": [harness.apps.acme.public_key_id] })).await;
    harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(harness.known_at_box(&old).await["live"], true);
    let events = harness.hand().reads("SELECT action FROM audit WHERE action = 'tenant.credentials'").await;
    assert_eq!(events.len(), 1);
    harness.end().await;
}

#[tokio::test]
async fn a_new_generation_outlives_a_restart() {
    let (mut harness, key) = acme().await;
    let old = harness.token(&key, "acme").await.token();
    put(&harness, "acme", "", &next_key(&harness).await).await.is(200);
    let new = harness.token(&key, "acme").await.token();
    harness.restart().await;
    let mints = harness.mints().await;
    assert_eq!(harness.token(&key, "acme").await.token(), new);
    assert_eq!(harness.mints().await, mints);
    assert_ne!(new, old);
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn the_same_credentials_change_nothing_and_are_not_tried() {
    let (harness, _) = acme().await;
    let before = harness.get(&harness.admin, "/v1/tenants/acme").await;
    let (tag, before) = (before.header("etag").to_owned(), before.ok());
    let (stored, mints) = (rows(&harness).await, harness.mints().await);
    let key = harness.apps.acme.key.clone().unwrap();
    for body in [file(&harness.apps.acme), by_key(&harness.apps.acme, &harness.apps.acme.public_key_id, &key)]
    {
        let reply = put(&harness, "acme", "?revoke_old=true", &body).await;
        assert_eq!(reply.header("etag"), tag);
        assert_eq!(reply.is(200)["generation"], before["generation"]);
    }
    assert_eq!((rows(&harness).await, harness.mints().await), (stored, mints));
    // The same again, where it was the change.
    let body = next_key(&harness).await;
    let first = put(&harness, "acme", "", &body).await.is(200);
    let again = put(&harness, "acme", "", &body).await.is(200);
    assert_eq!(first["generation"], again["generation"]);
    harness.end().await;
}

#[tokio::test]
async fn credentials_that_box_refuses_change_nothing() {
    let (harness, key) = acme().await;
    let (before, token) = (read(&harness, "acme").await, harness.token(&key, "acme").await.token());
    let stored = rows(&harness).await;
    let app = &harness.apps.acme;
    let secret = with(file(app), "/config/boxAppSettings/clientSecret", json!("another"));
    for (body, code) in [
        (by_key(app, "nobodys", &KEYS[1]), "key_unknown"),
        (by_key(app, &app.public_key_id, &KEYS[1]), "key_mismatch"),
        (secret, "credentials_invalid"),
    ] {
        put(&harness, "acme", "", &body).await.refuses(424, code);
    }
    harness.fault(json!({ "effect": { "status": 503 }, "select": { "path": "/oauth2/token" } })).await;
    put(&harness, "acme", "", &next_key(&harness).await).await.refuses(503, "upstream_unavailable");
    harness.heal().await;
    assert_eq!(read(&harness, "acme").await, before);
    assert_eq!(rows(&harness).await, stored);
    assert_eq!(harness.token(&key, "acme").await.token(), token);
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn another_app_of_the_same_enterprise_takes_over() {
    let (harness, key) = acme().await;
    let before = read(&harness, "acme").await;
    let body = with(file(&harness.apps.ccg), "/auth", json!("ccg"));
    let after = put(&harness, "acme", "", &body).await.is(200);
    assert_eq!((&after["app"]["auth"], &after["key"]), (&json!("ccg"), &Value::Null));
    assert_eq!(after["app"]["client_id"], harness.apps.ccg.client_id);
    assert_eq!(after["app"]["id"], before["app"]["id"]);
    assert_ne!(after["service_account"], before["service_account"]);
    let token = harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(harness.known_at_box(&token).await["client_id"], harness.apps.ccg.client_id);
    // The client ID that was held before is free.
    harness.register("second", &harness.apps.acme).await;
    put(&harness, "acme", "", &file(&harness.apps.acme)).await.refuses(409, "conflict");
    harness.end().await;
}

#[tokio::test]
async fn enterprises_shared_apps_and_held_client_ids_stay_where_they_are() {
    let (harness, _) = acme().await;
    shared_app(&harness).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
    harness.register("globex", &harness.apps.globex).await;
    let (before, mints) = (rows(&harness).await, harness.mints().await);
    let held = with(file(&harness.apps.portal), "/config/enterpriseID", json!(ACME));
    put(&harness, "acme", "", &held).await.refuses(409, "conflict");
    put(&harness, "acme", "", &file(&harness.apps.globex)).await.refuses(409, "conflict");
    put(&harness, "north", "", &file(&harness.apps.portal)).await.refuses(409, "conflict");
    assert_eq!((rows(&harness).await, harness.mints().await), (before, mints));
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    put(&harness, "acme", "", &file(&harness.apps.acme)).await.refuses(409, "conflict");
    harness.end().await;
}

#[tokio::test]
async fn a_suspended_tenant_gets_new_credentials_and_stays_suspended() {
    let (harness, key) = acme().await;
    harness.change_tenant("acme", json!({ "state": "suspended" })).await;
    let since = harness.issued("grant=jwt-bearer").await.len();
    let after = put(&harness, "acme", "", &next_key(&harness).await).await.is(200);
    assert_eq!((&after["state"], &after["key"]["public_key_id"]), (&json!("suspended"), &json!("next")));
    harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    let tests = harness.issued("grant=jwt-bearer").await.split_off(since);
    for sha256 in tests {
        crate::token_requests::eventually("the test's token dies", async || {
            harness.known_by_sha256(&sha256).await["live"] == false
        })
        .await;
    }
    harness.change_tenant("acme", json!({ "state": "active" })).await;
    harness.token(&key, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn credentials_are_changed_by_those_who_may_and_in_one_form() {
    let (harness, _) = acme().await;
    let body = next_key(&harness).await;
    let before = (read(&harness, "acme").await, harness.mints().await);
    let admin = async |name: &str, tenant: &str, permission: &str| {
        harness.caller(name, "admin", json!([{ "tenant": tenant, "permissions": [permission] }])).await
    };
    let writer = admin("writer", "acme", "tenants:write").await;
    let path = "/v1/tenants/acme/credentials";
    harness.call(&writer, "PUT", path, Some(&body)).await.refuses(403, "forbidden");
    harness.call(&writer, "PUT", "/v1/tenants/gone/credentials", Some(&body)).await.refuses(404, "not_found");
    harness.register("globex", &harness.apps.globex).await;
    let foreign = admin("foreign", "globex", "tenants:credentials").await;
    harness.call(&foreign, "PUT", path, Some(&body)).await.refuses(404, "not_found");
    let service = harness.service("service", any_token("acme")).await;
    harness.call(&service, "PUT", path, Some(&body)).await.refuses(403, "forbidden");
    for (bad, pointer) in [
        (json!({}), "/config"),
        (json!({ "config": {}, "credentials": body["credentials"] }), "/credentials"),
        (with(body.clone(), "/auth", json!("jwt")), "/auth"),
        (with(body.clone(), "/app", json!("portal")), "/app"),
        (with(body.clone(), "/credentials/generate_key", json!(true)), "/credentials/public_key_id"),
        (with(body.clone(), "/credentials/client_secret", json!("")), "/credentials/client_secret"),
    ] {
        let problem = put(&harness, "acme", "", &bad).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem)[0], pointer, "{problem}");
    }
    put(&harness, "acme", "?revoke_old=maybe", &body).await.refuses(422, "invalid");
    let mut now = read(&harness, "acme").await;
    now["health"] = before.0["health"].clone();
    assert_eq!(now, before.0);
    let own = admin("own", "acme", "tenants:credentials").await;
    harness.call(&own, "PUT", path, Some(&body)).await.is(200);
    harness.end().await;
}

#[tokio::test]
async fn of_two_rotations_at_the_same_moment_one_wins_and_the_others_token_dies() {
    let (harness, key) = acme().await;
    let body = next_key(&harness).await;
    let other = with(file(&harness.apps.ccg), "/auth", json!("ccg"));
    let (one, two) = side_by_side(
        &harness,
        "/2.0/users/me",
        put(&harness, "acme", "", &body),
        put(&harness, "acme", "", &other),
    )
    .await;
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
    let loser = if one.status == 409 { &harness.apps.acme } else { &harness.apps.ccg };
    let sha256 =
        harness.issued(&format!("client_id={}&path=/oauth2/token", loser.client_id)).await.pop().unwrap();
    crate::token_requests::eventually("the loser's token dies", async || {
        harness.known_by_sha256(&sha256).await["live"] == false
    })
    .await;
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn invariant_5_a_deletion_during_a_rotation_revives_nothing() {
    let (harness, key) = acme().await;
    let body = next_key(&harness).await;
    let reply = meanwhile(&harness, "jwt-bearer", put(&harness, "acme", "", &body), async {
        harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    })
    .await;
    assert!([200, 409].contains(&reply.status), "{reply:?}");
    harness.token(&key, "acme").await.refuses(404, "not_found");
    assert_eq!(read(&harness, "acme").await["state"], "deleted");
    harness.all_die_at_box("grant=jwt-bearer").await;
    harness.change_tenant("acme", json!({ "state": "active" })).await;
    harness.user_token(&key, "acme", GRACE).await.token();
    harness.end().await;
}
