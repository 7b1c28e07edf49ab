//! Sessions are opened within what the opener may, listed, and cancelled.

use std::time::Duration;

use serde_json::{Value, json};

use crate::browser_fixture::{INTRANET, Opened, PORTAL, Scene, any_session, but, usual};
use crate::harness::{ADA, FILE, FOLDER, GRACE};
use crate::registration::pointers;
use crate::token_requests::{events, user};

const PATH: &str = "/v1/tenants/acme/browser-sessions";

#[tokio::test]
async fn a_session_is_shown_once_short_and_plain() {
    let scene = Scene::new().await;
    let session = scene.opened(json!({})).await;
    assert!(session.id.starts_with("ses_") && session.text.starts_with("btbs_"), "{session:?}");
    assert!(
        session.text.len() < 100
            && session.text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    );
    assert_eq!(session.expires_at, "2026-01-02T04:04:05Z");
    scene.harness.change_tenant("acme", json!({ "policy": { "max_session_ttl": 600 } })).await;
    assert_eq!(scene.opened(json!({})).await.expires_at, "2026-01-02T03:14:05Z", "what the policy allows");
    let text = scene.harness.get(&scene.portal, PATH).await.is(200).to_string();
    assert!(!text.contains("btbs_") && text.contains(&session.id), "{text}");
    for (table, column) in [("sessions", "doc"), ("audit", "doc"), ("changes", "item")] {
        for row in scene.harness.hand().reads(&format!("SELECT {column} FROM {table}")).await {
            assert!(!row.contains(&session.text) && !row.contains("btbs_"), "{table}: {row}");
        }
    }
    scene.end().await;
}

#[tokio::test]
async fn what_cannot_be_opened_is_told_by_its_place() {
    let scene = Scene::new().await;
    let folder = json!({ "type": "folder", "id": FOLDER });
    let many = |count: usize| -> Vec<Value> {
        (0..count).map(|number| json!({ "type": "file", "id": number.to_string() })).collect()
    };
    for (change, expected) in [
        (json!({ "resources": [] }), vec!["/resources"]),
        (json!({ "resources": many(101) }), vec!["/resources"]),
        (json!({ "resources": [folder, folder] }), vec!["/resources"]),
        (json!({ "resources": [{ "type": "web_link", "id": "1" }] }), vec!["/resources/0/type"]),
        (json!({ "read": {} }), vec!["/read"]),
        (json!({ "read": { "preset": "preview", "scopes": ["item_preview"] } }), vec!["/read"]),
        (json!({ "read": { "scopes": [] } }), vec!["/read/scopes"]),
        (json!({ "read": { "scopes": ["root_readonly"] } }), vec!["/read/scopes"]),
        (json!({ "write": { "scopes": ["item_upload", "root_readwrite"] } }), vec!["/write/scopes"]),
        (json!({ "origins": [] }), vec!["/origins"]),
        (json!({ "origins": [PORTAL, PORTAL] }), vec!["/origins"]),
        (
            json!({ "origins": [INTRANET, "https://evil.example", "https://other.example"] }),
            vec!["/origins/1", "/origins/2"],
        ),
        (json!({ "origins": ["https://*.example.com"] }), vec!["/origins/0"]),
        (json!({ "ttl": 0 }), vec!["/ttl"]),
        (json!({ "ttl": 28801 }), vec!["/ttl"]),
        (json!({ "ttl": 86401 }), vec!["/ttl"]),
        (json!({ "min_ttl": 3001 }), vec!["/min_ttl"]),
        (json!({ "on_behalf_of": "a\nb" }), vec!["/on_behalf_of"]),
        (json!({ "ttl": 86401, "origins": [], "resources": [] }), vec!["/resources", "/origins", "/ttl"]),
        (json!({ "secret": 1 }), vec!["/secret"]),
    ] {
        let problem = scene.open(but(change.clone())).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), expected, "{change}: {problem}");
    }
    Opened::of(scene.open(but(json!({ "resources": many(100) }))).await);
    scene.end().await;
}

#[tokio::test]
async fn nothing_is_opened_beyond_the_openers_grants_and_the_policy() {
    let scene = Scene::new().await;
    let opens = async |name: &str, change: Value, body: Value| {
        let mut grant =
            json!({ "tenant": "acme", "permissions": ["sessions:create"], "subjects": ["user:*"] });
        grant.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let key = scene.harness.service(name, json!([grant])).await;
        scene.harness.post(&key, PATH, body).await
    };
    for (name, change, body) in [
        ("a", json!({ "permissions": ["tokens:mint", "tokens:downscope", "sessions:cancel"] }), usual()),
        ("b", json!({ "subjects": ["enterprise"] }), usual()),
        ("c", json!({ "subjects": [format!("user:{GRACE}")] }), usual()),
        ("d", json!({ "scopes": ["base_explorer"] }), usual()),
        ("e", json!({ "resources": [{ "type": "file", "id": FILE }] }), usual()),
        (
            "f",
            json!({ "scopes": ["base_explorer", "item_preview"] }),
            but(json!({
            "read": { "scopes": ["base_explorer"] }, "write": { "scopes": ["item_upload"] } })),
        ),
        (
            "g",
            json!({ "resources": [{ "type": "folder", "id": FOLDER }] }),
            but(json!({
            "resources": [{ "type": "folder", "id": FOLDER }, { "type": "file", "id": FILE }] })),
        ),
    ] {
        opens(name, change, body).await.refuses(403, "forbidden");
    }
    opens("right", json!({ "resources": [{ "type": "folder", "id": FOLDER }] }), usual()).await.is(201);
    let policy = |policy: Value| scene.harness.change_tenant("acme", json!({ "policy": policy }));
    policy(json!({ "require_on_behalf_of": true })).await;
    scene.open(usual()).await.refuses(403, "forbidden");
    scene.open(but(json!({ "on_behalf_of": "ada" }))).await.is(201);
    policy(json!({ "require_on_behalf_of": false, "scopes": ["base_upload"] })).await;
    scene.open(usual()).await.refuses(403, "forbidden");
    policy(json!({ "scopes": null, "full_tokens": false })).await;
    scene.open(usual()).await.is(201);
    scene.harness.change_tenant("acme", json!({ "state": "suspended" })).await;
    scene.open(usual()).await.refuses(403, "tenant_suspended");
    scene.end().await;
}

#[tokio::test]
async fn a_list_is_read_in_stretches_and_for_one_person() {
    let scene = Scene::new().await;
    let mut opened = Vec::new();
    for number in 0..5 {
        let who = if number % 2 == 0 { "ada" } else { "grace" };
        opened.push(scene.opened(json!({ "on_behalf_of": who })).await);
        scene.harness.clock.advance(Duration::from_secs(1));
    }
    let (mut found, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = scene.harness.get(&scene.portal, &format!("{PATH}?limit=2{cursor}")).await.is(200);
        found.extend(page["items"].as_array().unwrap().clone());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    let ids: Vec<_> = found.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(ids, opened.iter().map(|session| session.id.as_str()).collect::<Vec<_>>());
    let first = &found[0];
    assert_eq!(first["subject"], user(ADA));
    assert_eq!(first["resources"], usual()["resources"]);
    assert_eq!(first["origins"], json!([PORTAL]));
    assert_eq!((&first["write"], &first["cancelled_at"]), (&Value::Null, &Value::Null));
    assert!(first["opener"]["key"].as_str().unwrap().starts_with("key_"), "{first}");
    let of = async |query: &str| {
        let list = scene.harness.get(&scene.portal, &format!("{PATH}?{query}")).await.is(200);
        list["items"].as_array().unwrap().len()
    };
    assert_eq!(
        (of("on_behalf_of=ada").await, of("on_behalf_of=grace").await, of("on_behalf_of=a").await),
        (3, 2, 0)
    );
    for query in ["limit=0", "cursor=x", "on_behalf_of=", "state=open"] {
        scene.harness.get(&scene.portal, &format!("{PATH}?{query}")).await.refuses(422, "invalid");
    }
    scene.harness.clock.advance(Duration::from_secs(3600));
    assert_eq!(of("").await, 0, "what has expired is no more listed");
    scene.end().await;
}

#[tokio::test]
async fn one_is_cancelled_or_all_of_one_person_and_the_audit_tells_how_many() {
    let scene = Scene::new().await;
    let folder = format!("folder_{FOLDER}");
    let one = scene.opened(json!({ "on_behalf_of": "ada" })).await;
    let hers = [
        scene.opened(json!({ "on_behalf_of": "ada" })).await,
        scene.opened(json!({ "on_behalf_of": "ada" })).await,
    ];
    let others = scene.opened(json!({ "on_behalf_of": "grace" })).await;
    scene.cancel(&one).await;
    scene.cancel(&one).await;
    scene.page(&one, &[&folder]).await.refuses(401, "session_cancelled");
    scene.page(&hers[0], &[&folder]).await.tokens_of(&folder);
    scene.harness.delete(&scene.portal, &format!("{PATH}?on_behalf_of=ada")).await.is(204);
    for session in &hers {
        scene.page(session, &[&folder]).await.refuses(401, "session_cancelled");
    }
    scene.page(&others, &[&folder]).await.tokens_of(&folder);
    scene.harness.delete(&scene.portal, &format!("{PATH}?on_behalf_of=nobody")).await.is(204);
    scene.harness.delete(&scene.portal, PATH).await.refuses(422, "invalid");
    scene
        .harness
        .delete(&scene.portal, &format!("{PATH}/ses_00000000000000000000"))
        .await
        .refuses(404, "not_found");
    let told: Vec<_> = events(&scene.harness, "session.cancel").await;
    let told: Vec<_> = told.iter().map(|event| event["detail"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    // All were recorded in one moment, so in no order.
    let count = |beginning: &str| told.iter().filter(|detail| detail.starts_with(beginning)).count();
    assert_eq!(
        [count(&one.id), count("2 browser sessions: "), count("0 browser sessions")],
        [2, 1, 1],
        "{told:?}"
    );
    let listed = scene.harness.get(&scene.portal, PATH).await.is(200);
    for item in listed["items"].as_array().unwrap() {
        let cancelled_at = (item["id"] != others.id).then_some("2026-01-02T03:04:05Z");
        assert_eq!(item["cancelled_at"].as_str(), cancelled_at, "{listed}");
    }
    scene.end().await;
}

#[tokio::test]
async fn whoever_may_end_some_subjects_sessions_sees_no_others() {
    let scene = Scene::new().await;
    let of_ada = scene.opened(json!({})).await;
    let of_all = scene.opened(json!({ "subject": { "type": "enterprise" }, "on_behalf_of": "x" })).await;
    let grants = json!([{ "tenant": "acme", "permissions": ["sessions:cancel"], "subjects": [format!("user:{ADA}")] }]);
    let desk = scene.harness.service("desk", grants).await;
    let listed = scene.harness.get(&desk, PATH).await.is(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["items"][0]["id"], of_ada.id);
    scene.harness.delete(&desk, &format!("{PATH}/{}", of_all.id)).await.refuses(404, "not_found");
    scene.harness.delete(&desk, &format!("{PATH}?on_behalf_of=x")).await.is(204);
    scene.harness.delete(&desk, &format!("{PATH}/{}", of_ada.id)).await.is(204);
    let folder = format!("folder_{FOLDER}");
    scene.page(&of_ada, &[&folder]).await.refuses(401, "session_cancelled");
    scene.page(&of_all, &[&folder]).await.tokens_of(&folder);
    scene.end().await;
}

#[tokio::test]
async fn a_session_of_a_tenant_says_nothing_at_another() {
    let scene = Scene::new().await;
    scene.harness.register("globex", &scene.harness.apps.globex).await;
    scene.harness.pages_of("globex").await;
    let other = scene.harness.service("other", any_session("globex")).await;
    let session = scene.opened(json!({})).await;
    let theirs = "/v1/tenants/globex/browser-sessions";
    scene.harness.delete(&other, &format!("{theirs}/{}", session.id)).await.refuses(404, "not_found");
    scene.harness.delete(&other, &format!("{PATH}/{}", session.id)).await.refuses(404, "not_found");
    assert_eq!(scene.harness.get(&other, theirs).await.is(200)["items"], json!([]));
    let folder = format!("folder_{FOLDER}");
    scene.page(&session, &[&folder]).await.tokens_of(&folder);
    scene.end().await;
}

#[tokio::test]
async fn invariant_8_a_session_that_cannot_be_recorded_is_not_opened_and_those_that_are_open_go_on() {
    let scene = Scene::new().await;
    let folder = format!("folder_{FOLDER}");
    let session = scene.opened(json!({})).await;
    let tokens = scene.page(&session, &[&folder]).await.tokens_of(&folder);
    scene.harness.hand().does("ALTER TABLE audit RENAME TO hidden_audit").await;
    scene.open(usual()).await.refuses(503, "store_unavailable");
    let path = format!("{PATH}/{}", session.id);
    scene.harness.delete(&scene.portal, &path).await.refuses(503, "store_unavailable");
    assert_eq!(scene.page(&session, &[&folder]).await.tokens_of(&folder), tokens);
    scene.harness.hand().does("ALTER TABLE hidden_audit RENAME TO audit").await;
    let count = scene.harness.hand().reads("SELECT id FROM sessions").await;
    assert_eq!(count.len(), 1);
    scene.end().await;
}
