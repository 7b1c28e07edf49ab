//! Keys made by the broker: the public half goes to Box by hand, the private half nowhere.

use serde_json::{Value, json};

use crate::asking::{acme, any_token};
use crate::ground::{ADA, Ground, NORTH};
use crate::registration::{pointers, post, shared_app, with};
use crate::reply::Reply;
use crate::rotation::{put, read};

pub(crate) async fn make(ground: &Ground, tenant: &str) -> Value {
    let path = format!("/v1/tenants/{tenant}/keypairs");
    ground.call(&ground.admin, "POST", &path, None).await.is(201)
}

pub(crate) async fn activate(ground: &Ground, tenant: &str, keypair: &Value, kid: &str) -> Reply {
    let path = format!("/v1/tenants/{tenant}/keypairs/{}/activate", keypair["id"].as_str().unwrap());
    ground.post(&ground.admin, &path, json!({ "public_key_id": kid })).await
}

/// Pastes the public key into Box's console, as a person does.
pub(crate) async fn upload(ground: &Ground, keypair: &Value, kid: &str) {
    let added = json!({ "add_keys": [{ "kid": kid, "public_key": keypair["public_key"] }] });
    ground.change_app(&ground.apps.acme, added).await;
}

/// The body that registers acme with a key that is still to be made.
fn generated(ground: &Ground) -> Value {
    let app = &ground.apps.acme;
    json!({ "tenant": "acme", "credentials": {
        "client_id": app.client_id, "client_secret": app.client_secret, "enterprise_id": app.enterprise_id,
        "auth": "jwt", "generate_key": true,
    } })
}

#[tokio::test]
async fn a_key_made_here_takes_over_once_box_knows_it() {
    let (ground, key) = acme().await;
    let before = read(&ground, "acme").await;
    let old = ground.token(&key, "acme").await.token();
    let keypair = make(&ground, "acme").await;
    assert!(keypair["public_key"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(!keypair.to_string().contains("PRIVATE"));
    assert_eq!(keypair.as_object().unwrap().len(), 3);
    let steps = keypair["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step.as_str().unwrap().contains(&ground.apps.acme.client_id)));
    let last = format!("POST /v1/tenants/acme/keypairs/{}/activate", keypair["id"].as_str().unwrap());
    assert!(steps.iter().any(|step| step.as_str().unwrap().contains(&last)), "{steps:?}");
    // It changes nothing until it is activated.
    assert_eq!(read(&ground, "acme").await, before);

    upload(&ground, &keypair, "made").await;
    let mints = ground.mints().await;
    let after = activate(&ground, "acme", &keypair, "made").await.is(200);
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    assert_eq!((&after["key"]["public_key_id"], &after["key"]["bits"]), (&json!("made"), &json!(2048)));
    assert!(!after.to_string().contains("PRIVATE"));
    ground.change_app(&ground.apps.acme, json!({ "remove_keys": [ground.apps.acme.public_key_id] })).await;
    assert_ne!(ground.token(&key, "acme").await.token(), old);
    assert_eq!(ground.mints().await, mints + 1);
    ground.user_token(&key, "acme", ADA).await.token();
    // Of the keypair only its public face is left.
    let private = ground.hand().reads("SELECT id FROM keypairs WHERE length(sealed) > 0").await;
    assert!(private.is_empty(), "{private:?}");
    ground.end().await;
}

#[tokio::test]
async fn an_activation_that_box_refuses_changes_nothing_and_can_be_tried_again() {
    let (ground, key) = acme().await;
    let before = read(&ground, "acme").await;
    let old = ground.token(&key, "acme").await.token();
    let keypair = make(&ground, "acme").await;
    activate(&ground, "acme", &keypair, "made").await.refuses(424, "key_unknown");
    let other = ground.apps.acme.public_key_id.clone();
    activate(&ground, "acme", &keypair, &other).await.refuses(424, "key_mismatch");
    for bad in ["", "a b", "x/y"] {
        let problem = activate(&ground, "acme", &keypair, bad).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), ["/public_key_id"]);
    }
    assert_eq!(read(&ground, "acme").await, before);
    assert_eq!(ground.token(&key, "acme").await.token(), old);
    upload(&ground, &keypair, "made").await;
    ground.fault(json!({ "select": { "path": "/oauth2/token" }, "effect": { "status": 503 } })).await;
    activate(&ground, "acme", &keypair, "made").await.refuses(503, "upstream_unavailable");
    ground.heal().await;
    activate(&ground, "acme", &keypair, "made").await.is(200);
    ground.end().await;
}

#[tokio::test]
async fn r13_an_activation_whose_answer_was_lost_is_repeated_without_a_mint() {
    let (mut ground, key) = acme().await;
    let keypair = make(&ground, "acme").await;
    upload(&ground, &keypair, "made").await;
    let first = activate(&ground, "acme", &keypair, "made").await.is(200);
    let token = ground.token(&key, "acme").await.token();
    ground.restart().await;
    let mints = ground.mints().await;
    let again = activate(&ground, "acme", &keypair, "made").await.is(200);
    assert_eq!((&again["generation"], &again["key"]), (&first["generation"], &first["key"]));
    assert_eq!(ground.token(&key, "acme").await.token(), token);
    assert_eq!(ground.mints().await, mints);
    activate(&ground, "acme", &keypair, "another").await.refuses(409, "conflict");
    // A later key ends what an earlier one can do.
    let later = make(&ground, "acme").await;
    upload(&ground, &later, "later").await;
    activate(&ground, "acme", &later, "later").await.is(200);
    activate(&ground, "acme", &keypair, "made").await.refuses(409, "conflict");
    ground.end().await;
}

#[tokio::test]
async fn a_keypair_serves_its_own_app_alone() {
    let (ground, _) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    let keypair = make(&ground, "acme").await;
    activate(&ground, "globex", &keypair, "made").await.refuses(404, "not_found");
    for id in ["kpr_nobodys", "kpr_", "key_x", "x"] {
        activate(&ground, "acme", &json!({ "id": id }), "made").await.refuses(404, "not_found");
    }
    let id = keypair["id"].as_str().unwrap();
    let ways = [("/v1/tenants/{}/keypairs", None), ("/v1/tenants/{}/keypairs/{id}/activate", Some(()))];
    for (name, tenant, permission, refusal) in [
        ("writer", "acme", "tenants:write", (403, "forbidden")),
        ("foreign", "globex", "tenants:credentials", (404, "not_found")),
    ] {
        let grants = json!([{ "tenant": tenant, "permissions": [permission] }]);
        let caller = ground.caller(name, "admin", grants).await;
        for (path, body) in ways {
            let body = body.map(|()| json!({ "public_key_id": "made" }));
            let path = |tenant: &str| path.replace("{}", tenant).replace("{id}", id);
            ground.call(&caller, "POST", &path("acme"), body.as_ref()).await.refuses(refusal.0, refusal.1);
            ground.call(&caller, "POST", &path("gone"), body.as_ref()).await.refuses(404, "not_found");
        }
    }
    ground.end().await;
}

#[tokio::test]
async fn keypairs_are_made_where_they_can_be_used() {
    let ground = Ground::new().await;
    shared_app(&ground).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    post(&ground, north).await.is(201);
    let config: Value = serde_json::from_str(&ground.apps.ccg.json).unwrap();
    post(&ground, json!({ "tenant": "acme", "config": config, "auth": "ccg" })).await.is(201);
    for tenant in ["north", "acme"] {
        let path = format!("/v1/tenants/{tenant}/keypairs");
        ground.call(&ground.admin, "POST", &path, None).await.refuses(409, "conflict");
    }
    ground.register("globex", &ground.apps.globex).await;
    let keypair = make(&ground, "globex").await;
    ground.delete(&ground.admin, "/v1/tenants/globex").await.is(204);
    activate(&ground, "globex", &keypair, "made").await.refuses(409, "conflict");
    ground.delete(&ground.admin, "/v1/tenants/globex?purge=now").await.is(204);
    assert!(ground.hand().reads("SELECT id FROM keypairs").await.is_empty());
    ground.end().await;
}

#[tokio::test]
async fn a_new_tenant_whose_key_is_made_here_waits_for_its_activation() {
    let mut ground = Ground::new().await;
    ground.change_app(&ground.apps.acme, json!({ "remove_keys": [ground.apps.acme.public_key_id] })).await;
    let registered = post(&ground, generated(&ground)).await.is(201);
    assert_eq!((&registered["state"], &registered["key"]), (&json!("pending"), &Value::Null));
    let keypair = registered["keypair"].clone();
    assert!(keypair["id"].as_str().unwrap().starts_with("kpr_"));
    assert!(keypair["steps"].to_string().contains("/v1/tenants/acme/keypairs/"));
    let key = ground.service("portal", any_token("acme")).await;
    let waits = ground.token(&key, "acme").await.refuses(403, "tenant_suspended");
    assert!(waits["fix"].as_str().unwrap().contains("activate"), "{waits}");
    ground.broker().run_housekeeping().await;
    let tested = ground.call(&ground.admin, "POST", "/v1/tenants/acme/test", None).await.is(200);
    assert!(tested["diagnosis"].as_array().unwrap().iter().all(|line| line["outcome"] != "fail"));
    assert_eq!(ground.count("path=/oauth2/token").await, 0, "without a key Box is not asked");
    assert_eq!(read(&ground, "acme").await["health"]["state"], "unknown");
    activate(&ground, "acme", &keypair, "made").await.refuses(424, "key_unknown");
    assert_eq!(read(&ground, "acme").await["state"], "pending");
    ground.restart().await;
    upload(&ground, &keypair, "made").await;
    let after = activate(&ground, "acme", &keypair, "made").await.is(200);
    assert_eq!((&after["state"], &after["id"]), (&json!("active"), &registered["id"]));
    assert!(after["service_account"]["login"].is_string());
    ground.token(&key, "acme").await.token();
    ground.user_token(&key, "acme", ADA).await.token();
    ground.end().await;
}

#[tokio::test]
async fn r13_a_registration_that_was_cut_off_is_repeated_and_finds_its_keypair() {
    let ground = Ground::new().await;
    let first = post(&ground, generated(&ground)).await.is(201);
    let again = post(&ground, generated(&ground)).await.is(200);
    assert_eq!((&again["id"], &again["keypair"]), (&first["id"], &first["keypair"]));
    // Where the end came between the tenant and its keypair, it gets one now.
    ground.hand().does("DELETE FROM keypairs").await;
    let keypair = post(&ground, generated(&ground)).await.is(200)["keypair"].clone();
    assert_ne!(keypair["id"], first["keypair"]["id"]);
    upload(&ground, &keypair, "made").await;
    activate(&ground, "acme", &keypair, "made").await.is(200);
    post(&ground, generated(&ground)).await.refuses(409, "conflict");
    ground.end().await;
}

#[tokio::test]
async fn a_key_is_generated_for_new_jwt_tenants_alone() {
    let ground = Ground::new().await;
    for (change, value, pointer) in [
        ("/credentials/private_key", json!("x"), "/credentials/private_key"),
        ("/credentials/public_key_id", json!("x"), "/credentials/public_key_id"),
        ("/credentials/passphrase", json!("x"), "/credentials/passphrase"),
        ("/credentials/auth", json!("ccg"), "/credentials/generate_key"),
        ("/credentials/generate_key", json!("yes"), "/credentials/generate_key"),
    ] {
        let problem = post(&ground, with(generated(&ground), change, value)).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
    let dry = ground.post(&ground.admin, "/v1/tenants?dry_run=true", generated(&ground)).await.is(200);
    assert_eq!((&dry["state"], dry.get("keypair")), (&json!("pending"), None));
    assert!(ground.hand().reads("SELECT id FROM keypairs").await.is_empty());
    let credentials = json!({ "credentials": generated(&ground)["credentials"] });
    let app = with(credentials.clone(), "/app", json!("vendor"));
    let problem = ground.post(&ground.admin, "/v1/apps", app).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/credentials/generate_key"]);
    ground.register("acme", &ground.apps.acme).await;
    let problem = put(&ground, "acme", "", &credentials).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/credentials/generate_key"]);
    ground.end().await;
}

#[tokio::test]
async fn invariant_6_a_keypair_put_in_anothers_place_is_refused() {
    let (ground, _) = acme().await;
    ground.register("globex", &ground.apps.globex).await;
    let (own, foreign) = (make(&ground, "acme").await, make(&ground, "globex").await);
    let id = |keypair: &Value| keypair["id"].as_str().unwrap().to_owned();
    upload(&ground, &own, "made").await;
    let swap = format!(
        "UPDATE keypairs SET sealed = (SELECT sealed FROM keypairs WHERE id = '{}') WHERE id = '{}'",
        id(&foreign),
        id(&own)
    );
    assert_eq!(ground.hand().does(&swap).await, 1);
    activate(&ground, "acme", &own, "made").await.refuses(500, "sealed_data_refused");
    let app = read(&ground, "acme").await["app"]["id"].as_str().unwrap().to_owned();
    let move_ = format!("UPDATE keypairs SET app_id = '{app}' WHERE id = '{}'", id(&foreign));
    assert_eq!(ground.hand().does(&move_).await, 1);
    activate(&ground, "acme", &foreign, "made").await.refuses(500, "sealed_data_refused");
    ground.end().await;
}
