//! What is wrong at Box, told so that the customer's admin knows what to click.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::harness::{ACME, ADA, FILE, FOLDER, GRACE, Harness, by_config};
use crate::store_probe::rows;
use crate::token_requests::eventually;

const TESS: &str = "10000001003";
pub(crate) const APOLLO: &str = "10000001004";

/// Box's refusals at the token endpoint, and what each is told as.
const REFUSALS: [(&str, &str, &str); 17] = [
    ("unauthorized_client", "This app is not authorized by the enterprise admin", "app_not_authorized"),
    (
        "unauthorized_client",
        "The \"box_subject_type\" value is unauthorized for this client_id",
        "ccg_not_authorized",
    ),
    ("invalid_client", "The client credentials are invalid", "credentials_invalid"),
    ("invalid_request", "The grant type is unauthorized for this client_id", "wrong_auth_method"),
    (
        "invalid_request",
        "Cannot obtain user token based on the enterprise configuration for your app",
        "user_tokens_disabled",
    ),
    (
        "invalid_request",
        "Cannot obtain token based on the enterprise configuration for your app",
        "user_tokens_disabled",
    ),
    ("invalid_grant", "Please check the 'sub' claim. The 'sub' specified is invalid.", "subject_invalid"),
    ("invalid_grant", "Please check the 'iss' claim.", "issuer_mismatch"),
    ("invalid_grant", "Please check the 'exp' claim. The 'exp' value exceeds the maximum", "clock_skew"),
    (
        "invalid_grant",
        "Current date/time MUST be before the expiration date/time listed in the 'exp' claim.",
        "clock_skew",
    ),
    (
        "invalid_grant",
        "Signature verification error. The public key identified by 'kid' must match the private key",
        "key_mismatch",
    ),
    ("invalid_grant", "'kid' invalid, unable to lookup correct key", "key_unknown"),
    ("invalid_grant", "Grant credentials are invalid", "credentials_invalid"),
    ("invalid_resource", "The target resource is invalid", "resource_not_visible"),
    ("terms_of_service_required", "", "terms_of_service_required"),
    ("INVALID_GRANT", "please check the 'ISS' claim", "issuer_mismatch"),
    ("invalid_something", "Nobody has seen this before", "upstream_refused"),
];

/// The lines of a diagnosis: check, outcome and, where it failed, the code.
pub(crate) fn lines(diagnosis: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let line = |line: &Value| {
        let outcome = text(&line["outcome"]);
        assert!(!text(&line["detail"]).is_empty(), "{line}");
        assert_eq!(outcome == "fail", line["code"].is_string() && line["fix"].is_string(), "{line}");
        let ended = if outcome == "fail" { text(&line["code"]) } else { outcome };
        (text(&line["check"]), ended)
    };
    diagnosis.as_array().unwrap().iter().map(line).collect()
}

pub(crate) fn all_pass_but(others: &[(&str, &str)]) -> Vec<(String, String)> {
    let others: BTreeMap<_, _> = others.iter().copied().collect();
    ["key", "assertion", "service_account", "user_token", "as_user_header", "downscope", "clock"]
        .map(|check| (check.to_owned(), others.get(check).copied().unwrap_or("pass").to_owned()))
        .into()
}

pub(crate) async fn test(harness: &Harness, user: Option<&str>) -> Vec<(String, String)> {
    let body = user.map(|user| json!({ "user": user }));
    let reply = harness.call(&harness.admin, "POST", "/v1/tenants/acme/test", body.as_ref()).await;
    lines(&reply.is(200)["diagnosis"])
}

#[tokio::test]
async fn each_refusal_of_box_has_its_code_and_its_fix_and_stores_nothing() {
    let harness = Harness::new().await;
    let before = rows(&harness).await;
    let body = by_config("acme", &harness.apps.acme);
    let mut fixes = BTreeMap::new();
    for (error, description, code) in REFUSALS {
        let refusal = json!({ "error": error, "error_description": description });
        harness
            .fault(
                json!({ "select": { "grant": "jwt-bearer" }, "effect": { "status": 400, "body": refusal } }),
            )
            .await;
        let problem = harness.post(&harness.admin, "/v1/tenants", body.clone()).await.refuses(424, code);
        assert_eq!(problem["upstream"]["error"], error);
        assert_eq!(problem["upstream"]["error_description"], description);
        assert_eq!(problem["retry"], "admin");
        fixes.insert(problem["fix"].as_str().unwrap().to_owned(), code);
        harness.heal().await;
    }
    let codes: std::collections::BTreeSet<_> = REFUSALS.iter().map(|(_, _, code)| code).collect();
    assert_eq!(fixes.len(), codes.len(), "each code has a fix of its own: {fixes:?}");
    assert_eq!(rows(&harness).await, before);
    harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    harness.end().await;
}

#[tokio::test]
async fn each_mistake_in_box_is_found_by_registration_and_by_the_next_mint() {
    let harness = Harness::new().await;
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let service = harness.service("service", grants).await;
    let app = &harness.apps.acme;
    let kid = app.public_key_id.clone();
    let right = json!({ "kid": kid, "public_key": app.key.as_ref().unwrap().public_pem() });
    let other = json!({ "kid": kid, "public_key": harness.apps.globex.key.as_ref().unwrap().public_pem() });
    for (wrong, right, code) in [
        (json!({ "authorized": [] }), json!({ "authorized": [ACME] }), "app_not_authorized"),
        (json!({ "remove_keys": [kid] }), json!({ "add_keys": [right] }), "key_unknown"),
        (json!({ "add_keys": [other] }), json!({ "add_keys": [right] }), "key_mismatch"),
        (
            json!({ "client_secret": "another" }),
            json!({ "client_secret": app.client_secret }),
            "credentials_invalid",
        ),
        (json!({ "auth": "ccg" }), json!({ "auth": "jwt" }), "wrong_auth_method"),
    ] {
        let body = by_config("acme", app);
        harness.change_app(app, wrong.clone()).await;
        let before = rows(&harness).await;
        harness.post(&harness.admin, "/v1/tenants", body.clone()).await.refuses(424, code);
        assert_eq!(rows(&harness).await, before, "{code}");
        harness.change_app(app, right.clone()).await;
        harness.post(&harness.admin, "/v1/tenants", body).await.is(201);

        harness.change_app(app, wrong).await;
        let problem = harness.user_token(&service, "acme", APOLLO).await.refuses(424, code);
        assert!(problem["upstream"]["error"].is_string(), "{problem}");
        let failed = test(&harness, Some(ADA)).await;
        let mut expected = all_pass_but(&[("assertion", code)]);
        for (check, ended) in &mut expected[2..6] {
            *ended = "skipped".to_owned();
            assert_ne!(check, "clock");
        }
        assert_eq!(failed, expected, "{code}");
        harness.change_app(app, right).await;
        harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    }
    harness.end().await;
}

#[tokio::test]
async fn refusals_of_one_subject_or_item_say_so() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let service = harness.service("service", grants).await;
    for (user, code) in [(TESS, "terms_of_service_required"), ("999", "subject_invalid")] {
        let problem = harness.user_token(&service, "acme", user).await.refuses(424, code);
        assert_eq!(problem["scope"], "subject");
    }
    let unseen = json!({ "scopes": ["item_preview"], "resource": { "type": "folder", "id": "20000001004" } });
    let problem = harness.downscoped(&service, "acme", unseen).await.refuses(424, "resource_not_visible");
    assert!(problem["fix"].as_str().unwrap().contains("collaborator"), "{problem}");
    let visible = json!({ "scopes": ["item_preview"], "resource": { "type": "folder", "id": FOLDER } });
    harness.downscoped(&service, "acme", visible).await.token();
    harness.change_app(&harness.apps.acme, json!({ "scopes": ["root_readwrite"] })).await;
    let seen = json!({ "subject": { "type": "user", "id": ADA }, "scopes": ["item_preview"], "resource": { "type": "file", "id": FILE } });
    harness.downscoped(&service, "acme", seen).await.refuses(424, "scope_not_granted");
    harness.change_app(&harness.apps.acme, json!({ "user_tokens": false })).await;
    harness.user_token(&service, "acme", GRACE).await.refuses(424, "user_tokens_disabled");
    harness.token(&service, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn checks_that_only_report_do_not_decide_a_registration() {
    let harness = Harness::new().await;
    let body = by_config("acme", &harness.apps.acme);
    let refused = json!({ "error": "insufficient_scope", "error_description": "no" });
    for (effect, code) in [
        (json!({ "status": 401, "body": refused }), "scope_not_granted"),
        (json!({ "status": 429, "retry_after": 1 }), "upstream_rate_limited"),
        (json!({ "status": 503 }), "upstream_unavailable"),
        (json!({ "garbage": true }), "upstream_unavailable"),
    ] {
        harness.fault(json!({ "select": { "grant": "token-exchange" }, "effect": effect })).await;
        let tenant = harness.post(&harness.admin, "/v1/tenants", body.clone()).await.is(201);
        let skipped = [("user_token", "skipped"), ("as_user_header", "skipped"), ("downscope", code)];
        assert_eq!(lines(&tenant["diagnosis"]), all_pass_but(&skipped));
        harness.heal().await;
        harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    }
    harness.end().await;
}

#[tokio::test]
async fn without_a_service_account_nothing_is_registered_and_the_token_ends() {
    let harness = Harness::new().await;
    let before = rows(&harness).await;
    let body = by_config("acme", &harness.apps.acme);
    for (effect, status, code) in [
        (json!({ "status": 500 }), 503, "upstream_unavailable"),
        (json!({ "garbage": true }), 503, "upstream_unavailable"),
        (json!({ "status": 200, "body": { "id": "x" } }), 502, "upstream_protocol"),
        (json!({ "status": 429, "retry_after": 7 }), 503, "upstream_rate_limited"),
    ] {
        let revoked = harness.count("path=/oauth2/revoke&status=200").await;
        harness.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": effect })).await;
        harness.post(&harness.admin, "/v1/tenants", body.clone()).await.refuses(status, code);
        harness.heal().await;
        eventually("the revocation", async || {
            harness.count("path=/oauth2/revoke&status=200").await == revoked + 1
        })
        .await;
    }
    assert_eq!(rows(&harness).await, before);
    harness.end().await;
}

#[tokio::test]
async fn r8_a_clock_ten_minutes_off_costs_one_more_try_and_is_told() {
    for seconds in [600, -600] {
        let harness = Harness::new().await;
        harness.control("PUT", "/clock", Some(&json!({ "skew_seconds": seconds }))).await;
        let tenant = harness.register("acme", &harness.apps.acme).await;
        assert!(harness.mints().await <= 2, "{}", harness.mints().await);
        let clock = tenant["diagnosis"].as_array().unwrap().iter().find(|line| line["check"] == "clock");
        assert_eq!(
            (&clock.unwrap()["outcome"], &clock.unwrap()["code"]),
            (&json!("fail"), &json!("clock_skew"))
        );
        let said = clock.unwrap()["detail"].as_str().unwrap();
        let side = if seconds > 0 { "ahead of" } else { "behind" };
        assert!(said.contains("600 s") && said.contains(side), "{said}");
        // What was learnt is kept: the next mint is right at once.
        let before = harness.mints().await;
        assert_eq!(test(&harness, Some(ADA)).await, all_pass_but(&[("clock", "clock_skew")]));
        assert_eq!(harness.mints().await - before, 2, "one for each subject");
        harness.end().await;
    }
}

#[tokio::test]
async fn a_jti_that_box_takes_for_a_used_one_is_made_anew_once() {
    let harness = Harness::new().await;
    let before = rows(&harness).await;
    let body = by_config("acme", &harness.apps.acme);
    let replayed =
        json!({ "error": "invalid_grant", "error_description": "A unique 'jti' value is required" });
    let fault = json!({ "select": { "grant": "jwt-bearer" }, "effect": { "status": 400, "body": replayed } });
    harness.fault(fault.clone()).await;
    harness.post(&harness.admin, "/v1/tenants", body.clone()).await.refuses(502, "upstream_protocol");
    assert_eq!((rows(&harness).await, harness.mints().await), (before, 2));
    harness.heal().await;
    let mut once = fault;
    once["times"] = json!(1);
    harness.fault(once).await;
    harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    assert_eq!(harness.mints().await, 4);
    harness.end().await;
}
