//! How customers come under the broker: every form of registration, and what is refused.

use serde_json::{Value, json};

use crate::harness::{ACME, ADA, Harness, NORTH, SOUTH, by_config};
use crate::response::Reply;
use crate::store_probe::rows;
use crate::token_requests::eventually;
use box_sandbox::GeneratedApp;

/// A tenant's fields.
const FIELDS: [&str; 14] = [
    "app",
    "created_at",
    "display_name",
    "enterprise_id",
    "generation",
    "health",
    "id",
    "key",
    "labels",
    "policy",
    "service_account",
    "state",
    "tenant",
    "updated_at",
];

/// The body that registers a tenant by an app's credentials, field by field.
pub(crate) fn by_credentials(tenant: &str, app: &GeneratedApp) -> Value {
    let config: Value = serde_json::from_str(&app.json).unwrap();
    let mut credentials = json!({
        "client_id": app.client_id, "client_secret": app.client_secret, "enterprise_id": app.enterprise_id,
        "auth": "ccg",
    });
    if app.key.is_some() {
        let key = &config["boxAppSettings"]["appAuth"];
        credentials["auth"] = json!("jwt");
        credentials["public_key_id"] = key["publicKeyID"].clone();
        credentials["private_key"] = key["privateKey"].clone();
        credentials["passphrase"] = key["passphrase"].clone();
    }
    json!({ "tenant": tenant, "credentials": credentials })
}

pub(crate) fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

pub(crate) async fn post(harness: &Harness, body: Value) -> Reply {
    harness.post(&harness.admin, "/v1/tenants", body).await
}

pub(crate) async fn shared_app(harness: &Harness) -> Value {
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201)
}

pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_form_of_registration_gives_a_tenant_whose_tokens_box_takes() {
    let harness = Harness::new().await;
    let every =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let service = harness.service("service", every).await;
    shared_app(&harness).await;

    let apps = &harness.apps;
    let ccg = with(by_config("acme", &apps.ccg), "/auth", json!("ccg"));
    let jwt_key = by_config("acme", &apps.acme)["config"]["boxAppSettings"]["appAuth"].clone();
    let with_key = with(ccg.clone(), "/config/boxAppSettings/appAuth", jwt_key);
    let shared = json!({ "tenant": "acme", "app": "portal", "enterprise_id": SOUTH });
    let ignored_key = ["/config/boxAppSettings/appAuth"];
    for (body, auth, enterprise, warned) in [
        (by_config("acme", &apps.acme), "jwt", ACME, &[][..]),
        (with(by_config("acme", &apps.acme), "/auth", json!("jwt")), "jwt", ACME, &[]),
        (ccg, "ccg", ACME, &[]),
        (with_key, "ccg", ACME, &ignored_key),
        (by_credentials("acme", &apps.acme), "jwt", ACME, &[]),
        (by_credentials("acme", &apps.ccg), "ccg", ACME, &[]),
        (shared, "jwt", SOUTH, &[]),
    ] {
        let before = harness.count("path=/oauth2/token").await;
        let told = format!("{auth} {enterprise} {body}");
        let reply = post(&harness, body).await;
        let tag = reply.header("etag").to_owned();
        let mut tenant = reply.is(201);
        let warnings = tenant.as_object_mut().unwrap().remove("warnings").unwrap();
        let diagnosis = tenant.as_object_mut().unwrap().remove("diagnosis").unwrap();
        let fields: Vec<&str> = tenant.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, FIELDS, "{told}");
        let warnings: Vec<&str> =
            warnings.as_array().unwrap().iter().map(|warning| warning["pointer"].as_str().unwrap()).collect();
        assert_eq!(warnings, warned, "{told}");
        for line in diagnosis.as_array().unwrap() {
            assert_ne!(line["outcome"], "fail", "{line} of {told}");
        }
        assert_eq!((&tenant["tenant"], &tenant["display_name"]), (&json!("acme"), &json!("acme")));
        assert_eq!((&tenant["state"], &tenant["labels"]), (&json!("active"), &json!({})));
        assert_eq!((&tenant["enterprise_id"], &tenant["app"]["auth"]), (&json!(enterprise), &json!(auth)));
        assert_eq!(tenant["key"].is_null(), auth == "ccg", "{told}");
        let login = tenant["service_account"]["login"].as_str().unwrap();
        assert!(login.starts_with("AutomationUser_"), "{login}");

        let read = harness.get(&harness.admin, "/v1/tenants/acme").await;
        assert_eq!(read.header("etag"), tag);
        assert_eq!(read.ok(), tenant, "{told}");
        // The test's own token is the tenant's first, so nothing is minted twice.
        let token = harness.token(&service, "acme").await.token();
        assert_eq!(harness.at_box(&token, "/2.0/users/me").await, 200, "{told}");
        let asked = harness.count("path=/oauth2/token").await - before;
        assert_eq!(asked, 2, "one mint and the try of an exchange: {told}");
        // What was stored signs too, and not only what came.
        if enterprise == ACME {
            let users = harness.user_token(&service, "acme", ADA).await.token();
            assert_eq!(harness.at_box(&users, "/2.0/users/me").await, 200, "{told}");
        }
        harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    }
    harness.end().await;
}

#[tokio::test]
async fn a_dry_run_tells_all_and_stores_nothing() {
    let harness = Harness::new().await;
    let before = rows(&harness).await;
    let body = by_config("acme", &harness.apps.acme);
    let dry = harness.post(&harness.admin, "/v1/tenants?dry_run=true", body.clone()).await.is(200);
    assert_eq!((&dry["tenant"], &dry["state"]), (&json!("acme"), &json!("active")));
    assert_eq!(
        dry["diagnosis"][1],
        json!({ "check": "assertion", "outcome": "pass", "detail": "Box gave a token for the enterprise." })
    );
    assert_eq!(rows(&harness).await, before);
    assert!(harness.hand().reads("SELECT id FROM tokens").await.is_empty());
    assert_eq!(harness.get(&harness.admin, "/v1/tenants").await.ok()["items"], json!([]));
    // The token of the test and the one it was exchanged for are nobody's, so they are recorded and end.
    let minted =
        "SELECT action FROM audit WHERE tenant_id IS NULL AND fingerprint IS NOT NULL ORDER BY at, number";
    assert_eq!(harness.hand().reads(minted).await, ["token.downscope", "token.mint"]);
    eventually("the revocations", async || harness.count("path=/oauth2/revoke&status=200").await == 2).await;
    harness.post(&harness.admin, "/v1/tenants?dry_run=yes", body.clone()).await.refuses(422, "invalid");

    let bad = with(body.clone(), "/config/boxAppSettings/clientSecret", json!("wrong"));
    harness.post(&harness.admin, "/v1/tenants?dry_run=true", bad).await.refuses(424, "credentials_invalid");
    harness.post(&harness.admin, "/v1/tenants?dry_run=false", body).await.is(201);
    harness.end().await;
}

#[tokio::test]
async fn registering_needs_its_own_grant_on_every_tenant() {
    let harness = Harness::new().await;
    shared_app(&harness).await;
    let create = |permissions: Value| json!([{ "tenant": "*", "permissions": permissions }]);
    let body = by_config("acme", &harness.apps.acme);
    let shared = json!({ "tenant": "acme", "app": "portal", "enterprise_id": NORTH });

    let reader = harness.caller("reader", "admin", create(json!(["tenants:read", "tenants:write"]))).await;
    harness.post(&reader, "/v1/tenants", body.clone()).await.refuses(403, "forbidden");
    let service = harness.service("service", create(json!(["tokens:mint"]))).await;
    harness.post(&service, "/v1/tenants", body.clone()).await.refuses(403, "forbidden");
    let creator = harness.caller("creator", "admin", create(json!(["tenants:create"]))).await;
    harness.post(&creator, "/v1/tenants", shared.clone()).await.refuses(403, "forbidden");
    let user = harness.caller("user", "admin", create(json!(["tenants:create", "apps:use"]))).await;
    harness.post(&user, "/v1/tenants", shared).await.is(201);
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    harness.post(&creator, "/v1/tenants", body).await.is(201);
    harness.end().await;
}

#[tokio::test]
async fn a_registration_whose_caller_hangs_up_leaves_no_token_behind_that_nobody_knows() {
    let harness = Harness::new().await;
    let held = harness.hold(json!({ "path": "/2.0/users/me" })).await;
    let body = by_config("acme", &harness.apps.acme);
    tokio::select! {
        reply = post(&harness, body.clone()) => panic!("{reply:?}"),
        () = eventually("the test at Box", async || harness.count("path=/2.0/users/me").await == 1) => {}
    }
    harness.lift(&held).await;
    eventually("its token", async || harness.hand().reads("SELECT id FROM tokens").await.len() == 1).await;
    let service =
        harness.service("service", json!([{ "tenant": "*", "permissions": ["tokens:mint"] }])).await;
    post(&harness, body).await.is(200);
    harness.token(&service, "acme").await.token();
    assert_eq!(harness.mints().await, 1);
    harness.end().await;
}

#[tokio::test]
async fn a_new_tenant_is_there_at_once_for_whoever_missed_it() {
    let harness = Harness::new().await;
    harness.get(&harness.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    harness.register("acme", &harness.apps.acme).await;
    harness.get(&harness.admin, "/v1/tenants/acme").await.is(200);
    harness.end().await;
}
