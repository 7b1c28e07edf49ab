//! How customers come under the broker: every form of registration, and what is refused.

use serde_json::{Value, json};

use crate::ground::{ACME, ADA, GLOBEX, Ground, NORTH, SOUTH, by_config};
use crate::reply::Reply;
use crate::watching::{eventually, rows};
use box_token_broker::sandbox::key_json::GeneratedApp;

/// A tenant's fields.
const FIELDS: [&str; 13] = [
    "app",
    "created_at",
    "display_name",
    "enterprise_id",
    "generation",
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
fn by_credentials(tenant: &str, app: &GeneratedApp) -> Value {
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

fn with(mut body: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    body.pointer_mut(parent).unwrap()[name] = value;
    body
}

async fn post(ground: &Ground, body: Value) -> Reply {
    ground.post(&ground.admin, "/v1/tenants", body).await
}

async fn shared_app(ground: &Ground) -> Value {
    let config: Value = serde_json::from_str(&ground.apps.portal.json).unwrap();
    ground.post(&ground.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201)
}

fn pointers(problem: &Value) -> Vec<&str> {
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
async fn chosen_fields_are_kept_and_wrong_ones_are_refused_with_their_place() {
    let ground = Ground::new().await;
    let good = by_config("acme", &ground.apps.acme);
    let empty = rows(&ground).await;
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
        let problem = post(&ground, with(good.clone(), pointer, value.clone())).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [told], "{pointer} {value}");
    }
    let both =
        with(good.clone(), "/credentials", by_credentials("acme", &ground.apps.acme)["credentials"].clone());
    let problem = post(&ground, both).await.refuses(422, "invalid");
    assert_eq!(pointers(&problem), ["/credentials"]);
    for (body, told) in [
        (json!({ "tenant": "acme" }), "/config"),
        (json!({ "tenant": "acme", "app": "portal" }), "/enterprise_id"),
        (json!({ "tenant": "acme", "app": "nobodys", "enterprise_id": "1" }), "/app"),
        (json!({ "tenant": "acme", "app": "nobodys", "enterprise_id": "1", "auth": "jwt" }), "/auth"),
        (with(by_credentials("acme", &ground.apps.acme), "/auth", json!("jwt")), "/auth"),
        (
            with(by_credentials("acme", &ground.apps.acme), "/credentials/secret", json!("x")),
            "/credentials/secret",
        ),
    ] {
        let problem = post(&ground, body.clone()).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [told], "{body}");
    }
    assert_eq!(rows(&ground).await, empty);

    let policy = json!({ "subjects": ["user:7"], "scopes": ["item_preview"], "full_tokens": false });
    let mut body = with(good, "/display_name", json!("Acme & Söhne"));
    body["labels"] = json!({ "team": "a b" });
    body["policy"] = policy.clone();
    let tenant = post(&ground, body).await.is(201);
    assert_eq!(tenant["display_name"], "Acme & Söhne");
    assert_eq!(tenant["labels"], json!({ "team": "a b" }));
    for (name, value) in policy.as_object().unwrap() {
        assert_eq!(&tenant["policy"][name], value);
    }
    ground.end().await;
}

#[tokio::test]
async fn credentials_are_judged_field_by_field() {
    let ground = Ground::new().await;
    let good = by_credentials("acme", &ground.apps.acme);
    let empty = rows(&ground).await;
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
            post(&ground, with(good.clone(), &format!("/credentials/{field}"), value.clone())).await;
        let problem = problem.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [format!("/credentials/{field}")], "{field} {value}");
    }
    assert_eq!(rows(&ground).await, empty);
    assert_eq!(ground.mints().await, 0);
    ground.end().await;
}

#[tokio::test]
async fn a_secret_in_the_wrong_place_is_not_repeated() {
    let ground = Ground::new().await;
    let hush = "hush-hush-hush-hush";
    let good = by_credentials("acme", &ground.apps.acme);
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
        let reply = post(&ground, with(good.clone(), pointer, json!(format!("{hush} ")))).await;
        assert_eq!(reply.status, 422, "{reply:?}");
        assert!(!reply.body.to_string().contains(hush), "{pointer}: {reply:?}");
    }
    ground.end().await;
}

#[tokio::test]
async fn unknown_fields_inside_a_config_are_named_and_ignored() {
    let ground = Ground::new().await;
    let mut body = by_config("acme", &ground.apps.acme);
    body["config"]["userID"] = json!("12");
    body["config"]["boxAppSettings"]["a/b"] = json!(1);
    body["config"]["nothing"] = json!("");
    let tenant = post(&ground, body).await.is(201);
    let warnings: Vec<&Value> =
        tenant["warnings"].as_array().unwrap().iter().map(|warning| &warning["pointer"]).collect();
    assert_eq!(warnings, ["/config/userID", "/config/boxAppSettings/a~1b"]);
    ground.end().await;
}

#[tokio::test]
async fn client_credentials_have_no_use_for_a_key_and_say_so() {
    let ground = Ground::new().await;
    let mut body = by_credentials("acme", &ground.apps.ccg);
    body["credentials"]["private_key"] = json!("-----BEGIN PRIVATE KEY-----");
    body["credentials"]["passphrase"] = json!("x");
    let tenant = post(&ground, body).await.is(201);
    let warnings: Vec<&Value> =
        tenant["warnings"].as_array().unwrap().iter().map(|warning| &warning["pointer"]).collect();
    assert_eq!(warnings, ["/credentials/private_key", "/credentials/passphrase"]);
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
    // The token of the test and the one it was exchanged for are nobody's, so they end.
    eventually("the revocations", async || ground.count("path=/oauth2/revoke&status=200").await == 2).await;
    ground.post(&ground.admin, "/v1/tenants?dry_run=yes", body.clone()).await.refuses(422, "invalid");

    let bad = with(body.clone(), "/config/boxAppSettings/clientSecret", json!("wrong"));
    ground.post(&ground.admin, "/v1/tenants?dry_run=true", bad).await.refuses(424, "credentials_invalid");
    ground.post(&ground.admin, "/v1/tenants?dry_run=false", body).await.is(201);
    ground.end().await;
}

#[tokio::test]
async fn the_same_credentials_again_change_nothing() {
    let ground = Ground::new().await;
    let body = by_config("acme", &ground.apps.acme);
    post(&ground, body.clone()).await.is(201);
    let first = ground.get(&ground.admin, "/v1/tenants/acme").await;
    let (tag, first) = (first.header("etag").to_owned(), first.ok());
    let (stored, mints) = (rows(&ground).await, ground.mints().await);
    // The same in another form, or with another display name, is the same.
    for body in [
        body.clone(),
        by_credentials("acme", &ground.apps.acme),
        with(body.clone(), "/display_name", json!("Another")),
    ] {
        let reply = post(&ground, body).await;
        assert_eq!(reply.header("etag"), tag);
        let mut again = reply.is(200);
        assert_eq!(again["diagnosis"][1]["outcome"], "skipped");
        for field in ["diagnosis", "warnings"] {
            again.as_object_mut().unwrap().remove(field);
        }
        assert_eq!(again, first);
    }
    assert_eq!((rows(&ground).await, ground.mints().await), (stored, mints));
    ground.end().await;
}

#[tokio::test]
async fn what_is_taken_stays_taken_and_the_holder_is_not_named() {
    let ground = Ground::new().await;
    let apps = &ground.apps;
    shared_app(&ground).await;
    post(&ground, by_config("holder", &apps.acme)).await.is(201);
    let shared = |tenant: &str, enterprise: &str| json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
    post(&ground, shared("north", NORTH)).await.is(201);
    let stored = rows(&ground).await;

    let other_secret =
        with(by_config("holder", &apps.acme), "/config/boxAppSettings/clientSecret", json!("another"));
    let other_enterprise = with(by_config("holder", &apps.acme), "/config/enterpriseID", json!(GLOBEX));
    for (body, says) in [
        (other_secret, "name is taken"),
        (other_enterprise, "name is taken"),
        (by_config("holder", &apps.globex), "name is taken"),
        (shared("holder", SOUTH), "name is taken"),
        (shared("north", SOUTH), "name is taken"),
        (by_config("north", &apps.globex), "name is taken"),
        (by_config("another", &apps.acme), "shared app"),
        (by_config("another", &apps.portal), "shared app"),
        (shared("another", NORTH), "client ID and enterprise are taken"),
    ] {
        let told = body.to_string();
        let problem = post(&ground, body).await.refuses(409, "conflict");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem} of {told}");
        if told.contains("another\"") {
            let words = problem.to_string();
            assert!(!words.contains("holder") && !words.contains("north"), "{words}");
        }
    }
    let body = json!({ "app": "second", "config": by_config("", &apps.acme)["config"] });
    ground.post(&ground.admin, "/v1/apps", body).await.refuses(409, "conflict");
    assert_eq!(rows(&ground).await, stored);

    post(&ground, shared("south", SOUTH)).await.is(201);
    post(&ground, shared("south", SOUTH)).await.is(200);

    // A deleted tenant holds its name, client ID and enterprise until it is erased.
    ground.delete(&ground.admin, "/v1/tenants/holder").await.is(204);
    ground.delete(&ground.admin, "/v1/tenants/south").await.is(204);
    for body in [
        by_config("holder", &apps.acme),
        by_config("another", &apps.acme),
        shared("south", SOUTH),
        shared("another", SOUTH),
    ] {
        post(&ground, body).await.refuses(409, "conflict");
    }
    ground.end().await;
}

#[tokio::test]
async fn one_enterprise_is_held_once_however_it_is_spelled() {
    let ground = Ground::new().await;
    shared_app(&ground).await;
    for enterprise in ["0", "00", "03003"] {
        let body = json!({ "tenant": "squatter", "app": "portal", "enterprise_id": enterprise });
        let problem = post(&ground, body).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), ["/enterprise_id"]);
    }
    assert_eq!(ground.count("subject=enterprise:03003").await, 0);
    ground.end().await;
}

#[tokio::test]
async fn of_two_registrations_at_the_same_moment_one_wins() {
    let ground = Ground::new().await;
    shared_app(&ground).await;
    let apps = &ground.apps;
    let shared = |tenant: &str| json!({ "tenant": tenant, "app": "portal", "enterprise_id": NORTH });
    for (one, other) in [
        (by_config("acme", &apps.acme), by_config("acme", &apps.acme)),
        (by_config("acme", &apps.acme), by_config("other", &apps.acme)),
        (by_config("acme", &apps.acme), by_config("acme", &apps.globex)),
        (shared("acme"), shared("acme")),
        (shared("acme"), shared("other")),
    ] {
        let before = rows(&ground).await;
        let told = format!("{one} and {other}");
        // Both are at Box before either is stored.
        ground.fault(json!({ "select": { "path": "/2.0/users/me" }, "effect": { "latency_ms": 150 } })).await;
        let revoked = ground.count("path=/oauth2/revoke&status=200").await;
        let (one, other) = tokio::join!(post(&ground, one), post(&ground, other));
        ground.heal().await;
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409], "{told}: {one:?} {other:?}");
        let after = rows(&ground).await;
        assert_eq!(after[0], before[0] + 1, "{told}");
        assert_eq!(after[1] - before[1], usize::from(!told.contains("portal")), "{told}");
        assert_eq!(after[1] - before[1], after[2] - before[2], "{told}");
        // The loser's token ends, and so does the one that the winner's diagnosis exchanged.
        eventually("the revocations", async || {
            ground.count("path=/oauth2/revoke&status=200").await == revoked + 2
        })
        .await;
        let items = ground.get(&ground.admin, "/v1/tenants").await.ok()["items"].clone();
        let [winner] = &items.as_array().unwrap()[..] else { panic!("{items}") };
        let path = format!("/v1/tenants/{}?purge=now", winner["tenant"].as_str().unwrap());
        ground.delete(&ground.admin, &path).await.is(204);
    }
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
