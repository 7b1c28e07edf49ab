//! Keys: which open a caller, for how long, and how they are replaced.

use std::time::Duration;

use box_token_broker::auth::api_key;
use box_token_broker::domain::id::KeyId;
use box_token_broker::entropy::SystemEntropy;
use reqwest::header::AUTHORIZATION;
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::response::Reply;
use crate::token_requests::{acme, any_token};

/// A key that the broker never made, though it looks like one.
fn made_up(id: &KeyId) -> String {
    api_key::generate(id, &SystemEntropy).expose().to_owned()
}

fn id_of(key: &str) -> KeyId {
    api_key::id_of(key).unwrap()
}

fn altered(key: &str) -> String {
    let last = if key.ends_with('a') { 'b' } else { 'a' };
    format!("{}{last}", &key[..key.len() - 1])
}

#[tokio::test]
async fn what_is_no_live_key_opens_nothing() {
    let (harness, key) = acme().await;
    let foreign = format!("btb_{}_{}", "0".repeat(22), "a".repeat(49));
    let keys = [
        made_up(&KeyId::generate(&SystemEntropy)),
        // The right id with another secret.
        made_up(&id_of(&key)),
        altered(&key),
        foreign,
        format!("{key}a"),
        key[..key.len() - 1].to_owned(),
        "btb_".to_owned(),
        "x".repeat(4000),
    ];
    for wrong in keys {
        harness.token(&wrong, "acme").await.refuses(401, "unauthenticated");
        // Nor does it tell whether there is such a tenant.
        harness.token(&wrong, "nobody").await.refuses(401, "unauthenticated");
    }
    harness.token(&key, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_key_comes_once_and_as_a_bearer() {
    let (harness, key) = acme().await;
    let ask = async |values: &[&str]| {
        let mut request = harness.http.get(harness.url("/v1/whoami"));
        for value in values {
            request = request.header(AUTHORIZATION, *value);
        }
        Reply::of(request.send().await.unwrap()).await
    };
    let (bearer, basic) = (format!("Bearer {key}"), format!("Basic {key}"));
    ask(&[&bearer]).await.is(200);
    ask(&[&format!("bearer {key}")]).await.is(200);
    let wrong: [&[&str]; 6] = [&[], &[&basic], &[&key], &[&bearer, &bearer], &["Bearer"], &["Bearer "]];
    for values in wrong {
        ask(values).await.refuses(401, "unauthenticated");
    }
    harness.end().await;
}

#[tokio::test]
async fn only_keys_with_the_right_checksum_reach_the_store() {
    let (harness, key) = acme().await;
    let unknown = made_up(&KeyId::generate(&SystemEntropy));
    // Whoever reaches the store fails there.
    harness.hand().does("ALTER TABLE callers RENAME TO gone").await;
    assert!(harness.token(&unknown, "acme").await.status >= 500);
    harness.token(&altered(&unknown), "acme").await.refuses(401, "unauthenticated");
    harness.token(&altered(&key), "acme").await.refuses(401, "unauthenticated");
    harness.hand().does("ALTER TABLE gone RENAME TO callers").await;
    harness.end().await;
}

async fn new_key(harness: &Harness, caller: &str, body: Value) -> Reply {
    harness.post(&harness.admin, &format!("/v1/callers/{caller}/keys"), body).await
}

#[tokio::test]
async fn keys_are_rotated_without_a_gap_and_a_third_is_refused() {
    let (harness, old) = acme().await;
    let made = new_key(&harness, "portal", json!({})).await.is(201);
    let new = made["key"].as_str().unwrap();
    assert_ne!(new, old);
    let token = harness.token(&old, "acme").await.token();
    assert_eq!(harness.token(new, "acme").await.token(), token);
    new_key(&harness, "portal", json!({})).await.refuses(409, "conflict");

    let revoke = |key: &str| format!("/v1/callers/portal/keys/{}", id_of(key).as_str());
    harness.delete(&harness.admin, &revoke(&old)).await.is(204);
    harness.token(&old, "acme").await.refuses(401, "unauthenticated");
    harness.delete(&harness.admin, &revoke(&old)).await.refuses(404, "not_found");
    assert_eq!(harness.token(new, "acme").await.token(), token);
    new_key(&harness, "portal", json!({})).await.is(201);
    harness.end().await;
}

#[tokio::test]
async fn a_key_ends_by_the_clock_and_makes_room() {
    let (harness, _) = acme().await;
    harness
        .post(
            &harness.admin,
            "/v1/callers",
            json!({ "name": "job", "kind": "service", "grants": any_token("acme") }),
        )
        .await
        .is(201);
    let end = json!({ "expires_at": "2026-01-02T03:05:05Z" });
    let made = new_key(&harness, "job", end.clone()).await.is(201);
    assert_eq!(made["expires_at"], end["expires_at"]);
    let key = made["key"].as_str().unwrap();
    let lasting = new_key(&harness, "job", json!({})).await.is(201);
    new_key(&harness, "job", json!({})).await.refuses(409, "conflict");
    harness.clock.advance(Duration::from_secs(59));
    harness.token(key, "acme").await.token();
    harness.clock.advance(Duration::from_secs(1));
    harness.token(key, "acme").await.refuses(401, "unauthenticated");
    harness.token(lasting["key"].as_str().unwrap(), "acme").await.token();
    new_key(&harness, "job", end).await.refuses(422, "invalid");
    new_key(&harness, "job", json!({})).await.is(201);
    harness.end().await;
}

#[tokio::test]
async fn a_deleted_caller_hands_nothing_on_to_its_name() {
    let (harness, key) = acme().await;
    harness.token(&key, "acme").await.token();
    harness.delete(&harness.admin, "/v1/callers/portal").await.is(204);
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    let again = harness.service("portal", json!([])).await;
    harness.token(&key, "acme").await.refuses(401, "unauthenticated");
    harness.token(&again, "acme").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn whoami_tells_the_caller_what_it_is() {
    let (harness, key) = acme().await;
    let told = harness.get(&key, "/v1/whoami").await.ok();
    let kept = harness.get(&harness.admin, "/v1/callers/portal").await.ok();
    for field in ["id", "name", "kind", "state", "grants"] {
        assert_eq!(told[field], kept[field], "{field}");
    }
    assert_eq!((&told["name"], &told["kind"]), (&json!("portal"), &json!("service")));
    let credential = json!({ "type": "api_key", "id": id_of(&key).as_str(), "expires_at": null });
    assert_eq!(told["credential"], credential);
    assert!(!told.to_string().contains(&key) && !kept.to_string().contains(&key));
    let body = json!({ "expires_at": "2026-01-03T00:00:00Z" });
    let made = new_key(&harness, "portal", body.clone()).await.is(201);
    let told = harness.get(made["key"].as_str().unwrap(), "/v1/whoami").await.ok();
    assert_eq!(told["credential"]["expires_at"], body["expires_at"]);
    harness.end().await;
}

#[tokio::test]
async fn a_name_of_a_tenant_registered_again_inherits_nothing() {
    let (harness, key) = acme().await;
    let first = harness.get(&harness.admin, "/v1/tenants/acme").await.ok();
    let token = harness.token(&key, "acme").await.token();
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    let second = harness.register("acme", &harness.apps.globex).await;
    assert_ne!(second["id"], first["id"]);
    harness.token(&key, "acme").await.refuses(404, "not_found");
    harness.token(&key, first["id"].as_str().unwrap()).await.refuses(404, "not_found");
    assert_eq!(harness.known_at_box(&token).await["live"], false);
    let again = harness.service("again", any_token("acme")).await;
    let other = harness.token(&again, "acme").await.token();
    assert_eq!(harness.known_at_box(&other).await["enterprise"], crate::harness::GLOBEX);
    harness.end().await;
}
