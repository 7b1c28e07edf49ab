//! `PUT …/credentials`: tested at Box, then switched to as a new generation, or nothing changes.

use box_sandbox::{AppPrivateKey, GeneratedApp};
use serde_json::{Value, json};

use crate::asking::{acme, any_token, meanwhile, side_by_side};
use crate::ground::{ACME, ADA, GRACE, Ground, KEYS, NORTH, by_config};
use crate::registration::{pointers, shared_app, with};
use crate::reply::Reply;
use crate::watching::rows;

/// An app's credentials with another key.
pub(crate) fn by_key(app: &GeneratedApp, kid: &str, key: &AppPrivateKey) -> Value {
    json!({ "credentials": {
        "client_id": app.client_id, "client_secret": app.client_secret, "enterprise_id": app.enterprise_id,
        "auth": "jwt", "public_key_id": kid, "private_key": key.to_pem(),
    } })
}

/// Has Box know a second key of acme's app, and gives the credentials with it.
pub(crate) async fn next_key(ground: &Ground) -> Value {
    let added = json!({ "add_keys": [{ "kid": "next", "public_key": KEYS[1].public_pem() }] });
    ground.change_app(&ground.apps.acme, added).await;
    by_key(&ground.apps.acme, "next", &KEYS[1])
}

pub(crate) async fn put(ground: &Ground, tenant: &str, query: &str, body: &Value) -> Reply {
    let path = format!("/v1/tenants/{tenant}/credentials{query}");
    ground.call(&ground.admin, "PUT", &path, Some(body)).await
}

pub(crate) async fn read(ground: &Ground, tenant: &str) -> Value {
    ground.get(&ground.admin, &format!("/v1/tenants/{tenant}")).await.is(200)
}

/// The body that brings an app's file again.
fn file(app: &GeneratedApp) -> Value {
    json!({ "config": by_config("", app)["config"] })
}

#[tokio::test]
async fn new_credentials_are_tested_and_their_token_is_the_first_of_a_new_generation() {
    let (ground, key) = acme().await;
    let before = read(&ground, "acme").await;
    let old = ground.token(&key, "acme").await.token();
    let body = next_key(&ground).await;
    let mints = ground.mints().await;
    let after = put(&ground, "acme", "", &body).await.is(200);
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    assert_eq!((&after["key"]["public_key_id"], &after["state"]), (&json!("next"), &json!("active")));
    assert_ne!(after["key"]["sha256"], before["key"]["sha256"]);
    assert_eq!(after["diagnosis"][1]["outcome"], "pass");
    let new = ground.token(&key, "acme").await.token();
    assert_ne!(new, old);
    assert_eq!(ground.mints().await, mints + 1, "the test's token is the first");
    // Nothing needs the old key any more, and the old token lives on.
    ground.change_app(&ground.apps.acme, json!({ "remove_keys": [ground.apps.acme.public_key_id] })).await;
    ground.user_token(&key, "acme", ADA).await.token();
    assert_eq!(ground.known_at_box(&old).await["live"], true);
    let events = ground.hand().reads("SELECT action FROM audit WHERE action = 'tenant.credentials'").await;
    assert_eq!(events.len(), 1);
    ground.end().await;
}

#[tokio::test]
async fn a_new_generation_outlives_a_restart() {
    let (mut ground, key) = acme().await;
    let old = ground.token(&key, "acme").await.token();
    put(&ground, "acme", "", &next_key(&ground).await).await.is(200);
    let new = ground.token(&key, "acme").await.token();
    ground.restart().await;
    let mints = ground.mints().await;
    assert_eq!(ground.token(&key, "acme").await.token(), new);
    assert_eq!(ground.mints().await, mints);
    assert_ne!(new, old);
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn the_same_credentials_change_nothing_and_are_not_tried() {
    let (ground, _) = acme().await;
    let before = ground.get(&ground.admin, "/v1/tenants/acme").await;
    let (tag, before) = (before.header("etag").to_owned(), before.ok());
    let (stored, mints) = (rows(&ground).await, ground.mints().await);
    let key = ground.apps.acme.key.clone().unwrap();
    for body in [file(&ground.apps.acme), by_key(&ground.apps.acme, &ground.apps.acme.public_key_id, &key)] {
        let reply = put(&ground, "acme", "?revoke_old=true", &body).await;
        assert_eq!(reply.header("etag"), tag);
        assert_eq!(reply.is(200)["generation"], before["generation"]);
    }
    assert_eq!((rows(&ground).await, ground.mints().await), (stored, mints));
    // The same again, where it was the change.
    let body = next_key(&ground).await;
    let first = put(&ground, "acme", "", &body).await.is(200);
    let again = put(&ground, "acme", "", &body).await.is(200);
    assert_eq!(first["generation"], again["generation"]);
    ground.end().await;
}

#[tokio::test]
async fn credentials_that_box_refuses_change_nothing() {
    let (ground, key) = acme().await;
    let (before, token) = (read(&ground, "acme").await, ground.token(&key, "acme").await.token());
    let stored = rows(&ground).await;
    let app = &ground.apps.acme;
    let secret = with(file(app), "/config/boxAppSettings/clientSecret", json!("another"));
    for (body, code) in [
        (by_key(app, "nobodys", &KEYS[1]), "key_unknown"),
        (by_key(app, &app.public_key_id, &KEYS[1]), "key_mismatch"),
        (secret, "credentials_invalid"),
    ] {
        put(&ground, "acme", "", &body).await.refuses(424, code);
    }
    ground.fault(json!({ "effect": { "status": 503 }, "select": { "path": "/oauth2/token" } })).await;
    put(&ground, "acme", "", &next_key(&ground).await).await.refuses(503, "upstream_unavailable");
    ground.heal().await;
    assert_eq!(read(&ground, "acme").await, before);
    assert_eq!(rows(&ground).await, stored);
    assert_eq!(ground.token(&key, "acme").await.token(), token);
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn another_app_of_the_same_enterprise_takes_over() {
    let (ground, key) = acme().await;
    let before = read(&ground, "acme").await;
    let body = with(file(&ground.apps.ccg), "/auth", json!("ccg"));
    let after = put(&ground, "acme", "", &body).await.is(200);
    assert_eq!((&after["app"]["auth"], &after["key"]), (&json!("ccg"), &Value::Null));
    assert_eq!(after["app"]["client_id"], ground.apps.ccg.client_id);
    assert_eq!(after["app"]["id"], before["app"]["id"]);
    assert_ne!(after["service_account"], before["service_account"]);
    let token = ground.user_token(&key, "acme", ADA).await.token();
    assert_eq!(ground.known_at_box(&token).await["client_id"], ground.apps.ccg.client_id);
    // The client ID that was held before is free.
    ground.register("second", &ground.apps.acme).await;
    put(&ground, "acme", "", &file(&ground.apps.acme)).await.refuses(409, "conflict");
    ground.end().await;
}

#[tokio::test]
async fn enterprises_shared_apps_and_held_client_ids_stay_where_they_are() {
    let (ground, _) = acme().await;
    shared_app(&ground).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    ground.post(&ground.admin, "/v1/tenants", north).await.is(201);
    ground.register("globex", &ground.apps.globex).await;
    let (before, mints) = (rows(&ground).await, ground.mints().await);
    let held = with(file(&ground.apps.portal), "/config/enterpriseID", json!(ACME));
    put(&ground, "acme", "", &held).await.refuses(409, "conflict");
    put(&ground, "acme", "", &file(&ground.apps.globex)).await.refuses(409, "conflict");
    put(&ground, "north", "", &file(&ground.apps.portal)).await.refuses(409, "conflict");
    assert_eq!((rows(&ground).await, ground.mints().await), (before, mints));
    ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    put(&ground, "acme", "", &file(&ground.apps.acme)).await.refuses(409, "conflict");
    ground.end().await;
}

#[tokio::test]
async fn a_suspended_tenant_gets_new_credentials_and_stays_suspended() {
    let (ground, key) = acme().await;
    ground.change_tenant("acme", json!({ "state": "suspended" })).await;
    let since = ground.issued("grant=jwt-bearer").await.len();
    let after = put(&ground, "acme", "", &next_key(&ground).await).await.is(200);
    assert_eq!((&after["state"], &after["key"]["public_key_id"]), (&json!("suspended"), &json!("next")));
    ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
    let tests = ground.issued("grant=jwt-bearer").await.split_off(since);
    for sha256 in tests {
        crate::asking::eventually("the test's token dies", async || {
            ground.known_by_sha256(&sha256).await["live"] == false
        })
        .await;
    }
    ground.change_tenant("acme", json!({ "state": "active" })).await;
    ground.token(&key, "acme").await.token();
    ground.end().await;
}

#[tokio::test]
async fn credentials_are_changed_by_those_who_may_and_in_one_form() {
    let (ground, _) = acme().await;
    let body = next_key(&ground).await;
    let before = (read(&ground, "acme").await, ground.mints().await);
    let admin = async |name: &str, tenant: &str, permission: &str| {
        ground.caller(name, "admin", json!([{ "tenant": tenant, "permissions": [permission] }])).await
    };
    let writer = admin("writer", "acme", "tenants:write").await;
    let path = "/v1/tenants/acme/credentials";
    ground.call(&writer, "PUT", path, Some(&body)).await.refuses(403, "forbidden");
    ground.call(&writer, "PUT", "/v1/tenants/gone/credentials", Some(&body)).await.refuses(404, "not_found");
    ground.register("globex", &ground.apps.globex).await;
    let foreign = admin("foreign", "globex", "tenants:credentials").await;
    ground.call(&foreign, "PUT", path, Some(&body)).await.refuses(404, "not_found");
    let service = ground.service("service", any_token("acme")).await;
    ground.call(&service, "PUT", path, Some(&body)).await.refuses(403, "forbidden");
    for (bad, pointer) in [
        (json!({}), "/config"),
        (json!({ "config": {}, "credentials": body["credentials"] }), "/credentials"),
        (with(body.clone(), "/auth", json!("jwt")), "/auth"),
        (with(body.clone(), "/app", json!("portal")), "/app"),
        (with(body.clone(), "/credentials/generate_key", json!(true)), "/credentials/public_key_id"),
        (with(body.clone(), "/credentials/client_secret", json!("")), "/credentials/client_secret"),
    ] {
        let problem = put(&ground, "acme", "", &bad).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem)[0], pointer, "{problem}");
    }
    put(&ground, "acme", "?revoke_old=maybe", &body).await.refuses(422, "invalid");
    let mut now = read(&ground, "acme").await;
    now["health"] = before.0["health"].clone();
    assert_eq!(now, before.0);
    let own = admin("own", "acme", "tenants:credentials").await;
    ground.call(&own, "PUT", path, Some(&body)).await.is(200);
    ground.end().await;
}

#[tokio::test]
async fn of_two_rotations_at_the_same_moment_one_wins_and_the_others_token_dies() {
    let (ground, key) = acme().await;
    let body = next_key(&ground).await;
    let other = with(file(&ground.apps.ccg), "/auth", json!("ccg"));
    let (one, two) = side_by_side(
        &ground,
        "/2.0/users/me",
        put(&ground, "acme", "", &body),
        put(&ground, "acme", "", &other),
    )
    .await;
    let mut statuses = [one.status, two.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409], "{one:?} {two:?}");
    let loser = if one.status == 409 { &ground.apps.acme } else { &ground.apps.ccg };
    let sha256 =
        ground.issued(&format!("client_id={}&path=/oauth2/token", loser.client_id)).await.pop().unwrap();
    crate::asking::eventually("the loser's token dies", async || {
        ground.known_by_sha256(&sha256).await["live"] == false
    })
    .await;
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn invariant_5_a_deletion_during_a_rotation_revives_nothing() {
    let (ground, key) = acme().await;
    let body = next_key(&ground).await;
    let reply = meanwhile(&ground, "jwt-bearer", put(&ground, "acme", "", &body), async {
        ground.delete(&ground.admin, "/v1/tenants/acme").await.is(204);
    })
    .await;
    assert!([200, 409].contains(&reply.status), "{reply:?}");
    ground.token(&key, "acme").await.refuses(404, "not_found");
    assert_eq!(read(&ground, "acme").await["state"], "deleted");
    ground.all_die_at_box("grant=jwt-bearer").await;
    ground.change_tenant("acme", json!({ "state": "active" })).await;
    ground.user_token(&key, "acme", GRACE).await.token();
    ground.end().await;
}
