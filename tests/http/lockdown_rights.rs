//! Who may lock and who may lift, and that no hand in the database lifts anything.

use serde_json::{Value, json};

use crate::harness::{ADA, Harness};
use crate::lockdown::all_dead;
use crate::tampering_fixture::Scene;
use crate::token_requests::{acme, any_token};

/// An admin of a tenant with these permissions, and all of its subjects.
async fn admin(harness: &Harness, name: &str, tenant: &str, permissions: &[&str]) -> String {
    let subjects = ["enterprise", "user:*"];
    let grant = json!({ "tenant": tenant, "permissions": permissions, "subjects": subjects });
    harness.caller(name, "admin", json!([grant])).await
}

#[tokio::test]
async fn locking_needs_its_own_permission_and_so_does_lifting() {
    let (harness, service) = acme().await;
    let all_but = [
        "tenants:read",
        "tenants:write",
        "tenants:delete",
        "callers:write",
        "tokens:mint",
        "tenants:credentials",
    ];
    let without = admin(&harness, "without", "acme", &all_but).await;
    let only = admin(&harness, "only", "acme", &["lockdown", "tenants:read"]).await;
    let both =
        admin(&harness, "both", "acme", &["lockdown", "tenants:write", "tokens:mint", "callers:write"]).await;
    harness.register("globex", &harness.apps.globex).await;
    let foreign = admin(&harness, "foreign", "globex", &["lockdown", "tokens:mint", "callers:write"]).await;
    for key in [&without, &service] {
        harness.lock_down(key, "tenants/acme").await.refuses(403, "forbidden");
        harness.lock_down(key, "callers/portal").await.refuses(403, "forbidden");
    }
    harness.lock_down(&foreign, "tenants/acme").await.refuses(404, "not_found");
    harness.lock_down(&foreign, "callers/portal").await.refuses(404, "not_found");
    harness.token(&service, "acme").await.token();

    let (active, suspended) = (json!({ "state": "active" }), json!({ "state": "suspended" }));
    harness.lock_down(&only, "tenants/acme").await.is(200);
    for change in [&active, &suspended] {
        harness.patch(&without, "/v1/tenants/acme", change.clone()).await.refuses(403, "forbidden");
        harness.patch(&only, "/v1/tenants/acme", change.clone()).await.refuses(403, "forbidden");
    }
    // Nor is a lock lifted by deleting the tenant and restoring it.
    harness.delete(&without, "/v1/tenants/acme").await.is(204);
    for change in [&active, &suspended] {
        harness.patch(&without, "/v1/tenants/acme", change.clone()).await.refuses(403, "forbidden");
    }
    harness.token(&service, "acme").await.refuses(404, "not_found");
    assert_eq!(harness.patch(&both, "/v1/tenants/acme", suspended).await.is(200)["state"], "suspended");
    assert_eq!(harness.patch(&both, "/v1/tenants/acme", active.clone()).await.is(200)["state"], "active");
    harness.token(&service, "acme").await.token();

    harness.lock_down(&both, "callers/portal").await.is(200);
    harness.patch(&without, "/v1/callers/portal", active.clone()).await.refuses(403, "forbidden");
    harness.token(&service, "acme").await.refuses(401, "unauthenticated");
    harness.patch(&both, "/v1/callers/portal", active).await.is(200);
    harness.token(&service, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn a_deleted_tenant_that_is_locked_is_not_restored_by_those_who_may_not_lift() {
    let (harness, service) = acme().await;
    let writer = admin(&harness, "writer", "acme", &["tenants:write", "tenants:delete"]).await;
    harness.delete(&writer, "/v1/tenants/acme").await.is(204);
    harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
    assert_eq!(harness.get(&harness.admin, "/v1/tenants/acme").await.is(200)["state"], "deleted");
    let active = json!({ "state": "active" });
    harness.patch(&writer, "/v1/tenants/acme", active.clone()).await.refuses(403, "forbidden");
    harness.token(&service, "acme").await.refuses(404, "not_found");
    harness.patch(&harness.admin, "/v1/tenants/acme", active).await.is(200);
    harness.token(&service, "acme").await.token();
    harness.end().await;
}

#[tokio::test]
async fn an_app_is_locked_and_lifted_by_lockdown_on_every_tenant() {
    let harness = Harness::new().await;
    let [north, _] = harness.two_on_one_app().await;
    let narrow = admin(&harness, "narrow", "north", &["lockdown"]).await;
    let writer = admin(&harness, "writer", "*", &["apps:write", "tenants:write"]).await;
    let locker = admin(&harness, "locker", "*", &["lockdown"]).await;
    harness.lock_down(&narrow, "apps/vendor").await.refuses(403, "forbidden");
    harness.lock_down(&writer, "apps/vendor").await.refuses(403, "forbidden");
    harness.lock_down(&locker, "apps/nobody").await.refuses(404, "not_found");
    harness.lock_down(&locker, "apps/vendor").await.is(200);
    for state in ["active", "suspended"] {
        let change = json!({ "state": state });
        harness.patch(&writer, "/v1/apps/vendor", change.clone()).await.refuses(403, "forbidden");
        harness.patch(&locker, "/v1/apps/vendor", change).await.refuses(403, "forbidden");
    }
    harness.token(&north, "north").await.refuses(403, "tenant_suspended");
    // A tenant's own app is locked through its tenant.
    let acme = harness.register("acme", &harness.apps.acme).await;
    let own = format!("apps/{}", acme["app"]["id"].as_str().unwrap());
    harness.lock_down(&harness.admin, &own).await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn a_delegated_admin_locks_and_lifts_nobody_stronger() {
    let (harness, portal) = acme().await;
    let grants = json!([{ "tenant": "acme", "permissions": ["lockdown", "callers:write", "tokens:mint"] }]);
    let delegate = harness.caller("delegate", "admin", grants).await;
    let weak = harness.service("weak", json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }])).await;
    let root = harness.get(&harness.admin, "/v1/whoami").await.is(200)["id"].as_str().unwrap().to_owned();
    // The service may have users' tokens, the delegate not; to it they are as absent as nobody.
    for stronger in ["portal", "root", &root, "nobody"] {
        harness.lock_down(&delegate, &format!("callers/{stronger}")).await.refuses(404, "not_found");
    }
    harness.token(&portal, "acme").await.token();
    harness.get(&harness.admin, "/v1/whoami").await.is(200);
    harness.lock_down(&harness.admin, "callers/portal").await.is(200);
    let active = json!({ "state": "active" });
    harness.patch(&delegate, "/v1/callers/portal", active.clone()).await.refuses(404, "not_found");
    harness.token(&portal, "acme").await.refuses(401, "unauthenticated");

    harness.lock_down(&delegate, "callers/weak").await.is(200);
    harness.token(&weak, "acme").await.refuses(401, "unauthenticated");
    harness.patch(&delegate, "/v1/callers/weak", active).await.is(200);
    harness.token(&weak, "acme").await.token();
    // Two grants are not mixed: one that gives `lockdown` covers nothing that another gives.
    let split = json!([
        { "tenant": "acme", "permissions": ["lockdown"] },
        { "tenant": "acme", "permissions": ["callers:write", "tokens:mint"] },
    ]);
    let split = harness.caller("split", "admin", split).await;
    harness.lock_down(&split, "callers/weak").await.refuses(404, "not_found");
    harness.end().await;
}

#[tokio::test]
async fn whoever_holds_a_stolen_key_can_lock_it_and_a_new_admin_lifts_it() {
    let (harness, _) = acme().await;
    assert_eq!(harness.lock_down(&harness.admin, "callers/root").await.is(200)["tokens"], 1);
    harness.get(&harness.admin, "/v1/whoami").await.refuses(401, "unauthenticated");
    let next = harness.new_admin("next").await;
    harness.patch(&next, "/v1/callers/root", json!({ "state": "active" })).await.is(200);
    harness.get(&harness.admin, "/v1/whoami").await.is(200);
    harness.end().await;
}

#[tokio::test]
async fn s5_a_lock_that_is_taken_away_by_hand_releases_nothing() {
    let mut scene = Scene::new().await;
    let [before, after] = ["acme", "strong"].map(|name| format!("name = '{name}'"));
    let edits = |table: &str, row: &str, column: &str| {
        let doc = "replace(replace(doc, '\"state\":\"locked\"', '\"state\":\"active\"'), ',\"locked_from\":\"active\"', '')";
        [
            format!("UPDATE {table} SET doc = {doc}{column} WHERE {row}"),
            format!("UPDATE {table} SET doc = replace(doc, 'locked', 'active') WHERE {row}"),
            format!("UPDATE {table} SET version = version - 1 WHERE {row}"),
        ]
    };
    scene.harness.lock_down(&scene.harness.admin, "tenants/acme").await.is(200);
    let mints = scene.harness.count("path=/oauth2/token").await;
    for edit in edits("tenants", &before, ", state = 'active'") {
        scene.harness.hand().does("CREATE TABLE kept AS SELECT * FROM tenants").await;
        scene.written(&edit).await;
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.written("DELETE FROM tenants").await;
        scene.written("INSERT INTO tenants SELECT * FROM kept").await;
        scene.harness.hand().does("DROP TABLE kept").await;
    }
    assert_eq!(scene.harness.count("path=/oauth2/token").await, mints);
    let active = json!({ "state": "active" });
    scene.harness.patch(&scene.harness.admin, "/v1/tenants/acme", active).await.is(200);
    scene.harness.lock_down(&scene.harness.admin, "callers/strong").await.is(200);
    let edits = edits("callers", &after, "");
    for edit in edits {
        scene.harness.hand().does("CREATE TABLE kept AS SELECT * FROM callers").await;
        scene.written(&edit).await;
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.written("DELETE FROM callers").await;
        scene.written("INSERT INTO callers SELECT * FROM kept").await;
        scene.harness.hand().does("DROP TABLE kept").await;
    }
    scene.fresh().await.refuses(401, "unauthenticated");
    scene.bystander_is_served().await;
    scene.end().await;
}

#[tokio::test]
async fn s5_a_token_whose_mark_is_taken_away_by_hand_is_never_served_again() {
    for what in ["callers/portal", "tenants/acme"] {
        let (mut harness, key) = acme().await;
        let other = harness.service("other", any_token("acme")).await;
        let old =
            [harness.token(&key, "acme").await.token(), harness.user_token(&key, "acme", ADA).await.token()];
        harness.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
        let toll: Value = harness.lock_down(&harness.admin, what).await.is(200);
        assert_eq!(toll["queued"], 2);
        harness.stop().await;
        assert_eq!(harness.hand().does("UPDATE tokens SET discarded = 0").await, 2);
        harness.start().await;
        if what == "tenants/acme" {
            harness.change_tenant("acme", json!({ "state": "active" })).await;
        }
        let new = [
            harness.token(&other, "acme").await.token(),
            harness.user_token(&other, "acme", ADA).await.token(),
        ];
        assert!(!new.contains(&old[0]) && !new.contains(&old[1]));
        // What was hidden so from the queue is revoked with the next lockdown.
        harness.heal().await;
        harness.lock_down(&harness.admin, "tenants/acme").await.is(200);
        for token in &old {
            assert!(!harness.is_alive(token).await);
        }
        assert_eq!(harness.lock_down(&harness.admin, "tenants/acme").await.is(200), all_dead(0));
        harness.end().await;
    }
}
