//! A hand in the database: whatever it writes, no token leaves by it, and nobody else notices.

use serde_json::{Value, json};

use crate::database::Hand;
use crate::ground::{ADA, Ground, NORTH, SOUTH, by_config};
use crate::reply::Reply;

/// Two tenants, and callers of different strength. The hand's edits are seen by a broker that
/// remembers nothing.
struct Scene {
    ground: Ground,
    acme: Value,
    globex: Value,
    /// May have downscoped tokens of `acme`.
    narrow: String,
    /// May have all tokens of `acme`.
    strong: String,
    /// May have all tokens of `globex`.
    bystander: String,
}

impl Scene {
    async fn new() -> Self {
        let ground = Ground::new().await;
        let acme = ground.register("acme", &ground.apps.acme).await;
        let globex = ground.register("globex", &ground.apps.globex).await;
        let all = |tenant: &str| json!([{ "tenant": tenant, "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
        let downscoped =
            json!([{ "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": ["item_preview"] }]);
        let narrow = ground.service("narrow", downscoped).await;
        let strong = ground.service("strong", all("acme")).await;
        let bystander = ground.service("bystander", all("globex")).await;
        Self { ground, acme, globex, narrow, strong, bystander }
    }

    /// The hand writes while nobody looks.
    async fn written(&mut self, sql: &str) {
        self.ground.stop().await;
        assert!(self.ground.hand().does(sql).await > 0, "{sql}");
        self.ground.start().await;
    }

    /// What acme's own caller gets, where it has to be minted.
    async fn fresh(&self) -> Reply {
        self.ground.user_token(&self.strong, "acme", ADA).await
    }

    async fn bystander_is_served(&self) {
        self.ground.token(&self.bystander, "globex").await.token();
        self.ground.user_token(&self.bystander, "globex", "10000002001").await.token();
    }

    async fn end(self) {
        self.ground.end().await;
    }

    fn id(side: &Value) -> &str {
        side["id"].as_str().unwrap()
    }

    fn app(side: &Value) -> &str {
        side["app"]["id"].as_str().unwrap()
    }
}

/// An edit of a text column.
fn replaced(table: &str, from: &str, to: &str, row: &str) -> String {
    format!("UPDATE {table} SET doc = replace(doc, '{from}', '{to}') WHERE {row} AND doc LIKE '%{from}%'")
}

/// Flips a bit in the middle of a sealed value.
fn flipped(hand: &Hand, table: &str, row: &str) -> String {
    match hand {
        // The byte becomes another one: SQLite has no operator that flips a bit of a blob.
        Hand::Sqlite(_) => format!(
            "UPDATE {table} SET sealed = CAST(substr(sealed, 1, 79) || CASE hex(substr(sealed, 80, 1))
             WHEN '00' THEN x'01' ELSE x'00' END || substr(sealed, 81) AS BLOB) WHERE {row}"
        ),
        Hand::Postgres(_) => {
            format!("UPDATE {table} SET sealed = set_byte(sealed, 79, get_byte(sealed, 79) # 1) WHERE {row}")
        }
    }
}

#[tokio::test]
async fn s5_a_wider_grant_releases_nothing() {
    let mut scene = Scene::new().await;
    scene.ground.token(&scene.narrow, "acme").await.refuses(403, "forbidden");
    scene.written(&replaced("callers", "\"tokens:downscope\"", "\"tokens:mint\"", "name = 'narrow'")).await;
    scene.ground.token(&scene.narrow, "acme").await.refuses(500, "sealed_data_refused");
    let scopes = json!({ "scopes": ["item_preview"] });
    scene.ground.downscoped(&scene.narrow, "acme", scopes).await.refuses(500, "sealed_data_refused");
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
        scene.ground.token(&scene.strong, tenant).await.refuses(500, "sealed_data_refused");
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
    scene.ground.token(&scene.narrow, "acme").await.refuses(401, "unauthenticated");
    scene.ground.get(&scene.narrow, "/v1/whoami").await.refuses(401, "unauthenticated");
    scene.fresh().await.token();
    scene.end().await;
}

#[tokio::test]
async fn s5_a_key_put_into_a_callers_row_opens_nothing() {
    let mut scene = Scene::new().await;
    // The narrow caller's whole list of keys, written into the admin's row.
    let doc = async |name: &str| {
        let doc = scene.ground.hand().reads(&format!("SELECT doc FROM callers WHERE name = '{name}'")).await;
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
    for key in [&scene.narrow, &scene.ground.admin] {
        scene.ground.get(key, "/v1/tenants/acme").await.refuses(500, "sealed_data_refused");
        scene.ground.token(key, "acme").await.refuses(500, "sealed_data_refused");
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
        let mints = scene.ground.count("path=/oauth2/token").await;
        scene.written(&there).await;
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.ground.token(&scene.strong, "acme").await.refuses(500, "sealed_data_refused");
        assert_eq!(scene.ground.count("path=/oauth2/token").await, mints, "{there}");
        scene.bystander_is_served().await;
        scene.written(&back).await;
        scene.ground.token(&scene.strong, "acme").await.token();
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
        scene.ground.patch(&scene.ground.admin, "/v1/tenants/acme", patch.clone()).await.is(200);
        scene.ground.hand().does("CREATE TABLE kept AS SELECT * FROM tenants").await;
        scene.ground.token(&scene.strong, "acme").await.is(403);
        scene.written(&lifted).await;
        scene.ground.token(&scene.strong, "acme").await.refuses(500, "sealed_data_refused");
        scene.fresh().await.refuses(500, "sealed_data_refused");
        scene.bystander_is_served().await;
        scene.written("DELETE FROM tenants").await;
        scene.written("INSERT INTO tenants SELECT * FROM kept").await;
        scene.ground.hand().does("DROP TABLE kept").await;
        let free = json!({ "policy": null, "state": "active" });
        scene.ground.patch(&scene.ground.admin, "/v1/tenants/acme", free).await.is(200);
    }
    scene.end().await;
}

#[tokio::test]
async fn s5_a_tenant_put_in_from_outside_is_nobodys() {
    let mut scene = Scene::new().await;
    let copied = format!(
        "INSERT INTO tenants SELECT 'ten_forged', 'forged', app_id, '1', state, purge_at, version,
         replace(replace(doc, '{}', 'ten_forged'), '\"acme\"', '\"forged\"'), mac_key, mac
         FROM tenants WHERE name = 'acme'",
        Scene::id(&scene.acme)
    );
    scene.written(&copied).await;
    let every =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let every = scene.ground.service("every", every).await;
    for name in ["forged", "ten_forged"] {
        scene.ground.token(&every, name).await.refuses(500, "sealed_data_refused");
        scene.ground.user_token(&every, name, ADA).await.refuses(500, "sealed_data_refused");
        // Who has no grant on everything learns nothing but that the row is there.
        assert!(scene.ground.token(&scene.strong, name).await.status >= 400);
    }
    let listed = scene.ground.get(&scene.ground.admin, "/v1/tenants").await.is(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);
    scene.fresh().await.token();
    scene.bystander_is_served().await;
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
        scene.ground.hand().does(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await;
        scene.written(&format!("DELETE FROM {table} WHERE {row}")).await;
        scene.fresh().await.refuses(status, code);
        scene.bystander_is_served().await;
        scene.written(&format!("DELETE FROM {table}")).await;
        scene.written(&format!("INSERT INTO {table} SELECT * FROM kept")).await;
        scene.ground.hand().does("DROP TABLE kept").await;
        scene.ground.token(&scene.strong, "acme").await.token();
    }
    scene.end().await;
}

#[tokio::test]
async fn s2_damaged_or_swapped_credentials_sign_nothing() {
    let mut scene = Scene::new().await;
    let (own, other) = (Scene::app(&scene.acme).to_owned(), Scene::app(&scene.globex).to_owned());
    let sql = flipped(scene.ground.hand(), "credentials", &format!("app_id = '{own}'"));
    scene.ground.hand().does("CREATE TABLE kept AS SELECT * FROM credentials").await;
    let foreign = format!(
        "UPDATE credentials SET sealed = (SELECT sealed FROM kept WHERE app_id = '{other}') WHERE app_id = '{own}'"
    );
    for sql in [sql, foreign] {
        let asked = scene.ground.count("path=/oauth2/token").await;
        scene.written(&sql).await;
        let problem = scene.fresh().await.refuses(500, "sealed_data_refused");
        assert_eq!(problem["scope"], "tenant");
        assert_eq!(scene.ground.count("path=/oauth2/token").await, asked, "{sql}");
        scene.bystander_is_served().await;
        let test =
            scene.ground.call(&scene.ground.admin, "POST", "/v1/tenants/acme/test", None).await.is(200);
        assert_eq!(test["diagnosis"][1]["code"], "sealed_data_refused");
        // What is warm is no part of the damage.
        scene.ground.token(&scene.strong, "acme").await.token();
        scene.written("DELETE FROM credentials").await;
        scene.written("INSERT INTO credentials SELECT * FROM kept").await;
    }
    scene.fresh().await.token();
    scene.end().await;
}

#[tokio::test]
async fn s3_damaged_or_swapped_tokens_are_minted_anew() {
    let mut scene = Scene::new().await;
    let kept = scene.ground.token(&scene.strong, "acme").await.token();
    let others = scene.ground.token(&scene.bystander, "globex").await.token();
    let (acme, globex) = (Scene::id(&scene.acme).to_owned(), Scene::id(&scene.globex).to_owned());
    scene.ground.restart().await;
    assert_eq!(scene.ground.token(&scene.strong, "acme").await.token(), kept, "rows outlive the process");
    scene.ground.hand().does("CREATE TABLE kept AS SELECT * FROM tokens WHERE discarded = 0").await;
    let from = |column: &str| format!("{column} = (SELECT {column} FROM kept WHERE tenant_id = '{globex}')");
    let all = ["tenant_id", "app_id", "key_digest", "generation"].map(|column| {
        let own = format!("{column} = (SELECT {column} FROM kept WHERE tenant_id = '{acme}')");
        own
    });
    for sql in [
        flipped(scene.ground.hand(), "tokens", &format!("tenant_id = '{acme}'")),
        format!("UPDATE tokens SET {} WHERE tenant_id = '{acme}'", from("sealed")),
        format!(
            "UPDATE tokens SET {}, {}, {} WHERE tenant_id = '{acme}'",
            from("sealed"),
            from("mac"),
            from("mac_key")
        ),
        format!("UPDATE tokens SET expires_at = expires_at + 1 WHERE tenant_id = '{acme}'"),
        // The other tenant's token, filed as acme's.
        format!(
            "DELETE FROM tokens WHERE tenant_id = '{acme}'; UPDATE tokens SET {} WHERE tenant_id = '{globex}'",
            all.join(", ")
        ),
    ] {
        scene.written(&sql).await;
        let given = scene.ground.token(&scene.strong, "acme").await.token();
        assert!(given != kept && given != others, "{sql}");
        assert_eq!(scene.ground.at_box(&given, "/2.0/users/me").await, 200);
        let theirs = scene.ground.token(&scene.bystander, "globex").await.token();
        assert!(theirs != given && theirs != kept, "{sql}");
        scene.written("DELETE FROM tokens").await;
        scene.written("INSERT INTO tokens SELECT * FROM kept").await;
    }
    assert_eq!(scene.ground.token(&scene.strong, "acme").await.token(), kept);
    scene.end().await;
}

#[tokio::test]
async fn s5_one_tenant_of_a_shared_app_is_not_made_another() {
    let mut ground = Ground::new().await;
    let config = by_config("", &ground.apps.portal)["config"].clone();
    ground.post(&ground.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
        let body = json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
        ground.post(&ground.admin, "/v1/tenants", body).await.is(201);
    }
    let north = json!([{ "tenant": "north", "permissions": ["tokens:mint"] }]);
    let north = ground.service("north", north).await;
    let souths = ground.count(&format!("subject=enterprise:{SOUTH}")).await;
    ground.stop().await;
    // The two rows change places: names and ids stay, what they decide is the other's.
    ground.hand().does("CREATE TABLE kept AS SELECT * FROM tenants").await;
    for (one, other) in [("north", "south"), ("south", "north")] {
        for column in ["doc", "mac", "mac_key"] {
            let from = format!("(SELECT {column} FROM kept WHERE name = '{other}')");
            ground.hand().does(&format!("UPDATE tenants SET {column} = {from} WHERE name = '{one}'")).await;
        }
    }
    ground.start().await;
    ground.token(&north, "north").await.refuses(500, "sealed_data_refused");
    assert_eq!(ground.count(&format!("subject=enterprise:{SOUTH}")).await, souths);
    ground.end().await;
}
