//! Shared apps: one Box app of a vendor's that serves many customers.

use reqwest::Method;
use serde_json::{Value, json};

use crate::asking::eventually;
use crate::ground::{ACME, Ground, NORTH, SOUTH, by_config};
use crate::reply::Reply;
use crate::watching::rows;

const FIELDS: [&str; 9] =
    ["auth", "client_id", "generation", "id", "key", "shared", "app", "state", "tenants"];

fn portal(ground: &Ground, app: &str) -> Value {
    json!({ "app": app, "config": by_config("", &ground.apps.portal)["config"] })
}

async fn register(ground: &Ground, body: Value) -> Reply {
    ground.post(&ground.admin, "/v1/apps", body).await
}

async fn tenant(ground: &Ground, tenant: &str, enterprise: &str) -> Reply {
    let body = json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
    ground.post(&ground.admin, "/v1/tenants", body).await
}

async fn minter(ground: &Ground) -> String {
    ground.service("minter", json!([{ "tenant": "*", "permissions": ["tokens:mint"] }])).await
}

#[tokio::test]
async fn a_shared_app_serves_each_enterprise_its_own_tokens() {
    let ground = Ground::new().await;
    let app = register(&ground, portal(&ground, "portal")).await.is(201);
    let fields: std::collections::BTreeSet<_> = app.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, FIELDS.into_iter().chain(["diagnosis", "warnings"]).collect());
    assert_eq!((&app["shared"], &app["state"], &app["tenants"]), (&json!(true), &json!("active"), &json!(0)));
    // Its test's token is no tenant's, so it ends.
    eventually("the revocation", async || ground.count("path=/oauth2/revoke&status=200").await == 1).await;

    let north = tenant(&ground, "north", NORTH).await.is(201);
    let south = tenant(&ground, "south", SOUTH).await.is(201);
    assert_eq!((&north["app"]["shared"], &north["app"]["id"]), (&json!(true), &app["id"]));
    assert_ne!(north["service_account"]["id"], south["service_account"]["id"]);
    let minter = minter(&ground).await;
    let tokens = [ground.token(&minter, "north").await.token(), ground.token(&minter, "south").await.token()];
    assert_ne!(tokens[0], tokens[1]);
    assert_eq!(ground.count(&format!("subject=enterprise:{SOUTH}&grant=jwt-bearer")).await, 1);
    let read = ground.get(&ground.admin, "/v1/apps/portal").await.is(200);
    assert_eq!(read["tenants"], 2);
    let by_id = format!("/v1/apps/{}", app["id"].as_str().unwrap());
    assert_eq!(ground.get(&ground.admin, &by_id).await.is(200), read);
    ground.end().await;
}

#[tokio::test]
async fn a_refused_app_leaves_nothing() {
    let ground = Ground::new().await;
    let empty = rows(&ground).await;
    let mut wrong = portal(&ground, "portal");
    wrong["config"]["boxAppSettings"]["clientSecret"] = json!("wrong");
    register(&ground, wrong).await.refuses(424, "credentials_invalid");
    let mut elsewhere = portal(&ground, "portal");
    elsewhere["enterprise_id"] = json!(ACME);
    register(&ground, elsewhere).await.refuses(424, "app_not_authorized");
    for (change, pointer) in [
        (json!({ "app": "Portal" }), "/app"),
        (json!({ "enterprise_id": "0" }), "/enterprise_id"),
        (json!({ "tenant": "x" }), "/tenant"),
        (json!({ "config": null }), "/config"),
        (json!({ "auth": "basic" }), "/auth"),
    ] {
        let mut body = portal(&ground, "portal");
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let problem = register(&ground, body).await.refuses(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    assert_eq!(rows(&ground).await, empty);
    ground.end().await;
}

#[tokio::test]
async fn without_an_enterprise_an_app_is_stored_untested() {
    let ground = Ground::new().await;
    let mut body = portal(&ground, "portal");
    body["config"]["enterpriseID"] = Value::Null;
    let app = register(&ground, body.clone()).await.is(201);
    assert_eq!(app["diagnosis"][1]["outcome"], "skipped");
    assert_eq!(ground.count("").await, 0);
    register(&ground, body.clone()).await.is(200);
    register(&ground, portal(&ground, "portal")).await.is(200);
    body["config"]["boxAppSettings"]["clientSecret"] = json!("another");
    register(&ground, body).await.refuses(409, "conflict");
    register(&ground, portal(&ground, "second")).await.refuses(409, "conflict");
    assert_eq!(ground.count("").await, 0);
    ground.end().await;
}

#[tokio::test]
async fn apps_are_listed_by_name_without_the_tenants_own() {
    let ground = Ground::new().await;
    ground.register("acme", &ground.apps.acme).await;
    register(&ground, portal(&ground, "portal")).await.is(201);
    let second = json!({ "app": "alpha", "config": by_config("", &ground.apps.globex)["config"] });
    register(&ground, second).await.is(201);
    let list = ground.get(&ground.admin, "/v1/apps").await.is(200);
    let names: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|app| &app["app"]).collect();
    assert_eq!(names, ["alpha", "portal"]);
    assert_eq!(list["next_cursor"], Value::Null);
    let first = ground.get(&ground.admin, "/v1/apps?limit=1").await.is(200);
    let next = format!("/v1/apps?limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
    let last = ground.get(&ground.admin, &next).await.is(200);
    assert_eq!((&last["items"][0]["app"], &last["next_cursor"]), (&json!("portal"), &Value::Null));
    // A tenant's own app is seen through its tenant alone.
    let own = ground.get(&ground.admin, "/v1/tenants/acme").await.is(200)["app"]["id"].clone();
    let own = format!("/v1/apps/{}", own.as_str().unwrap());
    ground.get(&ground.admin, &own).await.refuses(404, "not_found");
    ground.patch(&ground.admin, &own, json!({ "state": "suspended" })).await.refuses(404, "not_found");
    ground.delete(&ground.admin, &own).await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn a_suspended_app_suspends_its_tenants_and_nobody_elses() {
    let ground = Ground::new().await;
    register(&ground, portal(&ground, "portal")).await.is(201);
    tenant(&ground, "north", NORTH).await.is(201);
    ground.register("acme", &ground.apps.acme).await;
    let minter = minter(&ground).await;
    let token = ground.token(&minter, "north").await.token();
    let path = "/v1/apps/portal";
    for bad in [json!({ "state": "deleted" }), json!({ "app": "x" }), json!({ "client_id": "x" }), json!([])]
    {
        ground.patch(&ground.admin, path, bad).await.refuses(422, "invalid");
    }
    let suspended = ground.patch(&ground.admin, path, json!({ "state": "suspended" })).await;
    let tag = suspended.header("etag").to_owned();
    assert_eq!(suspended.is(200)["state"], "suspended");
    ground.token(&minter, "north").await.refuses(403, "tenant_suspended");
    ground.token(&minter, "acme").await.token();
    tenant(&ground, "south", SOUTH).await.refuses(409, "conflict");
    let again = ground.patch(&ground.admin, path, json!({ "state": "suspended" })).await;
    assert_eq!(again.header("etag"), tag);
    ground.patch(&ground.admin, path, json!({ "state": "active" })).await.is(200);
    assert_eq!(ground.token(&minter, "north").await.token(), token);
    let stale = ground.http.patch(ground.url(path)).bearer_auth(&ground.admin).header("if-match", tag);
    let stale = stale.json(&json!({ "state": "suspended" })).send().await.unwrap();
    Reply::of(stale).await.refuses(412, "precondition_failed");
    ground.end().await;
}

#[tokio::test]
async fn an_app_is_erased_only_when_nobody_uses_it() {
    let ground = Ground::new().await;
    let empty = rows(&ground).await;
    let first = register(&ground, portal(&ground, "portal")).await.is(201);
    tenant(&ground, "north", NORTH).await.is(201);
    ground.delete(&ground.admin, "/v1/apps/portal").await.refuses(409, "conflict");
    ground.delete(&ground.admin, "/v1/tenants/north").await.is(204);
    ground.delete(&ground.admin, "/v1/apps/portal").await.refuses(409, "conflict");
    ground.delete(&ground.admin, "/v1/tenants/north?purge=now").await.is(204);
    ground.delete(&ground.admin, "/v1/apps/portal").await.is(204);
    assert_eq!(rows(&ground).await[..3], empty[..3]);
    ground.get(&ground.admin, "/v1/apps/portal").await.refuses(404, "not_found");
    ground.delete(&ground.admin, "/v1/apps/portal").await.refuses(404, "not_found");
    tenant(&ground, "north", NORTH).await.refuses(422, "invalid");
    let second = register(&ground, portal(&ground, "portal")).await.is(201);
    assert_ne!(first["id"], second["id"]);
    ground.end().await;
}

#[tokio::test]
async fn using_apps_is_not_managing_them() {
    let ground = Ground::new().await;
    register(&ground, portal(&ground, "portal")).await.is(201);
    let admin = async |name: &str, tenant: &str, permissions: Value| {
        ground.caller(name, "admin", json!([{ "tenant": tenant, "permissions": permissions }])).await
    };
    let user = admin("user", "*", json!(["apps:use", "tenants:create"])).await;
    ground.get(&user, "/v1/apps/portal").await.is(200);
    ground.get(&user, "/v1/apps").await.is(200);
    ground.post(&user, "/v1/apps", portal(&ground, "other")).await.refuses(403, "forbidden");
    ground.patch(&user, "/v1/apps/portal", json!({ "state": "suspended" })).await.refuses(403, "forbidden");
    ground.delete(&user, "/v1/apps/portal").await.refuses(403, "forbidden");
    let writer = admin("writer", "*", json!(["apps:write", "tenants:create"])).await;
    let body = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    ground.post(&writer, "/v1/tenants", body.clone()).await.refuses(403, "forbidden");
    ground.post(&user, "/v1/tenants", body).await.is(201);
    ground.patch(&writer, "/v1/apps/portal", json!({ "state": "suspended" })).await.is(200);
    let neither = admin("neither", "*", json!(["tenants:read"])).await;
    ground.get(&neither, "/v1/apps").await.refuses(403, "forbidden");
    ground.get(&neither, "/v1/apps/portal").await.refuses(403, "forbidden");
    ground.get(&neither, "/v1/apps/nobodys").await.refuses(403, "forbidden");
    ground.end().await;
}

#[tokio::test]
async fn an_app_is_registered_again_by_all_of_its_credentials_alone() {
    let ground = Ground::new().await;
    let mut config: Value = serde_json::from_str(&ground.apps.portal.json).unwrap();
    register(&ground, json!({ "app": "vendor", "config": config.clone() })).await.is(201);
    register(&ground, json!({ "app": "vendor", "config": config.clone() })).await.is(200);
    for (pointer, other) in [
        ("/boxAppSettings/clientSecret", "anothersecretanothersecretanoth1"),
        ("/boxAppSettings/appAuth/publicKeyID", "another1"),
    ] {
        let was = std::mem::replace(config.pointer_mut(pointer).unwrap(), json!(other));
        register(&ground, json!({ "app": "vendor", "config": config.clone() }))
            .await
            .refuses(409, "conflict");
        *config.pointer_mut(pointer).unwrap() = was;
    }
    ground.end().await;
}

#[tokio::test]
async fn an_app_is_erased_only_as_it_was_read() {
    let ground = Ground::new().await;
    let config: Value = serde_json::from_str(&ground.apps.portal.json).unwrap();
    register(&ground, json!({ "app": "vendor", "config": config })).await.is(201);
    let (path, read) = ("/v1/apps/vendor", "\"1\"");
    ground.patch(&ground.admin, path, json!({ "state": "suspended" })).await.is(200);
    ground
        .if_match(&ground.admin, Method::DELETE, path, read, json!({}))
        .await
        .refuses(412, "precondition_failed");
    ground.get(&ground.admin, path).await.is(200);
    ground.if_match(&ground.admin, Method::DELETE, path, "\"2\"", json!({})).await.is(204);
    ground.end().await;
}
