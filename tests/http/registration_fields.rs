//! What stands in a registration: kept, ignored with a warning, or refused with its place.

use serde_json::{Value, json};

use crate::harness::{Harness, by_config};
use crate::registration::{by_credentials, pointers, post, with};
use crate::store_probe::rows;

#[tokio::test]
async fn chosen_fields_are_kept_and_wrong_ones_are_refused_with_their_place() {
    let harness = Harness::new().await;
    let good = by_config("acme", &harness.apps.acme);
    let empty = rows(&harness).await;
    let long = "x".repeat(201);
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (pointer, value, told) in [
        ("/tenant", json!("Acme"), "/tenant"),
        ("/tenant", json!("a".repeat(64)), "/tenant"),
        ("/tenant", json!(7), "/tenant"),
        ("/display_name", json!(""), "/display_name"),
        ("/display_name", json!(long), "/display_name"),
        ("/display_name", json!("two\nlines"), "/display_name"),
        ("/labels", json!({ "a:b": "c" }), "/labels/a:b"),
        ("/labels", json!({ "a/b": "" }), "/labels/a~1b"),
        ("/labels", json!(many), "/labels"),
        ("/labels", json!({ "a": 1 }), "/labels/a"),
        ("/policy", json!({ "full_token": true }), "/policy/full_token"),
        ("/policy", json!({ "subjects": ["everyone"] }), "/policy/subjects/0"),
        ("/auth", json!("basic"), "/auth"),
        ("/app", json!("portal"), "/app"),
        ("/enterprise_id", json!("1001"), "/enterprise_id"),
        ("/generate_keys", json!(true), "/generate_keys"),
    ] {
        let problem =
            post(&harness, with(good.clone(), pointer, value.clone())).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [told], "{pointer} {value}");
    }
    let both =
        with(good.clone(), "/credentials", by_credentials("acme", &harness.apps.acme)["credentials"].clone());
    let problem = post(&harness, both).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/credentials"]);
    for (body, told) in [
        (json!({ "tenant": "acme" }), "/config"),
        (json!({ "tenant": "acme", "app": "portal" }), "/enterprise_id"),
        (json!({ "tenant": "acme", "app": "nobodys", "enterprise_id": "1" }), "/app"),
        (json!({ "tenant": "acme", "app": "nobodys", "enterprise_id": "1", "auth": "jwt" }), "/auth"),
        (with(by_credentials("acme", &harness.apps.acme), "/auth", json!("jwt")), "/auth"),
        (
            with(by_credentials("acme", &harness.apps.acme), "/credentials/secret", json!("x")),
            "/credentials/secret",
        ),
    ] {
        let problem = post(&harness, body.clone()).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [told], "{body}");
    }
    assert_eq!(rows(&harness).await, empty);

    let policy = json!({ "subjects": ["user:7"], "scopes": ["item_preview"], "full_tokens": false });
    let mut body = with(good, "/display_name", json!("Acme & Söhne"));
    body["labels"] = json!({ "team": "a b" });
    body["policy"] = policy.clone();
    let tenant = post(&harness, body).await.is(201);
    assert_eq!(tenant["display_name"], "Acme & Söhne");
    assert_eq!(tenant["labels"], json!({ "team": "a b" }));
    for (name, value) in policy.as_object().unwrap() {
        assert_eq!(&tenant["policy"][name], value);
    }
    harness.end().await;
}

#[tokio::test]
async fn credentials_are_judged_field_by_field() {
    let harness = Harness::new().await;
    let good = by_credentials("acme", &harness.apps.acme);
    let empty = rows(&harness).await;
    let null = Value::Null;
    for (field, value) in [
        ("client_id", json!("no client!")),
        ("client_secret", json!("")),
        ("client_secret", json!("with a space")),
        ("client_secret", json!("s".repeat(257))),
        ("enterprise_id", json!("0")),
        ("enterprise_id", json!("000")),
        ("enterprise_id", json!("01001")),
        ("enterprise_id", json!("acme")),
        ("enterprise_id", null.clone()),
        ("public_key_id", json!("")),
        ("public_key_id", json!("a/b")),
        ("public_key_id", null.clone()),
        ("private_key", null),
    ] {
        let problem =
            post(&harness, with(good.clone(), &format!("/credentials/{field}"), value.clone())).await;
        let problem = problem.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [format!("/credentials/{field}")], "{field} {value}");
    }
    assert_eq!(rows(&harness).await, empty);
    assert_eq!(harness.mints().await, 0);
    harness.end().await;
}

#[tokio::test]
async fn a_secret_in_the_wrong_place_is_not_repeated() {
    let harness = Harness::new().await;
    let hush = "hush-hush-hush-hush";
    let good = by_credentials("acme", &harness.apps.acme);
    for pointer in [
        "/tenant",
        "/auth",
        "/labels",
        "/policy",
        "/credentials",
        "/credentials/auth",
        "/credentials/client_id",
        "/credentials/enterprise_id",
        "/credentials/public_key_id",
    ] {
        let reply = post(&harness, with(good.clone(), pointer, json!(format!("{hush} ")))).await;
        assert_eq!(reply.status, 422, "{reply:?}");
        assert!(!reply.body.to_string().contains(hush), "{pointer}: {reply:?}");
    }
    harness.end().await;
}

#[tokio::test]
async fn unknown_fields_inside_a_config_are_named_and_ignored() {
    let harness = Harness::new().await;
    let mut body = by_config("acme", &harness.apps.acme);
    body["config"]["userID"] = json!("12");
    body["config"]["boxAppSettings"]["a/b"] = json!(1);
    body["config"]["nothing"] = json!("");
    let tenant = post(&harness, body).await.is(201);
    let warnings: Vec<&Value> =
        tenant["warnings"].as_array().unwrap().iter().map(|warning| &warning["pointer"]).collect();
    assert_eq!(warnings, ["/config/userID", "/config/boxAppSettings/a~1b"]);
    harness.end().await;
}

#[tokio::test]
async fn client_credentials_have_no_use_for_a_key_and_say_so() {
    let harness = Harness::new().await;
    let mut body = by_credentials("acme", &harness.apps.ccg);
    body["credentials"]["private_key"] = json!("-----BEGIN PRIVATE KEY-----");
    body["credentials"]["passphrase"] = json!("x");
    let tenant = post(&harness, body).await.is(201);
    let warnings: Vec<&Value> =
        tenant["warnings"].as_array().unwrap().iter().map(|warning| &warning["pointer"]).collect();
    assert_eq!(warnings, ["/credentials/private_key", "/credentials/passphrase"]);
    harness.end().await;
}
