//! Shared apps: one Box app of a vendor's that serves many customers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ACME, Harness, NORTH, SOUTH, by_config};
use crate::response::Reply;
use crate::store_probe::rows;
use crate::token_requests::eventually;

const FIELDS: [&str; 9] =
    ["auth", "client_id", "generation", "id", "key", "shared", "app", "state", "tenants"];

fn portal(harness: &Harness, app: &str) -> Value {
    json!({ "app": app, "config": by_config("", &harness.apps.portal)["config"] })
}

async fn register(harness: &Harness, body: Value) -> Reply {
    harness.post(&harness.admin, "/v1/apps", body).await
}

async fn tenant(harness: &Harness, tenant: &str, enterprise: &str) -> Reply {
    let body = json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
    harness.post(&harness.admin, "/v1/tenants", body).await
}

async fn minter(harness: &Harness) -> String {
    harness.service("minter", json!([{ "tenant": "*", "permissions": ["tokens:mint"] }])).await
}

#[tokio::test]
async fn a_shared_app_serves_each_enterprise_its_own_tokens() {
    let harness = Harness::new().await;
    let app = register(&harness, portal(&harness, "portal")).await.is(201);
    let fields: std::collections::BTreeSet<_> = app.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, FIELDS.into_iter().chain(["diagnosis", "warnings"]).collect());
    assert_eq!((&app["shared"], &app["state"], &app["tenants"]), (&json!(true), &json!("active"), &json!(0)));
    // Its test's token is no tenant's, so it ends.
    eventually("the revocation", async || harness.count("path=/oauth2/revoke&status=200").await == 1).await;

    let north = tenant(&harness, "north", NORTH).await.is(201);
    let south = tenant(&harness, "south", SOUTH).await.is(201);
    assert_eq!((&north["app"]["shared"], &north["app"]["id"]), (&json!(true), &app["id"]));
    assert_ne!(north["service_account"]["id"], south["service_account"]["id"]);
    let minter = minter(&harness).await;
    let tokens =
        [harness.token(&minter, "north").await.token(), harness.token(&minter, "south").await.token()];
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(harness.count(&format!("subject=enterprise:{SOUTH}&grant=jwt-bearer")).await, 1);
    let read = harness.get(&harness.admin, "/v1/apps/portal").await.is(200);
    assert_eq!(read["tenants"], 2);
    let by_id = format!("/v1/apps/{}", app["id"].as_str().unwrap());
    assert_eq!(harness.get(&harness.admin, &by_id).await.is(200), read);
    harness.end().await;
}

#[tokio::test]
async fn a_refused_app_leaves_nothing() {
    let harness = Harness::new().await;
    let empty = rows(&harness).await;
    let mut wrong = portal(&harness, "portal");
    wrong["config"]["boxAppSettings"]["clientSecret"] = json!("wrong");
    register(&harness, wrong).await.refuses(424, "credentials_invalid");
    let mut elsewhere = portal(&harness, "portal");
    elsewhere["enterprise_id"] = json!(ACME);
    register(&harness, elsewhere).await.refuses(424, "app_not_authorized");
    for (change, pointer) in [
        (json!({ "app": "Portal" }), "/app"),
        (json!({ "enterprise_id": "0" }), "/enterprise_id"),
        (json!({ "tenant": "x" }), "/tenant"),
        (json!({ "config": null }), "/config"),
        (json!({ "auth": "basic" }), "/auth"),
    ] {
        let mut body = portal(&harness, "portal");
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let problem = register(&harness, body).await.refuses(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(rows(&harness).await, empty);
    harness.end().await;
}

#[tokio::test]
async fn without_an_enterprise_an_app_is_stored_untested() {
    let harness = Harness::new().await;
    let mut body = portal(&harness, "portal");
    body["config"]["enterpriseID"] = Value::Null;
    let app = register(&harness, body.clone()).await.is(201);
    assert_eq!(app["diagnosis"][1]["outcome"], "skipped");
    assert_eq!(harness.count("").await, 0);
    register(&harness, body.clone()).await.is(200);
    register(&harness, portal(&harness, "portal")).await.is(200);
    body["config"]["boxAppSettings"]["clientSecret"] = json!("another");
    register(&harness, body).await.refuses(409, "conflict");
    register(&harness, portal(&harness, "second")).await.refuses(409, "conflict");
    assert_eq!(harness.count("").await, 0);
    harness.end().await;
}

#[tokio::test]
async fn apps_are_listed_by_name_without_the_tenants_own() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    register(&harness, portal(&harness, "portal")).await.is(201);
    let second = json!({ "app": "alpha", "config": by_config("", &harness.apps.globex)["config"] });
    register(&harness, second).await.is(201);
    let list = harness.get(&harness.admin, "/v1/apps").await.is(200);
    let names: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|app| &app["app"]).collect();
    assert_eq!(names, ["alpha", "portal"]);
    assert_eq!(list["next_cursor"], Value::Null);
    let first = harness.get(&harness.admin, "/v1/apps?limit=1").await.is(200);
    let next = format!("/v1/apps?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let last = harness.get(&harness.admin, &next).await.is(200);
    assert_eq!((&last["items"][0]["app"], &last["next_cursor"]), (&json!("portal"), &Value::Null));
    // A tenant's own app is seen through its tenant alone.
    let own = harness.get(&harness.admin, "/v1/tenants/acme").await.is(200)["app"]["id"].clone();
    let own = format!("/v1/apps/{}", own.as_str().unwrap());
    harness.get(&harness.admin, &own).await.refuses(404, "not_found");
    harness.patch(&harness.admin, &own, json!({ "state": "suspended" })).await.refuses(404, "not_found");
    harness.delete(&harness.admin, &own).await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn a_suspended_app_suspends_its_tenants_and_nobody_elses() {
    let harness = Harness::new().await;
    register(&harness, portal(&harness, "portal")).await.is(201);
    tenant(&harness, "north", NORTH).await.is(201);
    harness.register("acme", &harness.apps.acme).await;
    let minter = minter(&harness).await;
    let token = harness.token(&minter, "north").await.token();
    let path = "/v1/apps/portal";
    for bad in [json!({ "state": "deleted" }), json!({ "app": "x" }), json!({ "client_id": "x" }), json!([])]
    {
        harness.patch(&harness.admin, path, bad).await.refuses(422, "invalid");
    }
    let suspended = harness.patch(&harness.admin, path, json!({ "state": "suspended" })).await;
    let tag = suspended.header("etag").to_owned();
    assert_eq!(suspended.is(200)["state"], "suspended");
    harness.token(&minter, "north").await.refuses(403, "tenant_suspended");
    harness.token(&minter, "acme").await.token();
    tenant(&harness, "south", SOUTH).await.refuses(409, "conflict");
    let again = harness.patch(&harness.admin, path, json!({ "state": "suspended" })).await;
    assert_eq!(again.header("etag"), tag);
    harness.patch(&harness.admin, path, json!({ "state": "active" })).await.is(200);
    assert_eq!(harness.token(&minter, "north").await.token(), token);
    let stale = harness.http.patch(harness.url(path)).bearer_auth(&harness.admin).header("if-match", tag);
    let stale = stale.json(&json!({ "state": "suspended" })).send().await.unwrap();
    Reply::of(stale).await.refuses(412, "precondition_failed");
    harness.end().await;
}

#[tokio::test]
async fn an_app_is_erased_only_when_nobody_uses_it() {
    let harness = Harness::new().await;
    let empty = rows(&harness).await;
    let first = register(&harness, portal(&harness, "portal")).await.is(201);
    tenant(&harness, "north", NORTH).await.is(201);
    harness.delete(&harness.admin, "/v1/apps/portal").await.refuses(409, "conflict");
    harness.delete(&harness.admin, "/v1/tenants/north").await.is(204);
    harness.delete(&harness.admin, "/v1/apps/portal").await.refuses(409, "conflict");
    harness.delete(&harness.admin, "/v1/tenants/north?purge=now").await.is(204);
    harness.delete(&harness.admin, "/v1/apps/portal").await.is(204);
    assert_eq!(rows(&harness).await[..3], empty[..3]);
    harness.get(&harness.admin, "/v1/apps/portal").await.refuses(404, "not_found");
    harness.delete(&harness.admin, "/v1/apps/portal").await.refuses(404, "not_found");
    tenant(&harness, "north", NORTH).await.refuses(422, "invalid");
    let second = register(&harness, portal(&harness, "portal")).await.is(201);
    assert_ne!(first["id"], second["id"]);
    harness.end().await;
}

#[tokio::test]
async fn using_apps_is_not_managing_them() {
    let harness = Harness::new().await;
    register(&harness, portal(&harness, "portal")).await.is(201);
    let admin = async |name: &str, tenant: &str, permissions: Value| {
        harness.caller(name, "admin", json!([{ "tenant": tenant, "permissions": permissions }])).await
    };
    let user = admin("user", "*", json!(["apps:use", "tenants:create"])).await;
    harness.get(&user, "/v1/apps/portal").await.is(200);
    harness.get(&user, "/v1/apps").await.is(200);
    harness.post(&user, "/v1/apps", portal(&harness, "other")).await.refuses(403, "forbidden");
    harness.patch(&user, "/v1/apps/portal", json!({ "state": "suspended" })).await.refuses(403, "forbidden");
    harness.delete(&user, "/v1/apps/portal").await.refuses(403, "forbidden");
    let writer = admin("writer", "*", json!(["apps:write", "tenants:create"])).await;
    let body = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    harness.post(&writer, "/v1/tenants", body.clone()).await.refuses(403, "forbidden");
    harness.post(&user, "/v1/tenants", body).await.is(201);
    harness.patch(&writer, "/v1/apps/portal", json!({ "state": "suspended" })).await.is(200);
    let neither = admin("neither", "*", json!(["tenants:read"])).await;
    harness.get(&neither, "/v1/apps").await.refuses(403, "forbidden");
    harness.get(&neither, "/v1/apps/portal").await.refuses(403, "forbidden");
    harness.get(&neither, "/v1/apps/nobodys").await.refuses(403, "forbidden");
    harness.end().await;
}

#[tokio::test]
async fn an_app_is_registered_again_by_all_of_its_credentials_alone() {
    let harness = Harness::new().await;
    let mut config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    register(&harness, json!({ "app": "vendor", "config": config.clone() })).await.is(201);
    register(&harness, json!({ "app": "vendor", "config": config.clone() })).await.is(200);
    for (pointer, other) in [
        ("/boxAppSettings/clientSecret", "anothersecretanothersecretanoth1"),
        ("/boxAppSettings/appAuth/publicKeyID", "another1"),
    ] {
        let was = std::mem::replace(config.pointer_mut(pointer).unwrap(), json!(other));
        register(&harness, json!({ "app": "vendor", "config": config.clone() }))
            .await
            .refuses(409, "conflict");
        *config.pointer_mut(pointer).unwrap() = was;
    }
    harness.end().await;
}

#[tokio::test]
async fn an_app_is_erased_only_as_it_was_read() {
    let harness = Harness::new().await;
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    register(&harness, json!({ "app": "vendor", "config": config })).await.is(201);
    let (path, read) = ("/v1/apps/vendor", "\"1\"");
    harness.patch(&harness.admin, path, json!({ "state": "suspended" })).await.is(200);
    harness
        .if_match(&harness.admin, Method::DELETE, path, read, json!({}))
        .await
        .refuses(412, "precondition_failed");
    harness.get(&harness.admin, path).await.is(200);
    harness.if_match(&harness.admin, Method::DELETE, path, "\"2\"", json!({})).await.is(204);
    harness.end().await;
}
