//! A hand in the database: whatever it writes, no token leaves by it, and nobody else notices.

use serde_json::{Value, json};

use crate::harness::{Harness, NORTH, SOUTH, by_config};
use crate::tampering_fixture::Scene;

/// An edit of a text column.
fn replaced(table: &str, from: &str, to: &str, row: &str) -> String {
    format!("UPDATE {table} SET doc = replace(doc, '{from}', '{to}') WHERE {row} AND doc LIKE '%{from}%'")
}

#[tokio::test]
async fn s5_a_wider_grant_releases_nothing() {
    let mut scene = Scene::new().await;
    scene.harness.token(&scene.narrow, "acme").await.refuses(403, "forbidden");
    scene.written(&replaced("callers", "\"tokens:downscope\"", "\"tokens:mint\"", "name = 'narrow'")).await;
    scene.harness.token(&scene.narrow, "acme").await.refuses(500, "sealed_data_refused");
    let scopes = json!({ "scopes": ["item_preview"] });
    scene.harness.downscoped(&scene.narrow, "acme", scopes).await.refuses(500, "sealed_data_refused");
    scene.fresh().await.token();
    scene.bystander_is_served().await;
    scene.end().await;
}

#[tokio::test]
async fn s5_a_grant_pointed_at_another_tenant_releases_nothing() {
    let mut scene = Scene::new().await;
    let (from, to) = (Scene::id(&scene.acme).to_owned(), Scene::id(&scene.globex).to_owned());
    scene.written(&replaced("callers", &from, &to, "name = 'strong'")).await;
    for tenant in ["acme", "globex"] {
        scene.harness.token(&scene.strong, tenant).await.refuses(500, "sealed_data_refused");
    }
    scene.bystander_is_served().await;
    scene.end().await;
}

#[tokio::test]
async fn s5_a_key_led_to_a_stronger_caller_opens_nothing() {
    let mut scene = Scene::new().await;
    let id = "(SELECT id FROM callers WHERE name = '{}')";
    let led = format!(
        "UPDATE api_keys SET caller_id = {} WHERE caller_id = {}",
        id.replace("{}", "root"),
        id.replace("{}", "narrow")
    );
    scene.written(&led).await;
    scene.harness.token(&scene.narrow, "acme").await.refuses(401, "unauthenticated");
    scene.harness.get(&scene.narrow, "/v1/whoami").await.refuses(401, "unauthenticated");
    scene.fresh().await.token();
    scene.end().await;
}

#[tokio::test]
async fn s5_a_key_put_into_a_callers_row_opens_nothing() {
    let mut scene = Scene::new().await;
    // The narrow caller's whole list of keys, written into the admin's row.
    let doc = async |name: &str| {
        let doc = scene.harness.hand().reads(&format!("SELECT doc FROM callers WHERE name = '{name}'")).await;
        serde_json::from_str::<Value>(&doc[0]).unwrap()
    };
    let (mut root, narrow) = (doc("root").await, doc("narrow").await);
    root["keys"] = narrow["keys"].clone();
    let key = narrow["keys"][0]["id"].as_str().unwrap();
    let forged = format!(
        "UPDATE callers SET doc = '{root}' WHERE name = 'root'; UPDATE api_keys SET caller_id =
         (SELECT id FROM callers WHERE name = 'root') WHERE key_id = '{key}'"
    );
    scene.written(&forged).await;
    for key in [&scene.narrow, &scene.harness.admin] {
        scene.harness.get(key, "/v1/tenants/acme").await.refuses(500, "sealed_data_refused");
        scene.harness.token(key, "acme").await.refuses(500, "sealed_data_refused");
    }
    scene.bystander_is_served().await;
    scene.end().await;
}

#[tokio::test]
async fn s5_a_tenant_pointed_at_another_app_or_enterprise_releases_nothing() {
    let mut scene = Scene::new().await;
    let (own, other) = (Scene::app(&scene.acme).to_owned(), Scene::app(&scene.globex).to_owned());
    let acme = format!("id = '{}'", Scene::id(&scene.acme));
    for (there, back) in [
        (
            format!("UPDATE tenants SET app_id = '{other}' WHERE {acme}"),
            format!("UPDATE tenants SET app_id = '{own}' WHERE {acme}"),
        ),
        (replaced("tenants", &own, &other, &acme), replaced("tenants", &other, &own, &acme)),
        (
            format!(
                "UPDATE tenants SET app_id = '{other}', doc = replace(doc, '{own}', '{other}') WHERE {acme}"
            ),
            format!(
                "UPDATE tenants SET app_id = '{own}', doc = replace(doc, '{other}', '{own}') WHERE {acme}"
            ),
        ),
        (
            format!(
                "UPDATE tenants SET enterprise_id = '2002', doc = replace(doc, '\"1001\"', '\"2002\"') WHERE {acme}"
            ),
            format!(
                "UPDATE tenants SET enterprise_id = '1001', doc = replace(doc, '\"2002\"', '\"1001\"') WHERE {acme}"
            ),
        ),
        (
            replaced("apps", Scene::id(&scene.acme), Scene::id(&scene.globex), &format!("id = '{own}'")),
            replaced("apps", Scene::id(&scene.globex), Scene::id(&scene.acme), &format!("id = '{own}'")),
        ),
    ] {
        let mints = scene.harness.count("path=/oauth2/token").await;
        scene.written(&there).await;
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.harness.token(&scene.strong, "acme").await.refuses(500, "sealed_data_refused");
        assert_eq!(scene.harness.count("path=/oauth2/token").await, mints, "{there}");
        scene.bystander_is_served().await;
        scene.written(&back).await;
        scene.harness.token(&scene.strong, "acme").await.token();
    }
    scene.end().await;
}

#[tokio::test]
async fn s5_a_widened_policy_or_a_lifted_suspension_releases_nothing() {
    let mut scene = Scene::new().await;
    let acme = "name = 'acme'";
    for (patch, lifted) in [
        (
            json!({ "policy": { "full_tokens": false } }),
            replaced("tenants", "\"full_tokens\":false", "\"full_tokens\":true", acme),
        ),
        (json!({ "policy": { "subjects": ["user:7"] } }), replaced("tenants", "user:7", "user:*", acme)),
        (json!({ "state": "suspended" }), replaced("tenants", "suspended", "active", acme)),
        (json!({ "state": "suspended" }), format!("UPDATE tenants SET state = 'active' WHERE {acme}")),
        (
            json!({ "state": "suspended" }),
            format!(
                "UPDATE tenants SET state = 'active', doc = replace(doc, 'suspended', 'active') WHERE {acme}"
            ),
        ),
    ] {
        scene.harness.patch(&scene.harness.admin, "/v1/tenants/acme", patch.clone()).await.is(200);
        scene.harness.hand().does("CREATE TABLE kept AS SELECT * FROM tenants").await;
        scene.harness.token(&scene.strong, "acme").await.is(403);
        scene.written(&lifted).await;
        scene.harness.token(&scene.strong, "acme").await.refuses(500, "sealed_data_refused");
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.bystander_is_served().await;
        scene.written("DELETE FROM tenants").await;
        scene.written("INSERT INTO tenants SELECT * FROM kept").await;
        scene.harness.hand().does("DROP TABLE kept").await;
        let free = json!({ "policy": null, "state": "active" });
        scene.harness.patch(&scene.harness.admin, "/v1/tenants/acme", free).await.is(200);
    }
    scene.end().await;
}

#[tokio::test]
async fn s5_a_deleted_row_never_permits() {
    let mut scene = Scene::new().await;
    let (acme, app) = (Scene::id(&scene.acme).to_owned(), Scene::app(&scene.acme).to_owned());
    let strong = "(SELECT id FROM callers WHERE name = 'strong')";
    for (table, row, status, code) in [
        ("tenants", format!("id = '{acme}'"), 404, "not_found"),
        ("apps", format!("id = '{app}'"), 500, "sealed_data_refused"),
        ("credentials", format!("app_id = '{app}'"), 500, "sealed_data_refused"),
        ("api_keys", format!("caller_id = {strong}"), 401, "unauthenticated"),
        ("callers", "name = 'strong'".to_owned(), 401, "unauthenticated"),
    ] {
        scene.harness.hand().does(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
        scene.written(&format!("DELETE FROM {table} WHERE {row}")).await;
        scene.fresh().await.refuses(status, code);
        scene.bystander_is_served().await;
        scene.written(&format!("DELETE FROM {table}")).await;
        scene.written(&format!("INSERT INTO {table} SELECT * FROM kept")).await;
        scene.harness.hand().does("DROP TABLE kept").await;
        scene.harness.token(&scene.strong, "acme").await.token();
    }
    scene.end().await;
}

#[tokio::test]
async fn s5_one_tenant_of_a_shared_app_is_not_made_another() {
    let mut harness = Harness::new().await;
    let config = by_config("", &harness.apps.portal)["config"].clone();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
        harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    }
    let north = json!([{ "tenant": "north", "permissions": ["tokens:mint"] }]);
    let north = harness.service("north", north).await;
    let souths = harness.count(&format!("subject=enterprise:{SOUTH}")).await;
    harness.stop().await;
    // The two rows change places: names and ids stay, what they decide is the other's.
    harness.hand().does("CREATE TABLE kept AS SELECT * FROM tenants").await;
    for (one, other) in [("north", "south"), ("south", "north")] {
        for column in ["doc", "mac", "mac_key"] {
            let from = format!("(SELECT {column} FROM kept WHERE name = '{other}')");
            harness.hand().does(&format!("UPDATE tenants SET {column} = {from} WHERE name = '{one}'")).await;
        }
    }
    harness.start().await;
    harness.token(&north, "north").await.refuses(500, "sealed_data_refused");
    assert_eq!(harness.count(&format!("subject=enterprise:{SOUTH}")).await, souths);
    harness.end().await;
}

#[tokio::test]
async fn s5_a_tenant_put_in_from_outside_is_nobodys() {
    let mut harness = Harness::new().await;
    let config = by_config("", &harness.apps.portal)["config"].clone();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    let north = json!({ "tenant": "north", "app": "portal", "enterprise_id": NORTH });
    let north = harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
    let every =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let every = harness.service("every", every).await;
    harness.stop().await;
    // A copy of a good row that agrees with itself in everything: Box would give tokens for it.
    let copied = format!(
        "INSERT INTO tenants SELECT 'ten_forged', 'forged', app_id, '{SOUTH}', state, purge_at, version,
         replace(replace(replace(doc, '{}', 'ten_forged'), '\"north\"', '\"forged\"'), '\"{NORTH}\"', '\"{SOUTH}\"'),
         mac_key, mac FROM tenants WHERE name = 'north'",
        Scene::id(&north)
    );
    assert_eq!(harness.hand().does(&copied).await, 1);
    harness.start().await;
    for name in ["forged", "ten_forged"] {
        harness.token(&every, name).await.refuses(500, "sealed_data_refused");
        harness.user_token(&every, name, "10000004001").await.refuses(500, "sealed_data_refused");
        harness.get(&harness.admin, &format!("/v1/tenants/{name}")).await.refuses(500, "sealed_data_refused");
    }
    assert_eq!(harness.count(&format!("subject=enterprise:{SOUTH}")).await, 0);
    let listed = harness.get(&harness.admin, "/v1/tenants").await.is(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
    harness.token(&every, "north").await.token();
    harness.end().await;
}
