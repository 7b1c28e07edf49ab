//! Who may lock and who may lift, and that no hand in the database lifts anything.

use serde_json::{Value, json};

use crate::asking::{acme, any_token};
use crate::ground::{ADA, Ground};
use crate::lockdown::all_dead;
use crate::scene::Scene;

/// An admin of a tenant with these permissions, and all of its subjects.
async fn admin(ground: &Ground, name: &str, tenant: &str, permissions: &[&str]) -> String {
    let subjects = ["enterprise", "user:*"];
    let grant = json!({ "tenant": tenant, "permissions": permissions, "subjects": subjects });
    ground.caller(name, "admin", json!([grant])).await
}

#[tokio::test]
async fn locking_needs_its_own_permission_and_so_does_lifting() {
    let (ground, service) = acme().await;
    let all_but = [
        "tenants:read",
        "tenants:write",
        "tenants:delete",
        "callers:write",
        "tokens:mint",
        "tenants:credentials",
    ];
    let without = admin(&ground, "without", "acme", &all_but).await;
    let only = admin(&ground, "only", "acme", &["lockdown", "tenants:read"]).await;
    let both =
        admin(&ground, "both", "acme", &["lockdown", "tenants:write", "tokens:mint", "callers:write"]).await;
    ground.register("globex", &ground.apps.globex).await;
    let foreign = admin(&ground, "foreign", "globex", &["lockdown", "tokens:mint", "callers:write"]).await;
    for key in [&without, &service] {
        ground.lock_down(key, "tenants/acme").await.refuses(403, "forbidden");
        ground.lock_down(key, "callers/portal").await.refuses(403, "forbidden");
    }
    ground.lock_down(&foreign, "tenants/acme").await.refuses(404, "not_found");
    ground.lock_down(&foreign, "callers/portal").await.refuses(404, "not_found");
    ground.token(&service, "acme").await.token();

    let (active, suspended) = (json!({ "state": "active" }), json!({ "state": "suspended" }));
    ground.lock_down(&only, "tenants/acme").await.is(200);
    for change in [&active, &suspended] {
        ground.patch(&without, "/v1/tenants/acme", change.clone()).await.refuses(403, "forbidden");
        ground.patch(&only, "/v1/tenants/acme", change.clone()).await.refuses(403, "forbidden");
    }
    // Nor is a lock lifted by deleting the tenant and restoring it.
    ground.delete(&without, "/v1/tenants/acme").await.is(204);
    for change in [&active, &suspended] {
        ground.patch(&without, "/v1/tenants/acme", change.clone()).await.refuses(403, "forbidden");
    }
    ground.token(&service, "acme").await.refuses(404, "not_found");
    assert_eq!(ground.patch(&both, "/v1/tenants/acme", suspended).await.is(200)["state"], "suspended");
    assert_eq!(ground.patch(&both, "/v1/tenants/acme", active.clone()).await.is(200)["state"], "active");
    ground.token(&service, "acme").await.token();

    ground.lock_down(&both, "callers/portal").await.is(200);
    ground.patch(&without, "/v1/callers/portal", active.clone()).await.refuses(403, "forbidden");
    ground.token(&service, "acme").await.refuses(401, "unauthenticated");
    ground.patch(&both, "/v1/callers/portal", active).await.is(200);
    ground.token(&service, "acme").await.token();
    ground.end().await;
}

#[tokio::test]
async fn a_deleted_tenant_that_is_locked_is_not_restored_by_those_who_may_not_lift() {
    let (ground, service) = acme().await;
    let writer = admin(&ground, "writer", "acme", &["tenants:write", "tenants:delete"]).await;
    ground.delete(&writer, "/v1/tenants/acme").await.is(204);
    ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
    assert_eq!(ground.get(&ground.admin, "/v1/tenants/acme").await.is(200)["state"], "deleted");
    let active = json!({ "state": "active" });
    ground.patch(&writer, "/v1/tenants/acme", active.clone()).await.refuses(403, "forbidden");
    ground.token(&service, "acme").await.refuses(404, "not_found");
    ground.patch(&ground.admin, "/v1/tenants/acme", active).await.is(200);
    ground.token(&service, "acme").await.token();
    ground.end().await;
}

#[tokio::test]
async fn an_app_is_locked_and_lifted_by_lockdown_on_every_tenant() {
    let ground = Ground::new().await;
    let [north, _] = ground.two_on_one_app().await;
    let narrow = admin(&ground, "narrow", "north", &["lockdown"]).await;
    let writer = admin(&ground, "writer", "*", &["apps:write", "tenants:write"]).await;
    let locker = admin(&ground, "locker", "*", &["lockdown"]).await;
    ground.lock_down(&narrow, "apps/vendor").await.refuses(403, "forbidden");
    ground.lock_down(&writer, "apps/vendor").await.refuses(403, "forbidden");
    ground.lock_down(&locker, "apps/nobody").await.refuses(404, "not_found");
    ground.lock_down(&locker, "apps/vendor").await.is(200);
    for state in ["active", "suspended"] {
        let change = json!({ "state": state });
        ground.patch(&writer, "/v1/apps/vendor", change.clone()).await.refuses(403, "forbidden");
        ground.patch(&locker, "/v1/apps/vendor", change).await.refuses(403, "forbidden");
    }
    ground.token(&north, "north").await.refuses(403, "tenant_suspended");
    // A tenant's own app is locked through its tenant.
    let acme = ground.register("acme", &ground.apps.acme).await;
    let own = format!("apps/{}", acme["app"]["id"].as_str().unwrap());
    ground.lock_down(&ground.admin, &own).await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn a_delegated_admin_locks_and_lifts_nobody_stronger() {
    let (ground, portal) = acme().await;
    let grants = json!([{ "tenant": "acme", "permissions": ["lockdown", "callers:write", "tokens:mint"] }]);
    let delegate = ground.caller("delegate", "admin", grants).await;
    let weak = ground.service("weak", json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }])).await;
    let root = ground.get(&ground.admin, "/v1/whoami").await.is(200)["id"].as_str().unwrap().to_owned();
    // The service may have users' tokens, the delegate not; to it they are as absent as nobody.
    for stronger in ["portal", "root", &root, "nobody"] {
        ground.lock_down(&delegate, &format!("callers/{stronger}")).await.refuses(404, "not_found");
    }
    ground.token(&portal, "acme").await.token();
    ground.get(&ground.admin, "/v1/whoami").await.is(200);
    ground.lock_down(&ground.admin, "callers/portal").await.is(200);
    let active = json!({ "state": "active" });
    ground.patch(&delegate, "/v1/callers/portal", active.clone()).await.refuses(404, "not_found");
    ground.token(&portal, "acme").await.refuses(401, "unauthenticated");

    ground.lock_down(&delegate, "callers/weak").await.is(200);
    ground.token(&weak, "acme").await.refuses(401, "unauthenticated");
    ground.patch(&delegate, "/v1/callers/weak", active).await.is(200);
    ground.token(&weak, "acme").await.token();
    // Two grants are not mixed: one that gives `lockdown` covers nothing that another gives.
    let split = json!([
        { "tenant": "acme", "permissions": ["lockdown"] },
        { "tenant": "acme", "permissions": ["callers:write", "tokens:mint"] },
    ]);
    let split = ground.caller("split", "admin", split).await;
    ground.lock_down(&split, "callers/weak").await.refuses(404, "not_found");
    ground.end().await;
}

#[tokio::test]
async fn whoever_holds_a_stolen_key_can_lock_it_and_a_new_admin_lifts_it() {
    let (ground, _) = acme().await;
    assert_eq!(ground.lock_down(&ground.admin, "callers/root").await.is(200)["tokens"], 1);
    ground.get(&ground.admin, "/v1/whoami").await.refuses(401, "unauthenticated");
    let next = ground.new_admin("next").await;
    ground.patch(&next, "/v1/callers/root", json!({ "state": "active" })).await.is(200);
    ground.get(&ground.admin, "/v1/whoami").await.is(200);
    ground.end().await;
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
    scene.ground.lock_down(&scene.ground.admin, "tenants/acme").await.is(200);
    let mints = scene.ground.count("path=/oauth2/token").await;
    for edit in edits("tenants", &before, ", state = 'active'") {
        scene.ground.hand().does("CREATE TABLE kept AS SELECT * FROM tenants").await;
        scene.written(&edit).await;
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.written("DELETE FROM tenants").await;
        scene.written("INSERT INTO tenants SELECT * FROM kept").await;
        scene.ground.hand().does("DROP TABLE kept").await;
    }
    assert_eq!(scene.ground.count("path=/oauth2/token").await, mints);
    let active = json!({ "state": "active" });
    scene.ground.patch(&scene.ground.admin, "/v1/tenants/acme", active).await.is(200);
    scene.ground.lock_down(&scene.ground.admin, "callers/strong").await.is(200);
    let edits = edits("callers", &after, "");
    for edit in edits {
        scene.ground.hand().does("CREATE TABLE kept AS SELECT * FROM callers").await;
        scene.written(&edit).await;
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.written("DELETE FROM callers").await;
        scene.written("INSERT INTO callers SELECT * FROM kept").await;
        scene.ground.hand().does("DROP TABLE kept").await;
    }
    scene.fresh().await.refuses(401, "unauthenticated");
    scene.bystander_is_served().await;
    scene.end().await;
}

#[tokio::test]
async fn s5_a_token_whose_mark_is_taken_away_by_hand_is_never_served_again() {
    for what in ["callers/portal", "tenants/acme"] {
        let (mut ground, key) = acme().await;
        let other = ground.service("other", any_token("acme")).await;
        let old =
            [ground.token(&key, "acme").await.token(), ground.user_token(&key, "acme", ADA).await.token()];
        ground.fault(json!({ "select": { "path": "/oauth2/revoke" }, "effect": { "status": 503 } })).await;
        let toll: Value = ground.lock_down(&ground.admin, what).await.is(200);
        assert_eq!(toll["queued"], 2);
        ground.stop().await;
        assert_eq!(ground.hand().does("UPDATE tokens SET discarded = 0").await, 2);
        ground.start().await;
        if what == "tenants/acme" {
            ground.change_tenant("acme", json!({ "state": "active" })).await;
        }
        let new = [
            ground.token(&other, "acme").await.token(),
            ground.user_token(&other, "acme", ADA).await.token(),
        ];
        assert!(!new.contains(&old[0]) && !new.contains(&old[1]));
        // What was hidden so from the queue is revoked with the next lockdown.
        ground.heal().await;
        ground.lock_down(&ground.admin, "tenants/acme").await.is(200);
        for token in &old {
            assert!(!ground.is_alive(token).await);
        }
        assert_eq!(ground.lock_down(&ground.admin, "tenants/acme").await.is(200), all_dead(0));
        ground.end().await;
    }
}
