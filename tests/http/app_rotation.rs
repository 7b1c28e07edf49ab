//! The credentials of a shared app change for all of its tenants at once.

use serde_json::{Value, json};

use crate::harness::{ACME, Harness, KEYS, NORTH, SOUTH, by_config};
use crate::registration::{pointers, shared_app, with};
use crate::rotation::{by_key, read};
use crate::token_requests::any_token;

/// A vendor's app with two tenants, and a service that may have their tokens.
async fn portal() -> (Harness, String) {
    let harness = Harness::new().await;
    shared_app(&harness).await;
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
        harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    }
    let key = harness.service("service", any_token("*")).await;
    (harness, key)
}

/// Has Box know a second key of the app, and gives the credentials with it, for no enterprise.
async fn next_key(harness: &Harness) -> Value {
    let added = json!({ "add_keys": [{ "kid": "next", "public_key": KEYS[1].public_pem() }] });
    harness.change_app(&harness.apps.portal, added).await;
    with(by_key(&harness.apps.portal, "next", &KEYS[1]), "/credentials/enterprise_id", Value::Null)
}

async fn put(harness: &Harness, body: &Value) -> crate::response::Reply {
    harness.call(&harness.admin, "PUT", "/v1/apps/portal/credentials", Some(body)).await
}

#[tokio::test]
async fn new_credentials_make_a_new_generation_for_every_tenant() {
    let (harness, key) = portal().await;
    let before = read(&harness, "south").await;
    let old = harness.token(&key, "south").await.token();
    let body = next_key(&harness).await;
    let after = put(&harness, &body).await.is(200);
    assert_eq!((&after["key"]["public_key_id"], &after["tenants"]), (&json!("next"), &json!(2)));
    // It was tested with one of its tenants' enterprises.
    assert_eq!(after["diagnosis"][1]["outcome"], "pass");
    harness
        .change_app(&harness.apps.portal, json!({ "remove_keys": [harness.apps.portal.public_key_id] }))
        .await;
    for tenant in ["north", "south"] {
        assert_ne!(harness.token(&key, tenant).await.token(), old);
    }
    let now = read(&harness, "south").await;
    assert!(now["generation"].as_i64() > before["generation"].as_i64());
    assert_eq!(now["generation"], after["generation"]);
    // The same again changes nothing.
    let mints = harness.mints().await;
    assert_eq!(put(&harness, &body).await.is(200)["generation"], after["generation"]);
    assert_eq!(harness.mints().await, mints);
    let events = harness.hand().reads("SELECT action FROM audit WHERE action = 'app.credentials'").await;
    assert_eq!(events.len(), 1);
    harness.end().await;
}

#[tokio::test]
async fn credentials_of_an_app_that_box_refuses_change_nothing() {
    let (harness, key) = portal().await;
    let app = harness.get(&harness.admin, "/v1/apps/portal").await.is(200);
    let old = harness.token(&key, "north").await.token();
    let body = next_key(&harness).await;
    put(&harness, &with(body.clone(), "/credentials/public_key_id", json!("other")))
        .await
        .refuses(424, "key_unknown");
    // Where an enterprise is named, it is the one that is tried.
    let elsewhere = with(body.clone(), "/enterprise_id", json!(ACME));
    let problem = put(&harness, &elsewhere).await;
    assert_eq!(problem.status, 424, "{problem:?}");
    harness.register("acme", &harness.apps.acme).await;
    let config = json!({ "config": by_config("", &harness.apps.acme)["config"] });
    put(&harness, &config).await.refuses(409, "conflict");
    put(&harness, &json!({})).await.refuses(422, "invalid");
    let problem = put(&harness, &with(body, "/enterprise_id", json!("0"))).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/enterprise_id"]);
    assert_eq!(harness.get(&harness.admin, "/v1/apps/portal").await.is(200), app);
    assert_eq!(harness.token(&key, "north").await.token(), old);
    harness.end().await;
}

#[tokio::test]
async fn an_app_without_tenants_is_switched_untested() {
    let harness = Harness::new().await;
    shared_app(&harness).await;
    let mints = harness.mints().await;
    let after = put(&harness, &next_key(&harness).await).await.is(200);
    assert_eq!(after["diagnosis"][1]["outcome"], "skipped");
    assert_eq!((harness.mints().await, &after["key"]["public_key_id"]), (mints, &json!("next")));
    harness.end().await;
}

#[tokio::test]
async fn a_keypair_of_an_app_is_made_here_and_activated() {
    let (harness, key) = portal().await;
    let keypair = harness.call(&harness.admin, "POST", "/v1/apps/portal/keypairs", None).await.is(201);
    assert!(!keypair.to_string().contains("PRIVATE"));
    let path = format!("/v1/apps/portal/keypairs/{}/activate", keypair["id"].as_str().unwrap());
    let body = json!({ "public_key_id": "made" });
    harness.post(&harness.admin, &path, body.clone()).await.refuses(424, "key_unknown");
    let added = json!({ "add_keys": [{ "kid": "made", "public_key": keypair["public_key"] }] });
    harness.change_app(&harness.apps.portal, added).await;
    let after = harness.post(&harness.admin, &path, body.clone()).await.is(200);
    assert_eq!(after["key"]["public_key_id"], "made");
    let again = harness.post(&harness.admin, &path, body.clone()).await.is(200);
    assert_eq!(again["generation"], after["generation"]);
    harness
        .change_app(&harness.apps.portal, json!({ "remove_keys": [harness.apps.portal.public_key_id] }))
        .await;
    harness.token(&key, "south").await.token();
    // Nobody reaches it through a tenant or another app, nor a tenant's own app through here.
    harness.register("acme", &harness.apps.acme).await;
    let crossed = path.replace("apps/portal", "tenants/acme");
    harness.post(&harness.admin, &crossed, body.clone()).await.refuses(404, "not_found");
    let own = read(&harness, "acme").await["app"]["id"].as_str().unwrap().to_owned();
    let own = format!("/v1/apps/{own}/keypairs");
    harness.call(&harness.admin, "POST", &own, None).await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn an_apps_credentials_are_changed_by_those_who_manage_apps() {
    let (harness, _) = portal().await;
    let grants =
        json!([{ "tenant": "*", "permissions": ["apps:use", "tenants:credentials", "tenants:read"] }]);
    let user = harness.caller("user", "admin", grants).await;
    let body = next_key(&harness).await;
    for app in ["portal", "gone"] {
        let path = format!("/v1/apps/{app}");
        let put = harness.call(&user, "PUT", &format!("{path}/credentials"), Some(&body)).await;
        put.refuses(403, "forbidden");
        harness.call(&user, "POST", &format!("{path}/keypairs"), None).await.refuses(403, "forbidden");
        let activation = json!({ "public_key_id": "made" });
        let activate = format!("{path}/keypairs/kpr_x/activate");
        harness.post(&user, &activate, activation.clone()).await.refuses(403, "forbidden");
        harness.post(&harness.admin, &activate, activation).await.refuses(404, "not_found");
    }
    let gone = "/v1/apps/gone/credentials";
    harness.call(&harness.admin, "PUT", gone, Some(&body)).await.refuses(404, "not_found");
    harness.end().await;
}
