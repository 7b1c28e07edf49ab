//! Register, replace, activate and delete, each ended at each of its steps.

use serde_json::{Value, json};

use crate::harness::{ADA, GRACE, Harness, KEYS, by_config};
use crate::keypairs::{activate, make, upload};
use crate::killed_broker::{Reached, Step, Stop, crash, step, today};
use crate::registration::post;
use crate::rotation::{by_key, next_key, put, read};
use crate::store_probe::rows;
use crate::token_requests::{any_token, eventually};

/// As the other tests' tenant, with the machine's time.
async fn acme() -> (Harness, String) {
    let harness = today().await;
    harness.register("acme", &harness.apps.acme).await;
    let key = harness.service("portal", any_token("acme")).await;
    (harness, key)
}

const MINT: Stop = Stop::Grant("jwt-bearer");
const ME: Stop = Stop::Path("/2.0/users/me");
const MINTED: Reached = Reached::Call("grant=jwt-bearer");
const TESTED: Reached = Reached::Call("path=/2.0/users/me&status=200");
const TENANT: Reached = Reached::Rows("SELECT id FROM tenants", 1);
const SWITCHED: Reached = Reached::Rows("SELECT app_id FROM credentials", 2);

const REGISTER: [Step; 5] = [
    step("Box is asked for a token", MINT, MINTED, false),
    step("Box is asked whose it is", ME, Reached::Call("path=/2.0/users/me"), false),
    step("the tenant is written", Stop::Row("INSERT ON tenants"), TESTED, false),
    step("its first token is written", Stop::Row("INSERT ON tokens"), TENANT, true),
    step("the diagnosis goes on", Stop::Grant("token-exchange"), Reached::Call("grant=token-exchange"), true),
];

#[tokio::test]
async fn r13_a_registration_ended_at_any_step_is_there_or_not_and_can_be_repeated() {
    for step in &REGISTER {
        let mut harness = today().await;
        let empty = rows(&harness).await;
        let body = by_config("acme", &harness.apps.acme);
        crash(&mut harness, step, "POST", "/v1/tenants", Some(&body)).await;
        let found = harness.get(&harness.admin, "/v1/tenants/acme").await;
        if step.counts {
            assert_eq!(found.is(200)["state"], "active", "{}", step.name);
        } else {
            found.refuses(404, "not_found");
            assert_eq!(rows(&harness).await, empty, "{}", step.name);
        }
        post(&harness, body).await.is(if step.counts { 200 } else { 201 });
        let key = harness.service("portal", any_token("acme")).await;
        let token = harness.token(&key, "acme").await.token();
        assert_eq!(harness.known_at_box(&token).await["live"], true, "{}", step.name);
        harness.end().await;
    }
}

const REPLACE: [Step; 6] = [
    step("Box is asked for a token", MINT, MINTED, false),
    step("Box is asked whose it is", ME, Reached::Call("path=/2.0/users/me"), false),
    step("the credentials are written", Stop::Row("INSERT ON credentials"), TESTED, false),
    step("their first token is written", Stop::Row("INSERT ON tokens"), SWITCHED, true),
    step("the diagnosis goes on", Stop::Grant("token-exchange"), Reached::Call("grant=token-exchange"), true),
    step("old tokens are revoked", Stop::Path("/oauth2/revoke"), Reached::Call("path=/oauth2/revoke"), true),
];

#[tokio::test]
async fn r13_a_replacement_ended_at_any_step_is_made_or_not_and_can_be_repeated() {
    for step in &REPLACE {
        let (mut harness, key) = acme().await;
        let before = read(&harness, "acme").await;
        let old = harness.user_token(&key, "acme", ADA).await.token();
        let body = next_key(&harness).await;
        crash(&mut harness, step, "PUT", "/v1/tenants/acme/credentials?revoke_old=true", Some(&body)).await;
        let after = read(&harness, "acme").await;
        let was = &harness.apps.acme.public_key_id;
        let kid = if step.counts { "next" } else { was };
        assert_eq!(after["key"]["public_key_id"], kid, "{}", step.name);
        assert_eq!(after["generation"] == before["generation"], !step.counts, "{}", step.name);
        // Whichever they are, they serve, and no token of others.
        let served = harness.user_token(&key, "acme", ADA).await.token();
        assert_eq!(served == old, !step.counts, "{}", step.name);
        let again = put(&harness, "acme", "?revoke_old=true", &body).await.is(200);
        assert_eq!(again["key"]["public_key_id"], "next");
        assert_eq!(again["generation"] == after["generation"], step.counts, "{}", step.name);
        assert_eq!(harness.known_at_box(&old).await["live"], false, "{}", step.name);
        harness.change_app(&harness.apps.acme, json!({ "remove_keys": [was] })).await;
        harness.user_token(&key, "acme", GRACE).await.token();
        harness.end().await;
    }
}

const ACTIVATE: [Step; 5] = [
    step("Box is asked for a token", MINT, MINTED, false),
    step("the credentials are written", Stop::Row("INSERT ON credentials"), TESTED, false),
    step("the keypair is erased", Stop::Row("UPDATE ON keypairs"), TESTED, false),
    step("its first token is written", Stop::Row("INSERT ON tokens"), SWITCHED, true),
    step("the diagnosis goes on", Stop::Grant("token-exchange"), Reached::Call("grant=token-exchange"), true),
];

#[tokio::test]
async fn r13_an_activation_ended_at_any_step_is_made_or_not_and_can_be_repeated() {
    for step in &ACTIVATE {
        let (mut harness, key) = acme().await;
        let keypair = make(&harness, "acme").await;
        upload(&harness, &keypair, "made").await;
        let path = format!("/v1/tenants/acme/keypairs/{}/activate", keypair["id"].as_str().unwrap());
        crash(&mut harness, step, "POST", &path, Some(&json!({ "public_key_id": "made" }))).await;
        let after = read(&harness, "acme").await;
        assert_eq!(after["key"]["public_key_id"] == "made", step.counts, "{}", step.name);
        harness.user_token(&key, "acme", ADA).await.token();
        let again = activate(&harness, "acme", &keypair, "made").await.is(200);
        assert_eq!(again["key"]["public_key_id"], "made");
        assert_eq!(again["generation"] == after["generation"], step.counts, "{}", step.name);
        harness
            .change_app(&harness.apps.acme, json!({ "remove_keys": [harness.apps.acme.public_key_id] }))
            .await;
        harness.user_token(&key, "acme", GRACE).await.token();
        harness.end().await;
    }
}

const GENERATE: [Step; 2] = [
    step("the tenant is written", Stop::Row("INSERT ON credentials"), GENERATED, false),
    step("its keypair is written", Stop::Row("INSERT ON keypairs"), TENANT, true),
];
const GENERATED: Reached = Reached::Rows("SELECT id FROM generations", 1);

#[tokio::test]
async fn r13_a_registration_with_a_key_made_here_finds_its_keypair_when_it_is_repeated() {
    for step in &GENERATE {
        let mut harness = today().await;
        let app = harness.apps.acme.clone();
        let mut body = by_key(&app, "", &KEYS[1]);
        body["tenant"] = json!("acme");
        let credentials = body["credentials"].as_object_mut().unwrap();
        credentials.retain(|name, _| !["public_key_id", "private_key"].contains(&name.as_str()));
        credentials.insert("generate_key".to_owned(), json!(true));
        crash(&mut harness, step, "POST", "/v1/tenants", Some(&body)).await;
        let again = post(&harness, body).await.is(if step.counts { 200 } else { 201 });
        assert_eq!(again["state"], "pending", "{}", step.name);
        let keypair: Value = again["keypair"].clone();
        upload(&harness, &keypair, "made").await;
        activate(&harness, "acme", &keypair, "made").await.is(200);
        let key = harness.service("portal", any_token("acme")).await;
        harness.token(&key, "acme").await.token();
        harness.end().await;
    }
}

const REVOKED: Reached = Reached::Call("path=/oauth2/revoke&status=200");
const DELETE: [Step; 3] = [
    step("the tenant is written", Stop::Row("UPDATE ON tenants"), Reached::Rows(NUMBERED, 1), false),
    step("its tokens are revoked", Stop::Path("/oauth2/revoke"), Reached::Call("path=/oauth2/revoke"), true),
    step("its rows are erased", Stop::Row("DELETE ON tenants"), REVOKED, true),
];
/// The registration took the first number.
const NUMBERED: &str = "SELECT id FROM generations WHERE value > 1";

#[tokio::test]
async fn r13_a_deletion_ended_at_any_step_is_made_or_not_and_comes_to_its_end() {
    for (step, purge) in DELETE.iter().flat_map(|step| [(step, ""), (step, "?purge=now")]) {
        if purge.is_empty() && matches!(step.stop, Stop::Row("DELETE ON tenants")) {
            continue;
        }
        let (mut harness, key) = acme().await;
        let token = harness.token(&key, "acme").await.token();
        let path = format!("/v1/tenants/acme{purge}");
        crash(&mut harness, step, "DELETE", &path, None).await;
        if step.counts {
            // Nothing of it is served, and the broker finishes what was begun.
            harness.token(&key, "acme").await.refuses(404, "not_found");
        } else {
            assert_eq!(read(&harness, "acme").await["state"], "active");
            assert_eq!(harness.token(&key, "acme").await.token(), token);
            harness.delete(&harness.admin, &path).await.is(204);
        }
        harness.broker().run_housekeeping().await;
        eventually("its token dies", async || harness.known_at_box(&token).await["live"] == false).await;
        let after = harness.get(&harness.admin, "/v1/tenants/acme").await;
        if purge.is_empty() {
            assert_eq!(after.is(200)["state"], "deleted", "{}", step.name);
            harness.change_tenant("acme", json!({ "state": "active" })).await;
            assert_ne!(harness.token(&key, "acme").await.token(), token);
        } else {
            after.refuses(404, "not_found");
            harness.register("acme", &harness.apps.acme).await;
            harness.token(&key, "acme").await.refuses(404, "not_found");
        }
        harness.end().await;
    }
}
