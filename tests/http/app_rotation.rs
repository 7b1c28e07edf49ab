//! The credentials of a shared app change for all of its tenants at once.

use serde_json::{Value, json};

use crate::asking::any_token;
use crate::ground::{ACME, Ground, KEYS, NORTH, SOUTH, by_config};
use crate::registration::{pointers, shared_app, with};
use crate::rotation::{by_key, read};

/// A vendor's app with two tenants, and a service that may have their tokens.
async fn portal() -> (Ground, String) {
    let ground = Ground::new().await;
    shared_app(&ground).await;
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
        ground.post(&ground.admin, "/v1/tenants", body).await.is(201);
    }
    let key = ground.service("service", any_token("*")).await;
    (ground, key)
}

/// Has Box know a second key of the app, and gives the credentials with it, for no enterprise.
async fn next_key(ground: &Ground) -> Value {
    let added = json!({ "add_keys": [{ "kid": "next", "public_key": KEYS[1].public_pem() }] });
    ground.change_app(&ground.apps.portal, added).await;
    with(by_key(&ground.apps.portal, "next", &KEYS[1]), "/credentials/enterprise_id", Value::Null)
}

async fn put(ground: &Ground, body: &Value) -> crate::reply::Reply {
    ground.call(&ground.admin, "PUT", "/v1/apps/portal/credentials", Some(body)).await
}

#[tokio::test]
async fn new_credentials_make_a_new_generation_for_every_tenant() {
    let (ground, key) = portal().await;
    let before = read(&ground, "south").await;
    let old = ground.token(&key, "south").await.token();
    let body = next_key(&ground).await;
    let after = put(&ground, &body).await.is(200);
    assert_eq!((&after["key"]["public_key_id"], &after["tenants"]), (&json!("next"), &json!(2)));
    // It was tested with one of its tenants' enterprises.
    assert_eq!(after["diagnosis"][1]["outcome"], "pass");
    ground
        .change_app(&ground.apps.portal, json!({ "remove_keys": [ground.apps.portal.public_key_id] }))
        .await;
    for tenant in ["north", "south"] {
        assert_ne!(ground.token(&key, tenant).await.token(), old);
    }
    let now = read(&ground, "south").await;
    assert!(now["generation"].as_i64() > before["generation"].as_i64());
    assert_eq!(now["generation"], after["generation"]);
    // The same again changes nothing.
    let mints = ground.mints().await;
    assert_eq!(put(&ground, &body).await.is(200)["generation"], after["generation"]);
    assert_eq!(ground.mints().await, mints);
    let events = ground.hand().reads("SELECT action FROM audit WHERE action = 'app.credentials'").await;
    assert_eq!(events.len(), 1);
    ground.end().await;
}

#[tokio::test]
async fn credentials_of_an_app_that_box_refuses_change_nothing() {
    let (ground, key) = portal().await;
    let app = ground.get(&ground.admin, "/v1/apps/portal").await.is(200);
    let old = ground.token(&key, "north").await.token();
    let body = next_key(&ground).await;
    put(&ground, &with(body.clone(), "/credentials/public_key_id", json!("other")))
        .await
        .refuses(424, "key_unknown");
    // Where an enterprise is named, it is the one that is tried.
    let elsewhere = with(body.clone(), "/enterprise_id", json!(ACME));
    let problem = put(&ground, &elsewhere).await;
    assert_eq!(problem.status, 424, "{problem:?}");
    ground.register("acme", &ground.apps.acme).await;
    let config = json!({ "config": by_config("", &ground.apps.acme)["config"] });
    put(&ground, &config).await.refuses(409, "conflict");
    put(&ground, &json!({})).await.refuses(422, "invalid");
    let problem = put(&ground, &with(body, "/enterprise_id", json!("0"))).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/enterprise_id"]);
    assert_eq!(ground.get(&ground.admin, "/v1/apps/portal").await.is(200), app);
    assert_eq!(ground.token(&key, "north").await.token(), old);
    ground.end().await;
}

#[tokio::test]
async fn an_app_without_tenants_is_switched_untested() {
    let ground = Ground::new().await;
    shared_app(&ground).await;
    let mints = ground.mints().await;
    let after = put(&ground, &next_key(&ground).await).await.is(200);
    assert_eq!(after["diagnosis"][1]["outcome"], "skipped");
    assert_eq!((ground.mints().await, &after["key"]["public_key_id"]), (mints, &json!("next")));
    ground.end().await;
}

#[tokio::test]
async fn a_keypair_of_an_app_is_made_here_and_activated() {
    let (ground, key) = portal().await;
    let keypair = ground.call(&ground.admin, "POST", "/v1/apps/portal/keypairs", None).await.is(201);
    assert!(!keypair.to_string().contains("PRIVATE"));
    let path = format!("/v1/apps/portal/keypairs/{}/activate", keypair["id"].as_str().unwrap());
    let body = json!({ "public_key_id": "made" });
    ground.post(&ground.admin, &path, body.clone()).await.refuses(424, "key_unknown");
    let added = json!({ "add_keys": [{ "kid": "made", "public_key": keypair["public_key"] }] });
    ground.change_app(&ground.apps.portal, added).await;
    let after = ground.post(&ground.admin, &path, body.clone()).await.is(200);
    assert_eq!(after["key"]["public_key_id"], "made");
    let again = ground.post(&ground.admin, &path, body.clone()).await.is(200);
    assert_eq!(again["generation"], after["generation"]);
    ground
        .change_app(&ground.apps.portal, json!({ "remove_keys": [ground.apps.portal.public_key_id] }))
        .await;
    ground.token(&key, "south").await.token();
    // Nobody reaches it through a tenant or another app, nor a tenant's own app through here.
    ground.register("acme", &ground.apps.acme).await;
    let crossed = path.replace("apps/portal", "tenants/acme");
    ground.post(&ground.admin, &crossed, body.clone()).await.refuses(404, "not_found");
    let own = read(&ground, "acme").await["app"]["id"].as_str().unwrap().to_owned();
    let own = format!("/v1/apps/{own}/keypairs");
    ground.call(&ground.admin, "POST", &own, None).await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn an_apps_credentials_are_changed_by_those_who_manage_apps() {
    let (ground, _) = portal().await;
    let grants =
        json!([{ "tenant": "*", "permissions": ["apps:use", "tenants:credentials", "tenants:read"] }]);
    let user = ground.caller("user", "admin", grants).await;
    let body = next_key(&ground).await;
    for app in ["portal", "gone"] {
        let path = format!("/v1/apps/{app}");
        let put = ground.call(&user, "PUT", &format!("{path}/credentials"), Some(&body)).await;
        put.refuses(403, "forbidden");
        ground.call(&user, "POST", &format!("{path}/keypairs"), None).await.refuses(403, "forbidden");
        let activation = json!({ "public_key_id": "made" });
        let activate = format!("{path}/keypairs/kpr_x/activate");
        ground.post(&user, &activate, activation.clone()).await.refuses(403, "forbidden");
        ground.post(&ground.admin, &activate, activation).await.refuses(404, "not_found");
    }
    let gone = "/v1/apps/gone/credentials";
    ground.call(&ground.admin, "PUT", gone, Some(&body)).await.refuses(404, "not_found");
    ground.end().await;
}
