//! How customers come under the broker: every form of registration, and what is refused.

use serde_json::{Value, json};

use crate::asking::eventually;
use crate::ground::{ACME, ADA, Ground, NORTH, SOUTH, by_config};
use crate::reply::Reply;
use crate::watching::rows;
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

pub(crate) async fn post(ground: &Ground, body: Value) -> Reply {
    ground.post(&ground.admin, "/v1/tenants", body).await
}

pub(crate) async fn shared_app(ground: &Ground) -> Value {
    let config: Value = serde_json::from_str(&ground.apps.portal.json).unwrap();
    ground.post(&ground.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201)
}

pub(crate) fn pointers(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_form_of_registration_gives_a_tenant_whose_tokens_box_takes() {
    let ground = Ground::new().await;
    let every =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let service = ground.service("service", every).await;
    shared_app(&ground).await;

    let apps = &ground.apps;
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
        let before = ground.count("path=/oauth2/token").await;
        let told = format!("{auth} {enterprise} {body}");
        let reply = post(&ground, body).await;
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

        let read = ground.get(&ground.admin, "/v1/tenants/acme").await;
        assert_eq!(read.header("etag"), tag);
        assert_eq!(read.ok(), tenant, "{told}");
        // The test's own token is the tenant's first, so nothing is minted twice.
        let token = ground.token(&service, "acme").await.token();
        assert_eq!(ground.at_box(&token, "/2.0/users/me").await, 200, "{told}");
        let asked = ground.count("path=/oauth2/token").await - before;
        assert_eq!(asked, 2, "one mint and the try of an exchange: {told}");
        // What was stored signs too, and not only what came.
        if enterprise == ACME {
            let users = ground.user_token(&service, "acme", ADA).await.token();
            assert_eq!(ground.at_box(&users, "/2.0/users/me").await, 200, "{told}");
        }
        ground.delete(&ground.admin, "/v1/tenants/acme?purge=now").await.is(204);
    }
    ground.end().await;
}

#[tokio::test]
async fn a_dry_run_tells_all_and_stores_nothing() {
    let ground = Ground::new().await;
    let before = rows(&ground).await;
    let body = by_config("acme", &ground.apps.acme);
    let dry = ground.post(&ground.admin, "/v1/tenants?dry_run=true", body.clone()).await.is(200);
    assert_eq!((&dry["tenant"], &dry["state"]), (&json!("acme"), &json!("active")));
    assert_eq!(
        dry["diagnosis"][1],
        json!({ "check": "assertion", "outcome": "pass", "detail": "Box gave a token for the enterprise." })
    );
    assert_eq!(rows(&ground).await, before);
    assert!(ground.hand().reads("SELECT id FROM tokens").await.is_empty());
    assert_eq!(ground.get(&ground.admin, "/v1/tenants").await.ok()["items"], json!([]));
    // The token of the test and the one it was exchanged for are nobody's, so they are recorded and end.
    let minted =
        "SELECT action FROM audit WHERE tenant_id IS NULL AND fingerprint IS NOT NULL ORDER BY at, number";
    assert_eq!(ground.hand().reads(minted).await, ["token.downscope", "token.mint"]);
    eventually("the revocations", async || ground.count("path=/oauth2/revoke&status=200").await == 2).await;
    ground.post(&ground.admin, "/v1/tenants?dry_run=yes", body.clone()).await.refuses(422, "invalid");

    let bad = with(body.clone(), "/config/boxAppSettings/clientSecret", json!("wrong"));
    ground.post(&ground.admin, "/v1/tenants?dry_run=true", bad).await.refuses(424, "credentials_invalid");
    ground.post(&ground.admin, "/v1/tenants?dry_run=false", body).await.is(201);
    ground.end().await;
}

#[tokio::test]
async fn registering_needs_its_own_grant_on_every_tenant() {
    let ground = Ground::new().await;
    shared_app(&ground).await;
    let create = |permissions: Value| json!([{ "tenant": "*", "permissions": permissions }]);
    let body = by_config("acme", &ground.apps.acme);
    let shared = json!({ "tenant": "acme", "app": "portal", "enterprise_id": NORTH });

    let reader = ground.caller("reader", "admin", create(json!(["tenants:read", "tenants:write"]))).await;
    ground.post(&reader, "/v1/tenants", body.clone()).await.refuses(403, "forbidden");
    let service = ground.service("service", create(json!(["tokens:mint"]))).await;
    ground.post(&service, "/v1/tenants", body.clone()).await.refuses(403, "forbidden");
    let creator = ground.caller("creator", "admin", create(json!(["tenants:create"]))).await;
    ground.post(&creator, "/v1/tenants", shared.clone()).await.refuses(403, "forbidden");
    let user = ground.caller("user", "admin", create(json!(["tenants:create", "apps:use"]))).await;
    ground.post(&user, "/v1/tenants", shared).await.is(201);
    ground.delete(&ground.admin, "/v1/tenants/acme?purge=now").await.is(204);
    ground.post(&creator, "/v1/tenants", body).await.is(201);
    ground.end().await;
}

#[tokio::test]
async fn a_registration_whose_caller_hangs_up_leaves_no_token_behind_that_nobody_knows() {
    let ground = Ground::new().await;
    let held = ground.hold(json!({ "path": "/2.0/users/me" })).await;
    let body = by_config("acme", &ground.apps.acme);
    tokio::select! {
        reply = post(&ground, body.clone()) => panic!("{reply:?}"),
        () = eventually("the test at Box", async || ground.count("path=/2.0/users/me").await == 1) => {}
    }
    ground.lift(&held).await;
    eventually("its token", async || ground.hand().reads("SELECT id FROM tokens").await.len() == 1).await;
    let service = ground.service("service", json!([{ "tenant": "*", "permissions": ["tokens:mint"] }])).await;
    post(&ground, body).await.is(200);
    ground.token(&service, "acme").await.token();
    assert_eq!(ground.mints().await, 1);
    ground.end().await;
}

#[tokio::test]
async fn a_new_tenant_is_there_at_once_for_whoever_missed_it() {
    let ground = Ground::new().await;
    ground.get(&ground.admin, "/v1/tenants/acme").await.refuses(404, "not_found");
    ground.register("acme", &ground.apps.acme).await;
    ground.get(&ground.admin, "/v1/tenants/acme").await.is(200);
    ground.end().await;
}
