//! Keys made by the broker: the public half goes to Box by hand, the private half nowhere.

use serde_json::{Value, json};

use crate::harness::{ADA, Harness, NORTH};
use crate::registration::{pointers, post, shared_app, with};
use crate::response::Reply;
use crate::rotation::{put, read};
use crate::token_requests::{acme, any_token};

pub(crate) async fn make(harness: &Harness, tenant: &str) -> Value {
    let path = format!("/v1/tenants/{tenant}/keypairs");
    harness.call(&harness.admin, "POST", &path, None).await.is(201)
}

pub(crate) async fn activate(harness: &Harness, tenant: &str, keypair: &Value, kid: &str) -> Reply {
    let path = format!("/v1/tenants/{tenant}/keypairs/{}/activate", keypair["id"].as_str().unwrap());
    harness.post(&harness.admin, &path, json!({ "public_key_id": kid })).await
}

/// Pastes the public key into Box's console, as a person does.
pub(crate) async fn upload(harness: &Harness, keypair: &Value, kid: &str) {
    let added = json!({ "add_keys": [{ "kid": kid, "public_key": keypair["public_key"] }] });
    harness.change_app(&harness.apps.acme, added).await;
}

/// The body that registers acme with a key that is still to be made.
fn generated(harness: &Harness) -> Value {
    let app = &harness.apps.acme;
    json!({ "tenant": "acme", "credentials": {
        "client_id": app.client_id, "client_secret": app.client_secret, "enterprise_id": app.enterprise_id,
        "auth": "jwt", "generate_key": true,
    } })
}

#[tokio::test]
async fn a_key_made_here_takes_over_once_box_knows_it() {
    let (harness, key) = acme().await;
    let before = read(&harness, "acme").await;
    let old = harness.token(&key, "acme").await.token();
    let keypair = make(&harness, "acme").await;
    assert!(keypair["public_key"].as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
    assert!(!keypair.to_string().contains("PRIVATE"));
    assert_eq!(keypair.as_object().unwrap().len(), 3);
    let steps = keypair["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step.as_str().unwrap().contains(&harness.apps.acme.client_id)));
    let last = format!("POST /v1/tenants/acme/keypairs/{}/activate", keypair["id"].as_str().unwrap());
    assert!(steps.iter().any(|step| step.as_str().unwrap().contains(&last)), "{steps:?}");
    // It changes nothing until it is activated.
    assert_eq!(read(&harness, "acme").await, before);

    upload(&harness, &keypair, "made").await;
    let mints = harness.mints().await;
    let after = activate(&harness, "acme", &keypair, "made").await.is(200);
    assert!(after["generation"].as_i64() > before["generation"].as_i64());
    assert_eq!((&after["key"]["public_key_id"], &after["key"]["bits"]), (&json!("made"), &json!(2048)));
    assert!(!after.to_string().contains("PRIVATE"));
    harness.change_app(&harness.apps.acme, json!({ "remove_keys": [harness.apps.acme.public_key_id] })).await;
    assert_ne!(harness.token(&key, "acme").await.token(), old);
    assert_eq!(harness.mints().await, mints + 1);
    harness.user_token(&key, "acme", ADA).await.token();
    // Of the keypair only its public face is left.
    let private = harness.hand().reads("SELECT id FROM keypairs WHERE length(sealed) > 0").await;
    assert!(private.is_empty(), "{private:?}");
    harness.end().await;
}

#[tokio::test]
async fn an_activation_that_box_refuses_changes_nothing_and_can_be_tried_again() {
    let (harness, key) = acme().await;
    let before = read(&harness, "acme").await;
    let old = harness.token(&key, "acme").await.token();
    let keypair = make(&harness, "acme").await;
    activate(&harness, "acme", &keypair, "made").await.refuses(424, "key_unknown");
    let other = harness.apps.acme.public_key_id.clone();
    activate(&harness, "acme", &keypair, &other).await.refuses(424, "key_mismatch");
    for bad in ["", "a b", "x/y"] {
        let problem = activate(&harness, "acme", &keypair, bad).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), ["/public_key_id"]);
    }
    assert_eq!(read(&harness, "acme").await, before);
    assert_eq!(harness.token(&key, "acme").await.token(), old);
    upload(&harness, &keypair, "made").await;
    harness.fault(json!({ "select": { "path": "/oauth2/token" }, "effect": { "status": 503 } })).await;
    activate(&harness, "acme", &keypair, "made").await.refuses(503, "upstream_unavailable");
    harness.heal().await;
    activate(&harness, "acme", &keypair, "made").await.is(200);
    harness.end().await;
}

#[tokio::test]
async fn r13_an_activation_whose_answer_was_lost_is_repeated_without_a_mint() {
    let (mut harness, key) = acme().await;
    let keypair = make(&harness, "acme").await;
    upload(&harness, &keypair, "made").await;
    let first = activate(&harness, "acme", &keypair, "made").await.is(200);
    let token = harness.token(&key, "acme").await.token();
    harness.restart().await;
    let mints = harness.mints().await;
    let again = activate(&harness, "acme", &keypair, "made").await.is(200);
    assert_eq!((&again["generation"], &again["key"]), (&first["generation"], &first["key"]));
    assert_eq!(harness.token(&key, "acme").await.token(), token);
    assert_eq!(harness.mints().await, mints);
    activate(&harness, "acme", &keypair, "another").await.refuses(409, "conflict");
    // A later key ends what an earlier one can do.
    let later = make(&harness, "acme").await;
    upload(&harness, &later, "later").await;
    activate(&harness, "acme", &later, "later").await.is(200);
    activate(&harness, "acme", &keypair, "made").await.refuses(409, "conflict");
    harness.end().await;
}

#[tokio::test]
async fn a_keypair_serves_its_own_app_alone() {
    let (harness, _) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let keypair = make(&harness, "acme").await;
    activate(&harness, "globex", &keypair, "made").await.refuses(404, "not_found");
    for id in ["kpr_nobodys", "kpr_", "key_x", "x"] {
        activate(&harness, "acme", &json!({ "id": id }), "made").await.refuses(404, "not_found");
    }
    let id = keypair["id"].as_str().unwrap();
    let ways = [("/v1/tenants/{}/keypairs", None), ("/v1/tenants/{}/keypairs/{id}/activate", Some(()))];
    for (name, tenant, permission, refusal) in [
        ("writer", "acme", "tenants:write", (403, "forbidden")),
        ("foreign", "globex", "tenants:credentials", (404, "not_found")),
    ] {
        let grants = json!([{ "tenant": tenant, "permissions": [permission] }]);
        let caller = harness.caller(name, "admin", grants).await;
        for (path, body) in ways {
            let body = body.map(|()| json!({ "public_key_id": "made" }));
            let path = |tenant: &str| path.replace("{}", tenant).replace("{id}", id);
            harness.call(&caller, "POST", &path("acme"), body.as_ref()).await.refuses(refusal.0, refusal.1);
            harness.call(&caller, "POST", &path("gone"), body.as_ref()).await.refuses(404, "not_found");
        }
    }
    harness.end().await;
}

#[tokio::test]
async fn keypairs_are_made_where_they_can_be_used() {
    let harness = Harness::new().await;
    shared_app(&harness).await;
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    post(&harness, north).await.is(201);
    let config: Value = serde_json::from_str(&harness.apps.ccg.json).unwrap();
    post(&harness, json!({ "tenant": "acme", "config": config, "auth": "ccg" })).await.is(201);
    for tenant in ["north", "acme"] {
        let path = format!("/v1/tenants/{tenant}/keypairs");
        harness.call(&harness.admin, "POST", &path, None).await.refuses(409, "conflict");
    }
    harness.register("globex", &harness.apps.globex).await;
    let keypair = make(&harness, "globex").await;
    harness.delete(&harness.admin, "/v1/tenants/globex").await.is(204);
    activate(&harness, "globex", &keypair, "made").await.refuses(409, "conflict");
    harness.delete(&harness.admin, "/v1/tenants/globex?purge=now").await.is(204);
    assert!(harness.hand().reads("SELECT id FROM keypairs").await.is_empty());
    harness.end().await;
}

#[tokio::test]
async fn a_new_tenant_whose_key_is_made_here_waits_for_its_activation() {
    let mut harness = Harness::new().await;
    harness.change_app(&harness.apps.acme, json!({ "remove_keys": [harness.apps.acme.public_key_id] })).await;
    let registered = post(&harness, generated(&harness)).await.is(201);
    assert_eq!((&registered["state"], &registered["key"]), (&json!("pending"), &Value::Null));
    let keypair = registered["keypair"].clone();
    assert!(keypair["id"].as_str().unwrap().starts_with("kpr_"));
    assert!(keypair["steps"].to_string().contains("/v1/tenants/acme/keypairs/"));
    let key = harness.service("portal", any_token("acme")).await;
    let waits = harness.token(&key, "acme").await.refuses(403, "tenant_suspended");
    assert!(waits["fix"].as_str().unwrap().contains("activate"), "{waits}");
    harness.broker().run_housekeeping().await;
    let tested = harness.call(&harness.admin, "POST", "/v1/tenants/acme/test", None).await.is(200);
    assert!(tested["diagnosis"].as_array().unwrap().iter().all(|line| line["outcome"] != "fail"));
    assert_eq!(harness.count("path=/oauth2/token").await, 0, "without a key Box is not asked");
    assert_eq!(read(&harness, "acme").await["health"]["state"], "unknown");
    activate(&harness, "acme", &keypair, "made").await.refuses(424, "key_unknown");
    assert_eq!(read(&harness, "acme").await["state"], "pending");
    harness.restart().await;
    upload(&harness, &keypair, "made").await;
    let after = activate(&harness, "acme", &keypair, "made").await.is(200);
    assert_eq!((&after["state"], &after["id"]), (&json!("active"), &registered["id"]));
    assert!(after["service_account"]["login"].is_string());
    harness.token(&key, "acme").await.token();
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn r13_a_registration_that_was_cut_off_is_repeated_and_finds_its_keypair() {
    let harness = Harness::new().await;
    let first = post(&harness, generated(&harness)).await.is(201);
    let again = post(&harness, generated(&harness)).await.is(200);
    assert_eq!((&again["id"], &again["keypair"]), (&first["id"], &first["keypair"]));
    // Where the end came between the tenant and its keypair, it gets one now.
    harness.hand().does("DELETE FROM keypairs").await;
    let keypair = post(&harness, generated(&harness)).await.is(200)["keypair"].clone();
    assert_ne!(keypair["id"], first["keypair"]["id"]);
    upload(&harness, &keypair, "made").await;
    activate(&harness, "acme", &keypair, "made").await.is(200);
    post(&harness, generated(&harness)).await.refuses(409, "conflict");
    harness.end().await;
}

#[tokio::test]
async fn a_key_is_generated_for_new_jwt_tenants_alone() {
    let harness = Harness::new().await;
    for (change, value, pointer) in [
        ("/credentials/private_key", json!("x"), "/credentials/private_key"),
        ("/credentials/public_key_id", json!("x"), "/credentials/public_key_id"),
        ("/credentials/passphrase", json!("x"), "/credentials/passphrase"),
        ("/credentials/auth", json!("ccg"), "/credentials/generate_key"),
        ("/credentials/generate_key", json!("yes"), "/credentials/generate_key"),
    ] {
        let problem = post(&harness, with(generated(&harness), change, value)).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [pointer], "{problem}");
    }
    let dry = harness.post(&harness.admin, "/v1/tenants?dry_run=true", generated(&harness)).await.is(200);
    assert_eq!((&dry["state"], dry.get("keypair")), (&json!("pending"), None));
    assert!(harness.hand().reads("SELECT id FROM keypairs").await.is_empty());
    let credentials = json!({ "credentials": generated(&harness)["credentials"] });
    let app = with(credentials.clone(), "/app", json!("vendor"));
    let problem = harness.post(&harness.admin, "/v1/apps", app).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/credentials/generate_key"]);
    harness.register("acme", &harness.apps.acme).await;
    let problem = put(&harness, "acme", "", &credentials).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/credentials/generate_key"]);
    harness.end().await;
}

#[tokio::test]
async fn invariant_6_a_keypair_put_in_anothers_place_is_refused() {
    let (harness, _) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let (own, foreign) = (make(&harness, "acme").await, make(&harness, "globex").await);
    let id = |keypair: &Value| keypair["id"].as_str().unwrap().to_owned();
    upload(&harness, &own, "made").await;
    let swap = format!(
        "UPDATE keypairs SET sealed = (SELECT sealed FROM keypairs WHERE id = '{}') WHERE id = '{}'",
        id(&foreign),
        id(&own)
    );
    assert_eq!(harness.hand().does(&swap).await, 1);
    activate(&harness, "acme", &own, "made").await.refuses(500, "sealed_data_refused");
    let app = read(&harness, "acme").await["app"]["id"].as_str().unwrap().to_owned();
    let move_ = format!("UPDATE keypairs SET app_id = '{app}' WHERE id = '{}'", id(&foreign));
    assert_eq!(harness.hand().does(&move_).await, 1);
    activate(&harness, "acme", &foreign, "made").await.refuses(500, "sealed_data_refused");
    harness.end().await;
}
