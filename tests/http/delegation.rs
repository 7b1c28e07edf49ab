//! Nobody hands on more than they hold, and who holds more does not exist to them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{ADA, FILE, Harness};
use crate::token_requests::{acme, any_token};

/// An admin of ACME alone, without every permission there.
async fn narrow_admin(harness: &Harness) -> String {
    let permissions = ["callers:write", "tokens:mint", "tenants:read"];
    let grants = json!([{ "tenant": "acme", "permissions": permissions, "subjects": ["enterprise"] }]);
    harness.caller("narrow", "admin", grants).await
}

async fn create(harness: &Harness, key: &str, kind: &str, grant: Value) -> (u16, Value) {
    let body = json!({ "name": "new", "kind": kind, "grants": [grant] });
    let reply = harness.post(key, "/v1/callers", body).await;
    if reply.status == 201 {
        harness.delete(&harness.admin, "/v1/callers/new").await.is(204);
    }
    (reply.status, reply.body)
}

#[tokio::test]
async fn a_service_holds_no_permission_of_admins() {
    let harness = acme().await.0;
    for permission in [
        "tenants:read",
        "tenants:create",
        "tenants:write",
        "tenants:credentials",
        "tenants:test",
        "tenants:delete",
        "tenants:purge",
        "apps:use",
        "apps:write",
        "callers:write",
        "audit:read",
        "policy:explain",
        "lockdown",
    ] {
        let grant = json!({ "tenant": "*", "permissions": ["tokens:mint", permission] });
        let (status, body) = create(&harness, &harness.admin, "service", grant.clone()).await;
        assert_eq!((status, &body["errors"][0]["pointer"]), (422, &json!("/grants/0/permissions/1")));
        assert_eq!(create(&harness, &harness.admin, "admin", grant).await.0, 201, "{permission}");
    }
    let all = [
        "tokens:mint",
        "tokens:downscope",
        "tokens:revoke",
        "sessions:create",
        "sessions:cancel",
        "webhooks:verify",
    ];
    assert_eq!(
        create(&harness, &harness.admin, "service", json!({ "tenant": "acme", "permissions": all })).await.0,
        201
    );
    // Nor by a change.
    let change = json!({ "grants": [{ "tenant": "acme", "permissions": ["callers:write"] }] });
    harness.patch(&harness.admin, "/v1/callers/portal", change).await.refuses(422, "invalid");
    harness.end().await;
}

#[tokio::test]
async fn what_concerns_the_whole_broker_is_granted_on_every_tenant_alone() {
    let harness = acme().await.0;
    for permission in ["tenants:create", "tenants:purge", "apps:use", "apps:write"] {
        for selector in [json!({ "tenant": "acme" }), json!({ "labels": { "a": "b" } })] {
            let mut grant = selector;
            grant["permissions"] = json!([permission]);
            assert_eq!(create(&harness, &harness.admin, "admin", grant).await.0, 422, "{permission}");
        }
    }
    harness.end().await;
}

#[tokio::test]
async fn a_new_grant_fits_inside_one_of_the_granters() {
    let harness = acme().await.0;
    harness.register("globex", &harness.apps.globex).await;
    let key = narrow_admin(&harness).await;
    for (grant, status) in [
        (json!({ "tenant": "acme", "permissions": ["tokens:mint"] }), 201),
        (json!({ "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": ["item_preview"] }), 201),
        (
            json!({ "tenant": "acme", "permissions": ["tokens:mint"], "resources": [{ "type": "file", "id": FILE }] }),
            201,
        ),
        (json!({ "tenant": "acme", "permissions": ["tokens:revoke"] }), 403),
        (json!({ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": ["user:*"] }), 403),
        (
            json!({ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": ["enterprise", format!("user:{ADA}")] }),
            403,
        ),
        (json!({ "tenant": "*", "permissions": ["tokens:mint"] }), 403),
        (json!({ "labels": { "team": "a" }, "permissions": ["tokens:mint"] }), 403),
        // Whether there is such a tenant is not told.
        (json!({ "tenant": "globex", "permissions": ["tokens:mint"] }), 422),
        (json!({ "tenant": "nobody", "permissions": ["tokens:mint"] }), 422),
    ] {
        assert_eq!(create(&harness, &key, "service", grant.clone()).await.0, status, "{grant}");
    }
    let grant = json!({ "tenant": "acme", "permissions": ["callers:write", "tokens:mint"] });
    assert_eq!(create(&harness, &key, "admin", grant).await.0, 201);
    harness.end().await;
}

#[tokio::test]
async fn a_granters_own_limits_go_with_the_grant() {
    let harness = acme().await.0;
    let limits = json!([{
        "tenant": "acme", "permissions": ["callers:write", "tokens:downscope"],
        "scopes": ["item_preview", "item_download"], "resources": [{ "type": "file", "id": FILE }],
    }]);
    let key = harness.caller("limited", "admin", limits).await;
    let (this, other) = (json!([{ "type": "file", "id": FILE }]), json!([{ "type": "folder", "id": FILE }]));
    for (scopes, resources, status) in [
        (json!(["item_preview"]), this.clone(), 201),
        (json!(["item_preview", "item_upload"]), this.clone(), 403),
        (json!(null), this, 403),
        (json!(["item_preview"]), other, 403),
        (json!(["item_preview"]), json!(null), 403),
    ] {
        let grant = json!({
            "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": scopes, "resources": resources,
        });
        assert_eq!(create(&harness, &key, "service", grant.clone()).await.0, status, "{grant}");
    }
    harness.end().await;
}

#[tokio::test]
async fn the_power_to_manage_callers_of_one_tenant_hands_on_nothing_of_another() {
    let harness = acme().await.0;
    harness.register("globex", &harness.apps.globex).await;
    let grants = json!([
        { "tenant": "acme", "permissions": ["callers:write"] },
        { "tenant": "globex", "permissions": ["tokens:mint", "tenants:read"] },
    ]);
    let key = harness.caller("two", "admin", grants).await;
    let grant = json!({ "tenant": "globex", "permissions": ["tokens:mint"] });
    assert_eq!(create(&harness, &key, "service", grant).await.0, 403);
    harness.end().await;
}

#[tokio::test]
async fn a_stronger_caller_does_not_exist_to_a_narrow_admin() {
    let (harness, portal) = acme().await;
    let weak = harness.service("weak", json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }])).await;
    let key = narrow_admin(&harness).await;
    let portal_key = box_token_broker::auth::api_key::id_of(&portal).unwrap();
    let root_id = harness.get(&harness.admin, "/v1/whoami").await.ok()["id"].as_str().unwrap().to_owned();
    // The service may have users' tokens, the admin not.
    for caller in ["portal", "root", &root_id, "nobody"] {
        let path = format!("/v1/callers/{caller}");
        let keys = format!("{path}/keys");
        for (method, path, body) in [
            ("GET", path.clone(), None),
            ("PATCH", path.clone(), Some(json!({ "name": "mine" }))),
            ("PATCH", path.clone(), Some(json!({ "grants": [] }))),
            ("DELETE", path, None),
            ("POST", keys.clone(), Some(json!({}))),
            ("DELETE", format!("{keys}/{}", portal_key.as_str()), None),
        ] {
            harness.call(&key, method, &path, body.as_ref()).await.refuses(404, "not_found");
        }
    }
    let list = harness.get(&key, "/v1/callers").await.ok();
    let names: Vec<_> = list["items"].as_array().unwrap().iter().map(|item| &item["name"]).collect();
    assert_eq!(names, ["narrow", "weak"]);
    harness.token(&portal, "acme").await.token();

    // The weaker one is the admin's to manage.
    harness.get(&key, "/v1/callers/weak").await.is(200);
    harness
        .patch(&key, "/v1/callers/weak", json!({ "grants": any_token("acme") }))
        .await
        .refuses(403, "forbidden");
    harness.post(&key, "/v1/callers/weak/keys", json!({})).await.is(201);
    harness.delete(&key, "/v1/callers/weak").await.is(204);
    harness.token(&weak, "acme").await.refuses(401, "unauthenticated");
    harness.end().await;
}

#[tokio::test]
async fn a_service_manages_no_callers() {
    let (harness, key) = acme().await;
    harness.get(&key, "/v1/callers").await.refuses(403, "forbidden");
    harness.get(&key, "/v1/callers/portal").await.refuses(403, "forbidden");
    let body = json!({ "name": "new", "kind": "service", "grants": [] });
    harness.post(&key, "/v1/callers", body).await.refuses(403, "forbidden");
    harness.post(&key, "/v1/callers/portal/keys", json!({})).await.refuses(403, "forbidden");
    harness.end().await;
}

#[tokio::test]
async fn a_narrow_admin_labels_no_tenant_into_their_own_grants() {
    let harness = acme().await.0;
    let grants = json!([
        { "tenant": "acme", "permissions": ["tenants:read", "tenants:write"] },
        { "labels": { "team": "a" }, "permissions": ["tokens:mint"] },
    ]);
    let key = harness.caller("labeller", "admin", grants).await;
    let change = json!({ "labels": { "team": "a" } });
    harness.patch(&key, "/v1/tenants/acme", change).await.refuses(403, "forbidden");
    harness.token(&key, "acme").await.refuses(403, "forbidden");
    harness.patch(&key, "/v1/tenants/acme", json!({ "display_name": "Acme" })).await.is(200);
    harness.end().await;
}

#[tokio::test]
async fn a_change_of_a_caller_that_was_changed_meanwhile_is_refused() {
    let harness = acme().await.0;
    let path = "/v1/callers/portal";
    let read = harness.get(&harness.admin, path).await;
    let first = read.header("etag").to_owned();
    assert!(!first.is_empty());
    let empty = json!({ "grants": [] });
    let changed = harness.if_match(&harness.admin, Method::PATCH, path, &first, empty.clone()).await;
    let second = changed.header("etag").to_owned();
    changed.is(200);
    assert_ne!(first, second);
    for stale in [first.as_str(), "\"x\"", "1", ""] {
        for method in [Method::PATCH, Method::DELETE] {
            let body = json!({ "grants": any_token("acme") });
            let reply = harness.if_match(&harness.admin, method, path, stale, body).await;
            reply.refuses(412, "precondition_failed");
        }
    }
    // What changes nothing makes no new version.
    let same = harness.if_match(&harness.admin, Method::PATCH, path, &second, empty).await;
    assert_eq!(same.header("etag"), second);
    let made = harness.post(&harness.admin, &format!("{path}/keys"), json!({})).await;
    made.is(201);
    let reply = harness.if_match(&harness.admin, Method::DELETE, path, &second, json!({})).await;
    reply.refuses(412, "precondition_failed");
    harness.if_match(&harness.admin, Method::DELETE, path, "*", json!({})).await.is(204);
    harness.end().await;
}

#[tokio::test]
async fn a_grant_on_an_erased_tenant_is_told_by_its_id_and_never_passes_to_the_names_next_holder() {
    let (harness, key) = acme().await;
    let first = harness.get(&harness.admin, "/v1/tenants/acme").await.ok()["id"].clone();
    let told = async |path: &str| harness.get(&harness.admin, path).await.ok()["grants"][0]["tenant"].clone();
    assert_eq!(told("/v1/callers/portal").await, "acme");
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    assert_eq!(told("/v1/callers/portal").await, first);
    let second = harness.register("acme", &harness.apps.acme).await;
    assert_ne!(second["id"], first);
    assert_eq!(told("/v1/callers/portal").await, first, "the name is another tenant's now");
    assert_eq!(harness.get(&key, "/v1/whoami").await.ok()["grants"][0]["tenant"], first);
    // What was read can be written back with something added, and gives no more than that.
    let mut grants = harness.get(&harness.admin, "/v1/callers/portal").await.ok()["grants"].clone();
    grants.as_array_mut().unwrap().push(json!({ "labels": { "a": "b" }, "permissions": ["tokens:mint"] }));
    harness.patch(&harness.admin, "/v1/callers/portal", json!({ "grants": grants })).await.is(200);
    assert_eq!(told("/v1/callers/portal").await, first);
    harness.token(&key, "acme").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn callers_without_grants_are_the_whole_brokers_to_make() {
    let (harness, _) = acme().await;
    let narrow = narrow_admin(&harness).await;
    for kind in ["service", "admin"] {
        let bare = json!({ "name": "bare", "kind": kind, "grants": [] });
        harness.post(&narrow, "/v1/callers", bare.clone()).await.refuses(403, "forbidden");
        harness.post(&harness.admin, "/v1/callers", bare).await.is(201);
        harness.delete(&narrow, "/v1/callers/bare").await.refuses(404, "not_found");
        harness.delete(&harness.admin, "/v1/callers/bare").await.is(204);
    }
    harness.end().await;
}
