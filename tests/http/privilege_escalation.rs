//! A customer's own admin manages that customer's tenant alone, and cannot climb: each way that was
//! thought of is tried over HTTP, and after each the root admin reads that nothing changed.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{ADA, FOLDER, Harness, NORTH, SOUTH, by_config};
use crate::token_requests::{any_token, eventually, user};

/// All that can be granted on one tenant, but for `webhooks:verify`.
const HELD: [&str; 14] = [
    "tokens:mint",
    "tokens:downscope",
    "tokens:revoke",
    "sessions:create",
    "sessions:cancel",
    "tenants:read",
    "tenants:write",
    "tenants:credentials",
    "tenants:test",
    "tenants:delete",
    "callers:write",
    "audit:read",
    "policy:explain",
    "lockdown",
];

/// What the delegated admin may hand on: all on ACME, for its service account.
fn held() -> Value {
    json!({ "tenant": "acme", "permissions": HELD, "subjects": ["enterprise"] })
}

/// A customer's own admin among others: of ACME alone, with the right to tokens elsewhere that is not
/// theirs to hand on.
struct Climb {
    harness: Harness,
    /// The admin's API key.
    key: String,
}

impl Climb {
    async fn new() -> Self {
        let harness = Harness::new().await;
        harness.register("acme", &harness.apps.acme).await;
        harness.register("globex", &harness.apps.globex).await;
        let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
        harness.post(&harness.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
        let north = json!({ "tenant": "north", "app": "vendor", "enterprise_id": NORTH });
        harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
        harness.change_tenant("acme", json!({ "labels": { "team": "a" } })).await;
        let on = |tenant: &str| json!({ "tenant": tenant, "permissions": ["tokens:mint"] });
        let gold =
            json!({ "labels": { "tier": "gold" }, "permissions": ["tokens:mint"], "subjects": ["user:*"] });
        let key = harness.caller("delegate", "admin", json!([held(), on("globex"), gold])).await;
        // Weaker than the delegate, and theirs to manage.
        harness.service("weak", json!([on("acme")])).await;
        // Stronger in one way each.
        harness.service("users", any_token("acme")).await;
        harness.service("mixed", json!([on("acme"), on("north")])).await;
        harness
            .service("labelled", json!([{ "labels": { "team": "a" }, "permissions": ["tokens:mint"] }]))
            .await;
        harness.service("hooks", json!([{ "tenant": "acme", "permissions": ["webhooks:verify"] }])).await;
        harness.service("globexs", json!([on("globex")])).await;
        harness.service("everywhere", json!([on("*")])).await;
        harness.service("nothing", json!([])).await;
        Self { harness, key }
    }

    /// All callers and tenants, as the root admin reads them.
    async fn all(&self) -> Value {
        let mut callers = self.harness.get(&self.harness.admin, "/v1/callers?limit=200").await.ok();
        for caller in callers["items"].as_array_mut().unwrap() {
            for key in caller["keys"].as_array_mut().unwrap() {
                key["last_used_at"].take();
            }
        }
        let tenants = self.harness.get(&self.harness.admin, "/v1/tenants?limit=200").await.ok();
        json!([callers, tenants])
    }

    /// Tries something as the delegate: it has this status, and nothing comes of it.
    async fn fails(&self, method: &str, path: &str, body: Value, status: u16) {
        let before = self.all().await;
        let body = (!body.is_null()).then_some(body);
        let reply = self.harness.call(&self.key, method, path, body.as_ref()).await;
        assert_eq!(reply.status, status, "{method} {path} {body:?}: {reply:?}");
        assert_eq!(self.all().await, before, "{method} {path} {body:?}");
    }
}

/// Grants that reach further than the delegate's in one way each, and how they are refused.
fn wider() -> Vec<(Value, u16)> {
    let with = |changes: Value| {
        let mut grant = json!({ "tenant": "acme", "permissions": ["tokens:mint"] });
        grant.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        grant
    };
    let labels = |labels: Value| json!({ "labels": labels, "permissions": ["tokens:mint"] });
    let fits = with(json!({}));
    vec![
        (json!([with(json!({ "tenant": "*" }))]), 403),
        (json!([with(json!({ "tenant": "globex" }))]), 403),
        (json!([with(json!({ "tenant": "north" }))]), 422),
        (json!([with(json!({ "tenant": "nobody" }))]), 422),
        (json!([labels(json!({ "team": "a" }))]), 403),
        (json!([labels(json!({ "tier": "gold" }))]), 403),
        (json!([labels(json!({}))]), 422),
        (json!([with(json!({ "subjects": ["user:*"] }))]), 403),
        (json!([with(json!({ "subjects": ["enterprise", format!("user:{ADA}")] }))]), 403),
        (json!([with(json!({ "permissions": ["webhooks:verify"] }))]), 403),
        (json!([with(json!({ "permissions": ["tenants:create"] }))]), 422),
        (json!([with(json!({ "permissions": ["tenants:purge"] }))]), 422),
        (json!([with(json!({ "permissions": ["apps:use"] }))]), 422),
        (json!([with(json!({ "permissions": ["apps:write"] }))]), 422),
        (json!([with(json!({ "permissions": [] }))]), 422),
        (json!([with(json!({ "subjects": [] }))]), 422),
        (json!([with(json!({ "tenant": "*", "permissions": ["callers:write"] }))]), 403),
        // One that fits carries no other with it, in either order.
        (json!([fits, with(json!({ "tenant": "*" }))]), 403),
        (json!([with(json!({ "subjects": ["user:*"] })), fits]), 403),
        // No grants at all may become any.
        (json!([]), 403),
    ]
}

#[tokio::test]
async fn a_delegated_admin_cannot_grant_more_than_they_hold() {
    let climb = Climb::new().await;
    for (grants, status) in wider() {
        let new = json!({ "name": "new", "kind": "admin", "grants": grants });
        climb.fails("POST", "/v1/callers", new, status).await;
        let change = json!({ "grants": grants });
        // Nor to themselves: holding what they may not hand on, they are not theirs to manage.
        climb.fails("PATCH", "/v1/callers/delegate", change, 404).await;
    }
    // A service holds no permission of admins, whoever makes it.
    for permission in ["callers:write", "tenants:write", "policy:explain", "lockdown", "audit:read"] {
        let grants = json!([{ "tenant": "acme", "permissions": [permission] }]);
        let new = json!({ "name": "new", "kind": "service", "grants": grants });
        climb.fails("POST", "/v1/callers", new, 422).await;
        climb.fails("PATCH", "/v1/callers/weak", json!({ "grants": grants }), 422).await;
    }
    for (grants, _) in wider().into_iter().filter(|(_, status)| *status == 403) {
        let narrowed: Vec<_> = grants.as_array().unwrap().iter().filter(is_a_services).collect();
        if !narrowed.is_empty() {
            climb.fails("PATCH", "/v1/callers/weak", json!({ "grants": narrowed }), 403).await;
        }
    }
    climb.harness.end().await;
}

fn is_a_services(grant: &&Value) -> bool {
    grant["permissions"][0] != "callers:write"
}

#[tokio::test]
async fn an_admin_whose_grants_are_all_theirs_to_hand_on_widens_not_even_their_own() {
    let mut climb = Climb::new().await;
    climb.key = climb.harness.caller("pure", "admin", json!([held()])).await;
    for (grants, status) in wider() {
        // To this one nothing of GLOBEX is known.
        let status = if grants.to_string().contains("globex") { 422 } else { status };
        climb.fails("PATCH", "/v1/callers/pure", json!({ "grants": grants }), status).await;
    }
    climb.fails("PATCH", "/v1/callers/pure", json!({ "kind": "service" }), 422).await;
    climb.fails("PATCH", "/v1/callers/pure", json!({ "id": "cal_1" }), 422).await;
    // What they hold they may hand on whole, and whoever has it climbs no further.
    let harness = &climb.harness;
    let heir = json!({ "name": "heir", "kind": "admin", "grants": [held()] });
    harness.post(&climb.key, "/v1/callers", heir).await.is(201);
    let made = harness.post(&climb.key, "/v1/callers/heir/keys", json!({})).await.is(201);
    climb.key = made["key"].as_str().unwrap().to_owned();
    for (grants, status) in wider() {
        let status = if grants.to_string().contains("globex") { 422 } else { status };
        climb.fails("PATCH", "/v1/callers/pure", json!({ "grants": grants }), status).await;
    }
    climb.harness.end().await;
}

#[tokio::test]
async fn what_a_stronger_caller_is_cannot_be_read_used_or_taken_away() {
    let climb = Climb::new().await;
    let callers =
        ["users", "mixed", "labelled", "hooks", "globexs", "everywhere", "nothing", "root", "absent"];
    for name in callers {
        let read = climb.harness.get(&climb.harness.admin, &format!("/v1/callers/{name}")).await.body;
        let key = read["keys"][0]["id"].as_str().unwrap_or("key_0").to_owned();
        let id = read["id"].as_str().unwrap_or("cal_0").to_owned();
        for path in [format!("/v1/callers/{name}"), format!("/v1/callers/{id}")] {
            climb.fails("GET", &path, Value::Null, 404).await;
            climb.fails("PATCH", &path, json!({ "name": "mine" }), 404).await;
            climb.fails("PATCH", &path, json!({ "grants": [] }), 404).await;
            climb.fails("PATCH", &path, json!({ "grants": [held()] }), 404).await;
            climb.fails("DELETE", &path, Value::Null, 404).await;
            climb.fails("POST", &format!("{path}/keys"), json!({}), 404).await;
            climb.fails("DELETE", &format!("{path}/keys/{key}"), Value::Null, 404).await;
            climb.fails("POST", &format!("{path}/lockdown"), json!({}), 404).await;
            climb.fails("PATCH", &path, json!({ "state": "active" }), 404).await;
        }
        // Nor is it told what they could do.
        let question = json!({ "caller": name, "tenant": "acme" });
        climb.fails("POST", "/v1/policy/explain", question, 422).await;
    }
    // Names are shared by all, so that one is taken is told: of whom and for what is not.
    let new = json!({ "name": "root", "kind": "service", "grants": [{ "tenant": "acme", "permissions": ["tokens:mint"] }] });
    climb.fails("POST", "/v1/callers", new, 409).await;
    climb.fails("PATCH", "/v1/callers/weak", json!({ "name": "users" }), 409).await;
    climb.harness.end().await;
}

#[tokio::test]
async fn neither_labels_nor_registering_nor_apps_are_a_way_up() {
    let climb = Climb::new().await;
    let acme = "/v1/tenants/acme";
    for labels in [json!({ "tier": "gold" }), json!({ "team": null }), json!({ "team": "b" })] {
        climb.fails("PATCH", acme, json!({ "labels": labels }), 403).await;
    }
    climb.fails("PATCH", acme, json!({ "labels": null }), 403).await;
    climb.fails("PATCH", acme, json!({ "display_name": "x", "labels": { "tier": "gold" } }), 403).await;
    for immutable in ["id", "tenant", "enterprise_id", "app", "generation"] {
        let mut change = json!({});
        change[immutable] = json!("1");
        climb.fails("PATCH", acme, change, 422).await;
    }
    climb.fails("DELETE", &format!("{acme}?purge=now"), Value::Null, 403).await;
    let harness = &climb.harness;
    let globex: Value = serde_json::from_str(&harness.apps.globex.json).unwrap();
    for path in ["/v1/tenants", "/v1/tenants?dry_run=true", "/v1/tenants?verify=later"] {
        climb.fails("POST", path, by_config("south", &harness.apps.portal), 403).await;
        climb.fails("POST", path, by_config("acme", &harness.apps.acme), 403).await;
        let squat = json!({ "tenant": "south", "app": "vendor", "enterprise_id": SOUTH });
        climb.fails("POST", path, squat, 403).await;
    }
    let app = json!({ "app": "mine", "config": globex });
    climb.fails("POST", "/v1/apps", app, 403).await;
    climb.fails("GET", "/v1/apps", Value::Null, 403).await;
    for name in ["vendor", "absent"] {
        let path = format!("/v1/apps/{name}");
        climb.fails("GET", &path, Value::Null, 403).await;
        climb.fails("PATCH", &path, json!({ "state": "suspended" }), 403).await;
        climb.fails("POST", &format!("{path}/lockdown"), json!({}), 403).await;
        climb.fails("DELETE", &path, Value::Null, 403).await;
        climb.fails("PUT", &format!("{path}/credentials"), json!({ "config": globex }), 403).await;
        climb.fails("POST", &format!("{path}/keypairs"), json!({}), 403).await;
    }
    // Another customer's app, or another enterprise, under one's own tenant.
    climb.fails("PUT", &format!("{acme}/credentials"), json!({ "config": globex }), 409).await;
    climb.harness.end().await;
}

#[tokio::test]
async fn other_customers_tenants_are_out_of_reach() {
    let climb = Climb::new().await;
    let config: Value = serde_json::from_str(&climb.harness.apps.acme.json).unwrap();
    // The delegate has no grant on NORTH, and one on GLOBEX for tokens alone.
    for (tenant, status) in [("north", 404), ("absent", 404), ("globex", 403)] {
        let path = format!("/v1/tenants/{tenant}");
        climb.fails("GET", &path, Value::Null, status).await;
        climb.fails("PATCH", &path, json!({ "policy": null }), status).await;
        climb.fails("PATCH", &path, json!({ "state": "suspended" }), status).await;
        climb.fails("DELETE", &path, Value::Null, status).await;
        climb.fails("POST", &format!("{path}/test"), json!({}), status).await;
        climb.fails("PUT", &format!("{path}/credentials"), json!({ "config": config }), status).await;
        climb.fails("POST", &format!("{path}/keypairs"), json!({}), status).await;
        climb.fails("POST", &format!("{path}/flush"), json!({}), status).await;
        climb.fails("POST", &format!("{path}/lockdown"), json!({}), status).await;
        climb.fails("POST", &format!("{path}/token/revoke"), json!({ "subject": user(ADA) }), status).await;
        let question = json!({ "caller": "delegate", "tenant": tenant });
        climb.fails("POST", "/v1/policy/explain", question, status).await;
    }
    climb.harness.end().await;
}

#[tokio::test]
async fn lists_tell_nothing_of_what_comes_behind() {
    let climb = Climb::new().await;
    let harness = &climb.harness;
    let (names, cursors) = (
        |list: &Value, field: &str| -> Vec<String> {
            list["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item[field].as_str().unwrap().to_owned())
                .collect()
        },
        |list: &Value| list["next_cursor"].clone(),
    );
    // The one tenant is the first of three, and the one caller has others behind it in the order of names.
    let tenants = harness.get(&climb.key, "/v1/tenants?limit=1").await.ok();
    assert_eq!((names(&tenants, "tenant"), cursors(&tenants)), (vec!["acme".to_owned()], Value::Null));
    harness.patch(&harness.admin, "/v1/callers/weak", json!({ "name": "a-weak" })).await.is(200);
    let callers = harness.get(&climb.key, "/v1/callers?limit=1").await.ok();
    assert_eq!((names(&callers, "name"), cursors(&callers)), (vec!["a-weak".to_owned()], Value::Null));
    // A made-up cursor leads to nothing else.
    let cursor = data_encoding::BASE64URL_NOPAD.encode(b"b");
    for path in ["/v1/tenants", "/v1/callers"] {
        let list = harness.get(&climb.key, &format!("{path}?cursor={cursor}")).await.ok();
        assert_eq!((&list["items"], &list["next_cursor"]), (&json!([]), &Value::Null), "{path}");
    }
    // Where there is more that they may see, they are told so.
    let second = json!({ "name": "b-weak", "kind": "service", "grants": [{ "tenant": "acme", "permissions": ["tokens:mint"] }] });
    harness.post(&climb.key, "/v1/callers", second).await.is(201);
    let callers = harness.get(&climb.key, "/v1/callers?limit=1").await.ok();
    let next = callers["next_cursor"].as_str().unwrap();
    let rest = harness.get(&climb.key, &format!("/v1/callers?limit=1&cursor={next}")).await.ok();
    assert_eq!((names(&rest, "name"), cursors(&rest)), (vec!["b-weak".to_owned()], Value::Null));
    climb.harness.end().await;
}

#[tokio::test]
async fn a_tenant_deleted_and_registered_again_is_another_to_its_old_admin() {
    let climb = Climb::new().await;
    let harness = &climb.harness;
    // Deleting their own tenant is theirs to do, and erasing it is not; nor is a name a way back in.
    harness.delete(&climb.key, "/v1/tenants/acme").await.is(204);
    harness.token(&climb.key, "acme").await.refuses(404, "not_found");
    harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    harness.register("acme", &harness.apps.acme).await;
    for (method, path, body) in [
        ("GET", "/v1/tenants/acme", Value::Null),
        ("PATCH", "/v1/tenants/acme", json!({ "policy": null })),
        ("POST", "/v1/tenants/acme/token", json!({})),
        ("POST", "/v1/tenants/acme/test", json!({})),
    ] {
        climb.fails(method, path, body, 404).await;
    }
    let new = json!({ "name": "new", "kind": "service", "grants": [{ "tenant": "acme", "permissions": ["tokens:mint"] }] });
    climb.fails("POST", "/v1/callers", new, 422).await;
    // The caller they managed is gone and made again by the root: it is the new one, stronger.
    harness.delete(&harness.admin, "/v1/callers/weak").await.is(204);
    harness.service("weak", any_token("acme")).await;
    climb.fails("POST", "/v1/callers/weak/keys", json!({}), 404).await;
    climb.harness.end().await;
}

#[tokio::test]
async fn the_policy_and_the_callers_of_their_own_tenant_are_theirs_to_manage() {
    let climb = Climb::new().await;
    let harness = &climb.harness;
    let policy = json!({ "policy": { "scopes": ["item_preview"], "mode": "observe" } });
    harness.patch(&climb.key, "/v1/tenants/acme", policy).await.is(200);
    let narrow = json!([{ "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": ["item_preview"],
        "resources": [{ "type": "folder", "id": FOLDER }] }]);
    let new = json!({ "name": "viewer", "kind": "service", "grants": narrow });
    harness.post(&climb.key, "/v1/callers", new).await.is(201);
    let made = harness.post(&climb.key, "/v1/callers/viewer/keys", json!({})).await.is(201);
    let viewer = made["key"].as_str().unwrap();
    let ask = json!({ "scopes": ["item_preview"], "resource": { "type": "folder", "id": FOLDER } });
    harness.downscoped(viewer, "acme", ask.clone()).await.token();
    let mut question = ask;
    question["caller"] = json!("viewer");
    question["tenant"] = json!("acme");
    let told = harness.post(&climb.key, "/v1/policy/explain", question).await.is(200);
    assert_eq!(told["allowed"], true);
    harness.patch(&climb.key, "/v1/callers/viewer", json!({ "name": "reader" })).await.is(200);
    harness.delete(&climb.key, "/v1/callers/reader").await.is(204);
    harness
        .downscoped(viewer, "acme", json!({ "scopes": ["item_preview"] }))
        .await
        .refuses(401, "unauthenticated");
    climb.harness.end().await;
}

#[tokio::test]
async fn an_admin_who_loses_their_power_while_a_body_arrives_does_not_use_it() {
    for is_revoked in [true, false] {
        let climb = Climb::new().await;
        let harness = &climb.harness;
        let new = json!({ "name": "new", "kind": "admin", "grants": [held()] }).to_string();
        let (begin, end) = new.split_at(1);
        let head = format!(
            "POST /v1/callers HTTP/1.1\r\nhost: broker\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{begin}",
            climb.key,
            new.len()
        );
        let mut socket = TcpStream::connect(harness.broker().service).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        let path = "/v1/callers/delegate";
        eventually("the key is accepted", async || {
            harness.broker().run_housekeeping().await;
            !harness.get(&harness.admin, path).await.ok()["keys"][0]["last_used_at"].is_null()
        })
        .await;
        let status = if is_revoked {
            let id = box_token_broker::auth::api_key::id_of(&climb.key).unwrap();
            harness.delete(&harness.admin, &format!("{path}/keys/{}", id.as_str())).await.is(204);
            401
        } else {
            let narrow = json!({ "grants": [{ "tenant": "acme", "permissions": ["tenants:read"] }] });
            harness.patch(&harness.admin, path, narrow).await.is(200);
            403
        };
        let before = climb.all().await;
        socket.write_all(end.as_bytes()).await.unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(climb.all().await, before);
        climb.harness.end().await;
    }
}

#[tokio::test]
async fn a_damaged_row_is_told_to_those_alone_who_may_know_of_it() {
    let mut climb = Climb::new().await;
    climb.harness.stop().await;
    climb.harness.hand().does("UPDATE callers SET version = version + 1 WHERE name = 'everywhere'").await;
    climb.harness.hand().does("UPDATE tenants SET version = version + 1 WHERE name = 'north'").await;
    climb.harness.start().await;
    let harness = &climb.harness;
    harness.get(&climb.key, "/v1/callers/everywhere").await.refuses(404, "not_found");
    harness.post(&climb.key, "/v1/callers/everywhere/keys", json!({})).await.refuses(404, "not_found");
    harness.post(&climb.key, "/v1/callers/everywhere/lockdown", json!({})).await.refuses(404, "not_found");
    harness.get(&harness.admin, "/v1/callers/everywhere").await.refuses(500, "sealed_data_refused");
    let on = |tenant: &str| json!({ "name": "new", "kind": "service", "grants": [{ "tenant": tenant, "permissions": ["tokens:mint"] }] });
    harness.post(&climb.key, "/v1/callers", on("north")).await.refuses(422, "invalid");
    harness.post(&harness.admin, "/v1/callers", on("north")).await.refuses(500, "sealed_data_refused");
    let revoke = json!({ "subject": user(ADA) });
    harness.post(&climb.key, "/v1/tenants/north/token/revoke", revoke).await.refuses(404, "not_found");
    climb.harness.end().await;
}
