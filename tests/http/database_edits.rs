//! Every table that decides something, column by column: whatever one statement of a hand in the
//! database does to it, nobody is given what they were refused, and what is refused is told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::database::{Hand, Holds};
use crate::harness::{ACME, ADA, Harness, NORTH, SOUTH, by_config};
use crate::registration::shared_app;
use crate::response::Reply;
use crate::token_requests::any_token;

/// What is logged, for a test that runs on one thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Everything that is logged on this thread while the guards live, without colours.
    fn begin() -> (Self, tracing::subscriber::DefaultGuard, tracing::Dispatch) {
        let log = Self::default();
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone());
        let guard = tracing::subscriber::set_default(lines.finish());
        // While there is one subscriber alone, a line that another thread comes to first, where nobody
        // listens, is taken for one that nobody wants.
        let second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(std::io::sink).finish());
        (log, guard, second)
    }

    /// The lines since the last time.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

/// Somebody who asks for a token.
struct Ask {
    who: &'static str,
    key: String,
    tenant: &'static str,
    body: Value,
}

/// Customers in every state that a hand might want to change, and callers who are refused by each rule.
struct Scene {
    harness: Harness,
    asks: Vec<Ask>,
    /// What each ask is answered while nobody meddles: how Box tells of the token, or nothing.
    given: Vec<Option<Value>>,
    ids: BTreeMap<String, String>,
}

fn one(tenant: &str, rest: Value) -> Value {
    let mut grant = json!({ "tenant": tenant, "permissions": ["tokens:mint"] });
    grant.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    json!([grant])
}

impl Scene {
    async fn new() -> Self {
        let harness = Harness::new().await;
        let mut ids = BTreeMap::new();
        for (tenant, app) in [("acme", &harness.apps.acme), ("globex", &harness.apps.globex)] {
            let told = harness.register(tenant, app).await;
            ids.insert(tenant.to_owned(), told["id"].as_str().unwrap().to_owned());
            ids.insert(format!("{tenant}'s app"), told["app"]["id"].as_str().unwrap().to_owned());
        }
        ids.insert("portal".to_owned(), shared_app(&harness).await["id"].as_str().unwrap().to_owned());
        for (tenant, enterprise) in [("north", NORTH), ("south", SOUTH)] {
            let body = json!({ "tenant": tenant, "app": "portal", "enterprise_id": enterprise });
            let told = harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
            ids.insert(tenant.to_owned(), told["id"].as_str().unwrap().to_owned());
        }
        harness.call(&harness.admin, "POST", "/v1/tenants/acme/keypairs", None).await.is(201);
        let config = by_config("", &harness.apps.ccg)["config"].clone();
        let vendor = json!({ "app": "vendor", "config": config, "auth": "ccg" });
        harness.post(&harness.admin, "/v1/apps", vendor).await.is(201);
        let west = json!({ "tenant": "west", "app": "vendor", "enterprise_id": ACME });
        harness.post(&harness.admin, "/v1/tenants", west).await.is(201);
        let asks = asks(&harness).await;
        harness.patch(&harness.admin, "/v1/apps/vendor", json!({ "state": "suspended" })).await.is(200);
        harness.change_tenant("north", json!({ "state": "suspended" })).await;
        harness.change_tenant("south", json!({ "policy": { "full_tokens": false } })).await;
        let mut scene = Self { harness, asks, given: Vec::new(), ids };
        scene.given = scene.answers().await.into_iter().map(|(_, told)| told).collect();
        let served = scene.given.iter().filter(|told| told.is_some()).count();
        assert_eq!((served, scene.given.len()), (6, 18), "{:#?}", scene.given);
        scene
    }

    /// What everybody is answered, and what Box knows of the tokens that are given.
    async fn answers(&self) -> Vec<(Reply, Option<Value>)> {
        let mut answers = Vec::new();
        for ask in &self.asks {
            let kind = if ask.body.get("scopes").is_some() { "token/downscoped" } else { "token" };
            let path = format!("/v1/tenants/{}/{kind}", ask.tenant);
            let reply = self.harness.post(&ask.key, &path, ask.body.clone()).await;
            let told = match reply.status {
                200 => {
                    let mut told =
                        self.harness.known_at_box(reply.body["access_token"].as_str().unwrap()).await;
                    // Each is another token for the same; and one whose row is put back may be dead.
                    for field in ["expires_at", "parent", "live"] {
                        told.as_object_mut().unwrap().remove(field);
                    }
                    Some(told)
                }
                _ => None,
            };
            answers.push((reply, told));
        }
        answers
    }
}

async fn asks(harness: &Harness) -> Vec<Ask> {
    let narrow = json!({ "permissions": ["tokens:downscope"], "scopes": ["item_preview"] });
    let narrow = harness.service("narrow", one("acme", narrow)).await;
    let strong = harness.service("strong", any_token("acme")).await;
    let enterprise = harness.service("enterprise", one("globex", json!({}))).await;
    let every = harness.service("every", any_token("*")).await;
    let labelled = json!([{ "labels": { "tier": "gold" }, "permissions": ["tokens:mint"] }]);
    let labelled = harness.service("labelled", labelled).await;
    let locked = harness.service("locked", any_token("acme")).await;
    harness.post(&harness.admin, "/v1/callers/locked/lockdown", json!({})).await.is(200);
    let until = json!({ "expires_at": "2026-01-02T03:05:00Z" });
    let expired = harness.post(&harness.admin, "/v1/callers/every/keys", until).await.is(201);
    let expired = expired["key"].as_str().unwrap().to_owned();
    harness.clock.advance(Duration::from_secs(120));
    let (full, ada) = (json!({}), json!({ "subject": { "type": "user", "id": ADA } }));
    let (preview, download) = (json!({ "scopes": ["item_preview"] }), json!({ "scopes": ["item_download"] }));
    [
        ("narrow", &narrow, "acme", &preview),
        ("narrow", &narrow, "acme", &download),
        ("narrow", &narrow, "acme", &full),
        ("narrow", &narrow, "globex", &preview),
        ("strong", &strong, "acme", &full),
        ("strong", &strong, "acme", &ada),
        ("strong", &strong, "globex", &full),
        ("enterprise", &enterprise, "globex", &full),
        ("enterprise", &enterprise, "globex", &json!({ "subject": { "type": "user", "id": "10000002001" } })),
        ("enterprise", &enterprise, "south", &preview),
        ("every", &every, "globex", &full),
        ("every", &every, "north", &full),
        ("every", &every, "west", &full),
        ("every", &every, "south", &full),
        ("every", &every, "south", &preview),
        ("labelled", &labelled, "acme", &full),
        ("locked", &locked, "acme", &full),
        ("expired", &expired, "acme", &full),
    ]
    .map(|(who, key, tenant, body)| Ask { who, key: key.clone(), tenant, body: body.clone() })
    .into()
}

/// The tables, and in each a row that a hand changes beside one that it takes from.
fn rows(scene: &Scene) -> Vec<(&'static str, String, String)> {
    let id = |of: &str| format!("id = '{}'", scene.ids[of]);
    let app = |of: &str| format!("app_id = '{}'", scene.ids[of]);
    let owner = |of: &str| format!("caller_id = (SELECT id FROM callers WHERE name = '{of}')");
    let tokens = |of: &str| {
        format!("id = (SELECT MIN(id) FROM tokens WHERE tenant_id = '{}' AND discarded = 0)", scene.ids[of])
    };
    vec![
        ("tenants", id("acme"), id("globex")),
        ("tenants", id("north"), id("south")),
        ("apps", id("acme's app"), id("globex's app")),
        ("apps", id("portal"), id("acme's app")),
        ("callers", "name = 'narrow'".to_owned(), "name = 'strong'".to_owned()),
        ("callers", "name = 'locked'".to_owned(), "name = 'root'".to_owned()),
        ("api_keys", owner("narrow"), owner("strong")),
        ("credentials", app("acme's app"), app("globex's app")),
        ("tokens", tokens("acme"), tokens("globex")),
        ("keypairs", "1 = 1".to_owned(), "1 = 1".to_owned()),
        ("generations", "1 = 1".to_owned(), "1 = 1".to_owned()),
        ("changes", "number = (SELECT MAX(number) FROM changes)".to_owned(), "number = 1".to_owned()),
        ("audit", "number = 2".to_owned(), "number = 1".to_owned()),
        ("audit_chains", "1 = 1".to_owned(), "1 = 1".to_owned()),
    ]
}

/// What a hand may write into a column of a row: what stands in another's, or another number. The
/// store's own tests try more.
fn values(table: &str, column: &str, holds: Holds, neighbour: &str) -> Vec<String> {
    let mut values = vec![format!("(SELECT {column} FROM {table} WHERE {neighbour} LIMIT 1)")];
    values.extend((holds == Holds::Number).then(|| format!("{column} + 1")));
    values
}

/// What a hand may want to read otherwise, in the document of any row.
fn wishes(scene: &Scene) -> Vec<(String, String)> {
    let id = |of: &str| scene.ids[of].clone();
    let mut wishes = vec![
        (id("globex"), id("acme")),
        (id("acme"), id("globex")),
        (id("globex's app"), id("acme's app")),
        (id("acme's app"), id("globex's app")),
        (id("acme's app"), id("portal")),
    ];
    let texts = [
        ("\"suspended\"", "\"active\""),
        ("\"locked\"", "\"active\""),
        ("\"full_tokens\":false", "\"full_tokens\":true"),
        ("\"mode\":\"enforce\"", "\"mode\":\"observe\""),
        ("\"tokens:downscope\"", "\"tokens:mint\""),
        ("\"scopes\":[\"item_preview\"]", "\"scopes\":null"),
        ("item_preview", "item_download"),
        ("[\"enterprise\"]", "[\"enterprise\",\"user:*\"]"),
        ("\"labels\":{}", "\"labels\":{\"tier\":\"gold\"}"),
        ("\"tier\":\"gold\"", "\"tier\":\"none\""),
        ("2026-01-02T03:05:00Z", "2036-01-02T03:05:00Z"),
        ("\"2002\"", "\"1001\""),
        ("\"3003\"", "\"4004\""),
        ("{\"shared\":{\"name\":\"portal\"}}", "{\"shared\":{\"name\":\"other\"}}"),
        ("\"version\":1", "\"version\":2"),
        ("\"fence\":0", "\"fence\":1"),
    ];
    wishes.extend(texts.map(|(from, to)| (from.to_owned(), to.to_owned())));
    wishes
}

/// Every statement that is tried: an UPDATE of each column, a wish in each document, a DELETE and an INSERT
/// for each table.
async fn statements(scene: &Scene) -> Vec<String> {
    let hand = scene.harness.hand();
    let mut all = Vec::new();
    for (table, row, neighbour) in rows(scene) {
        let columns = hand.columns(table).await;
        for (column, holds) in &columns {
            for value in values(table, column, *holds, &neighbour) {
                all.push(format!("UPDATE {table} SET {column} = {value} WHERE {row}"));
            }
        }
        all.push(format!("DELETE FROM {table} WHERE {row}"));
        // A copy that differs in its first column alone, and so in what it is found by.
        let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
        let copied: Vec<_> = columns
            .iter()
            .map(|(name, holds)| match (name.as_str(), holds) {
                ("id" | "key_id", _) => "'ten_forged'".to_owned(),
                ("name", _) => "'forged'".to_owned(),
                ("number", _) | ("generation", _) => format!("{name} + 1000"),
                (name, _) => name.to_owned(),
            })
            .collect();
        let (names, copied) = (names.join(", "), copied.join(", "));
        all.push(format!("INSERT INTO {table} ({names}) SELECT {copied} FROM {table} WHERE {neighbour}"));
    }
    for table in ["tenants", "apps", "callers", "keypairs"] {
        for (from, to) in wishes(scene) {
            let doc = format!("replace(doc, '{from}', '{to}')");
            all.push(format!("UPDATE {table} SET doc = {doc} WHERE doc LIKE '%{from}%'"));
        }
        all.push(format!("DELETE FROM {table}"));
    }
    for table in ["api_keys", "tokens", "credentials", "changes", "audit", "audit_chains"] {
        all.push(format!("DELETE FROM {table}"));
    }
    let everybody = "(SELECT id FROM callers WHERE name = 'every')";
    all.push(format!("UPDATE api_keys SET caller_id = {everybody}"));
    all.push(format!("INSERT INTO caller_trusts SELECT 'https://issuer.example', {everybody}"));
    all.push("UPDATE tokens SET discarded = 0, expires_at = expires_at + 1000000".to_owned());
    all.push("UPDATE tenants SET state = 'active'".to_owned());
    all
}

impl Scene {
    /// Keeps a copy of everything.
    async fn keep(&self) -> Vec<String> {
        let mut tables: Vec<_> = rows(self).into_iter().map(|(table, ..)| table.to_owned()).collect();
        tables.extend(["caller_trusts", "audit_checkpoints"].map(str::to_owned));
        tables.dedup();
        for table in &tables {
            self.harness.hand().does(&format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}")).await;
        }
        tables
    }

    /// Puts everything back.
    async fn restore(&self, tables: &[String]) {
        let hand = self.harness.hand();
        let numbered = match hand {
            Hand::Sqlite(_) => "",
            Hand::Postgres(_) => "OVERRIDING SYSTEM VALUE",
        };
        let back = tables.iter().map(|table| {
            format!("DELETE FROM {table}; INSERT INTO {table} {numbered} SELECT * FROM kept_{table};")
        });
        hand.does(&format!("BEGIN; {} COMMIT", back.collect::<String>())).await;
    }
}

#[tokio::test]
async fn s5_nothing_written_over_tenants_gives_anybody_a_token() {
    nobody_gains(&["tenants"]).await;
}

#[tokio::test]
async fn s5_nothing_written_over_apps_and_their_secrets_gives_anybody_a_token() {
    nobody_gains(&["apps", "credentials", "keypairs"]).await;
}

#[tokio::test]
async fn s5_nothing_written_over_callers_gives_anybody_a_token() {
    nobody_gains(&["callers", "api_keys", "caller_trusts"]).await;
}

#[tokio::test]
async fn s5_nothing_written_over_tokens_and_generations_gives_anybody_a_token() {
    nobody_gains(&["tokens", "generations"]).await;
}

#[tokio::test]
async fn s5_nothing_written_over_the_log_of_changes_and_the_audit_gives_anybody_a_token() {
    nobody_gains(&["changes", "audit", "audit_chains"]).await;
}

/// Tries each statement on these tables, and compares what everybody is answered with what they were
/// answered before: the same token, or a refusal that is told where it is the broker's own.
async fn nobody_gains(tables: &[&str]) {
    let mut scene = Scene::new().await;
    let (log, _guard, _second) = Log::begin();
    scene.harness.stop().await;
    let kept = scene.keep().await;
    let mut done = 0;
    for sql in statements(&scene).await {
        let table = sql.split(' ').find(|word| kept.iter().any(|table| table == word)).unwrap();
        if !tables.contains(&table) {
            continue;
        }
        // What the database itself refuses, or what concerns nothing, changes nothing.
        if scene.harness.hand().tries(&sql).await.is_none_or(|rows| rows == 0) {
            continue;
        }
        done += 1;
        log.take();
        // A full token that is dead at Box is replaced if it is older than the request that finds it so.
        scene.harness.clock.advance(Duration::from_secs(1));
        scene.harness.start().await;
        scene.compare(&sql, &log).await;
        scene.harness.stop().await;
        scene.restore(&kept).await;
    }
    assert!(done > 12, "{done} statements");
    // Everything put back is as good as it was.
    scene.harness.start().await;
    for ((reply, given), before) in scene.answers().await.iter().zip(&scene.given) {
        assert_eq!(given, before, "{reply:?}");
    }
    scene.harness.end().await;
}

impl Scene {
    async fn compare(&self, sql: &str, log: &Log) {
        let answers = self.answers().await;
        let told = log.take();
        for ((reply, given), (ask, before)) in answers.iter().zip(self.asks.iter().zip(&self.given)) {
            let what = format!("{sql}\n{} asks {} for {}", ask.who, ask.tenant, ask.body);
            match (given, before) {
                (Some(given), Some(before)) => assert_eq!(given, before, "{what}"),
                (Some(given), None) => panic!("{what}\nis given {given}"),
                (None, _) if [401, 403, 404].contains(&reply.status) => {}
                (None, _) => is_told(reply, &told, &what),
            }
        }
    }
}

/// Data that is refused is refused as such, and the log has a warning that names the request and the row.
#[track_caller]
fn is_told(reply: &Reply, told: &str, what: &str) {
    let code = reply.body["code"].as_str().unwrap();
    assert!(["sealed_data_refused", "key_unavailable"].contains(&code), "{what}\n{reply:?}\n{told}");
    let line = told.lines().find(|line| line.contains(reply.header("x-request-id")));
    let line = line.unwrap_or_else(|| panic!("{what}\nis not told: {told}"));
    assert!(line.contains("WARN") && line.contains(code), "{what}\n{line}");
}
