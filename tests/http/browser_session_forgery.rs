//! Sessions that are altered, replayed or looked through: on the wire, and by a hand in the database.

use std::collections::BTreeSet;

use box_token_broker::crypto::sha256_hex;
use serde_json::{Value, json};

use crate::browser_fixture::{INTRANET, Opened, PORTAL, Scene, TOKENS, any_session, but};
use crate::database::Holds;
use crate::harness::{ADA, FILE, FOLDER, GRACE};

fn folder() -> String {
    format!("folder_{FOLDER}")
}

#[tokio::test]
async fn any_one_changed_character_of_a_session_opens_nothing() {
    let scene = Scene::with(&[("BTB_LIMITS__UNAUTHENTICATED_PER_PEER", "100000")]).await;
    let (one, other) = (scene.opened(json!({})).await, scene.opened(json!({})).await);
    let text = one.text.as_bytes();
    for place in 0..text.len() {
        for letter in [b'x', b'7', b'_'] {
            let mut changed = text.to_vec();
            if changed[place] == letter {
                continue;
            }
            changed[place] = letter;
            let changed = String::from_utf8(changed).unwrap();
            scene.harness.page(PORTAL, &changed, &[&folder()]).await.refuses(401, "unauthenticated");
        }
    }
    // The signature of one session under the id of another, and the other way round.
    let parts =
        |text: &str| text.rsplit_once('_').map(|(id, proof)| (id.to_owned(), proof.to_owned())).unwrap();
    let ((id, _), (_, proof)) = (parts(&one.text), parts(&other.text));
    scene.harness.page(PORTAL, &format!("{id}_{proof}"), &[&folder()]).await.refuses(401, "unauthenticated");
    scene.page(&one, &[&folder()]).await.tokens_of(&folder());
    scene.end().await;
}

#[tokio::test]
async fn ten_thousand_replays_of_a_cancelled_session_are_refused_and_cost_neither_store_nor_box() {
    let scene = Scene::new().await;
    let session = scene.opened(json!({})).await;
    scene.page(&session, &[&folder()]).await.tokens_of(&folder());
    scene.cancel(&session).await;
    // Once its own change came back by the log, nothing is looked up any more.
    scene.harness.broker().poll_changes().await;
    scene.page(&session, &[&folder()]).await.refuses(401, "session_cancelled");
    let calls = scene.harness.count("").await;
    // A store that were asked would not find these tables.
    for table in ["sessions", "callers", "tenants"] {
        scene.harness.hand().does(&format!("ALTER TABLE {table} RENAME TO hidden_{table}")).await;
    }
    for round in 0..10_000 {
        // Slowly enough for the session's rate, and never without news for long.
        scene.harness.clock.advance(std::time::Duration::from_millis(50));
        if round % 1000 == 0 {
            scene.harness.broker().poll_changes().await;
        }
        scene.page(&session, &[&folder()]).await.refuses(401, "session_cancelled");
    }
    assert_eq!(scene.harness.count("").await, calls);
    for table in ["sessions", "callers", "tenants"] {
        scene.harness.hand().does(&format!("ALTER TABLE hidden_{table} RENAME TO {table}")).await;
    }
    scene.end().await;
}

/// What a hand in the database might want to read otherwise in a session.
fn wishes() -> Vec<(String, String)> {
    let item = |id: &str| format!("\"id\":\"{id}\"");
    [
        (item(FOLDER), item("20000001002")),
        ("\"type\":\"folder\"".to_owned(), "\"type\":\"file\"".to_owned()),
        ("\"base_explorer\"".to_owned(), "\"item_task\"".to_owned()),
        ("\"write\":null".to_owned(), "\"write\":[\"item_upload\"]".to_owned()),
        (PORTAL.to_owned(), INTRANET.to_owned()),
        (item(ADA), item(GRACE)),
        ("\"on_behalf_of\":\"ada\"".to_owned(), "\"on_behalf_of\":\"grace\"".to_owned()),
        ("\"min_ttl\":null".to_owned(), "\"min_ttl\":1".to_owned()),
        ("04:04:05".to_owned(), "09:04:05".to_owned()),
        ("\"version\":1".to_owned(), "\"version\":2".to_owned()),
    ]
    .into()
}

#[tokio::test]
async fn s5_nothing_written_over_sessions_gives_a_page_a_token() {
    let mut scene = Scene::new().await;
    scene.harness.service("other", any_session("*")).await;
    let mine = scene.opened(json!({ "on_behalf_of": "ada" })).await;
    let neighbour = Opened::of(
        scene.open(but(json!({ "subject": { "type": "user", "id": GRACE }, "origins": [INTRANET] }))).await,
    );
    let cancelled = scene.opened(json!({})).await;
    scene.cancel(&cancelled).await;
    let row = format!("id = '{}'", mine.id);
    let caller = "(SELECT id FROM callers WHERE name = 'other')";
    let mut statements = Vec::new();
    for (column, holds) in scene.harness.hand().columns("sessions").await {
        let beside = format!("(SELECT {column} FROM sessions WHERE id = '{}')", neighbour.id);
        // What the neighbour's row says alike changes nothing.
        if !["tenant_id", "caller_id", "created_at", "expires_at", "version", "mac_key"]
            .contains(&column.as_str())
            && column != "id"
        {
            statements.push((&mine, format!("UPDATE sessions SET {column} = {beside} WHERE {row}")));
        }
        if holds == Holds::Number {
            statements.push((&mine, format!("UPDATE sessions SET {column} = {column} + 1 WHERE {row}")));
        }
    }
    statements.push((&mine, format!("UPDATE sessions SET caller_id = {caller} WHERE {row}")));
    for (from, to) in wishes() {
        let sql = format!(
            "UPDATE sessions SET doc = replace(doc, '{from}', '{to}') WHERE {row} AND doc LIKE '%{from}%'"
        );
        statements.push((&mine, sql));
    }
    let opener = format!("replace(doc, (SELECT caller_id FROM sessions WHERE {row}), {caller})");
    statements.push((&mine, format!("UPDATE sessions SET doc = {opener}, caller_id = {caller} WHERE {row}")));
    statements.push((&mine, format!("DELETE FROM sessions WHERE {row}")));
    let gone = format!("id = '{}'", cancelled.id);
    let revive = "replace(doc, '\"cancelled_at\":\"2026-01-02T03:04:05Z\"', '\"cancelled_at\":null')";
    statements.push((&cancelled, format!("UPDATE sessions SET doc = {revive}, version = 1 WHERE {gone}")));
    statements.push((&cancelled, format!("UPDATE sessions SET doc = {revive} WHERE {gone}")));
    statements.push((&cancelled, format!("DELETE FROM sessions WHERE {gone}")));
    scene.harness.hand().does("CREATE TABLE kept_sessions AS SELECT * FROM sessions").await;
    assert!(statements.len() > 20, "{}", statements.len());
    for (session, sql) in &statements {
        scene.harness.stop().await;
        assert_eq!(scene.harness.hand().does(sql).await, 1, "{sql}");
        scene.harness.start().await;
        for origin in [PORTAL, INTRANET] {
            let reply =
                scene.harness.page(origin, &session.text, &[&folder(), &format!("file_{FILE}")]).await;
            let code = reply.body["code"].as_str().unwrap_or_else(|| panic!("{sql}: {reply:?}")).to_owned();
            assert!(["sealed_data_refused", "unauthenticated"].contains(&code.as_str()), "{sql}: {reply:?}");
        }
        scene.harness.hand().does("DELETE FROM sessions").await;
        scene.harness.hand().does("INSERT INTO sessions SELECT * FROM kept_sessions").await;
    }
    scene.harness.restart().await;
    scene.page(&mine, &[&folder()]).await.tokens_of(&folder());
    scene.page(&cancelled, &[&folder()]).await.refuses(401, "session_cancelled");
    // A row that is refused stands in nobody's way: the others are listed, and ended.
    let spoil = format!("UPDATE sessions SET expires_at = expires_at + 1 WHERE {row}");
    scene.harness.hand().does(&spoil).await;
    let toll = scene.harness.lock_down(&scene.harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll["sessions"], 1, "the neighbour's");
    scene.end().await;
}

/// Rows that stand before all others and cannot be read: as many as are looked at at once, and more.
#[tokio::test]
async fn s5_rows_put_in_front_of_a_session_neither_hide_nor_keep_it() {
    let scene = Scene::new().await;
    let session = scene.opened(json!({ "on_behalf_of": "eve" })).await;
    let row = format!("FROM sessions WHERE id = '{}'", session.id);
    let copy = |id: usize| {
        format!(
            "INSERT INTO sessions (id, tenant_id, caller_id, on_behalf_of, created_at, expires_at, version, doc, \
             mac_key, mac) SELECT '!{id}', tenant_id, caller_id, on_behalf_of, 0, expires_at, version, doc, mac_key, \
             mac {row};"
        )
    };
    scene.harness.hand().does(&(0..201).map(copy).collect::<String>()).await;
    let listed = scene.harness.get(&scene.portal, "/v1/tenants/acme/browser-sessions?limit=1").await.is(200);
    assert_eq!(listed["items"][0]["id"], session.id.as_str(), "{listed}");
    let of_eve = "/v1/tenants/acme/browser-sessions?on_behalf_of=eve";
    scene.harness.delete(&scene.portal, of_eve).await.is(204);
    scene.page(&session, &[&folder()]).await.refuses(401, "session_cancelled");
    let another = scene.opened(json!({})).await;
    let toll = scene.harness.lock_down(&scene.harness.admin, "tenants/acme").await.is(200);
    assert_eq!(toll["sessions"], 1);
    scene.harness.change_tenant("acme", json!({ "state": "active" })).await;
    scene.page(&another, &[&folder()]).await.refuses(401, "session_cancelled");
    scene.end().await;
}

#[tokio::test]
async fn s5_a_session_copied_to_another_id_is_not_one() {
    let mut scene = Scene::new().await;
    let session = scene.opened(json!({})).await;
    scene.harness.stop().await;
    let columns = scene.harness.hand().columns("sessions").await;
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let copied: Vec<_> = names.iter().map(|name| if *name == "id" { "'ses_forged'" } else { name }).collect();
    let sql =
        format!("INSERT INTO sessions ({}) SELECT {} FROM sessions", names.join(", "), copied.join(", "));
    assert_eq!(scene.harness.hand().does(&sql).await, 1);
    scene.harness.start().await;
    let own = session.id.strip_prefix("ses_").unwrap();
    let forged = session.text.replace(own, "forged");
    scene.harness.page(PORTAL, &forged, &[&folder()]).await.refuses(401, "unauthenticated");
    scene.page(&session, &[&folder()]).await.tokens_of(&folder());
    let path = "/v1/tenants/acme/browser-sessions";
    let listed = scene.harness.get(&scene.portal, path).await.is(200);
    assert_eq!(listed["items"].as_array().unwrap().len(), 1, "{listed}");
    scene.end().await;
}

/// Every text in an answer that might be a token.
fn candidates(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && !"!_-.".contains(letter))
        .filter(|word| word.len() >= 16)
}

#[tokio::test]
async fn s7_no_answer_to_a_page_holds_a_full_token_or_any_secret_of_the_brokers() {
    let scene = Scene::new().await;
    let harness = &scene.harness;
    let session = scene.opened(json!({ "write": { "preset": "uploader" } })).await;
    let many = json!([{ "type": "folder", "id": FOLDER }, { "type": "folder", "id": "0" }]);
    let wide = scene.opened(json!({ "resources": many, "subject": { "type": "enterprise" } })).await;
    let mut answers = Vec::new();
    let page = async |session: &Opened, origin: &str, ids: &[&str]| {
        let request =
            harness.http.post(harness.url(TOKENS)).bearer_auth(&session.text).header("origin", origin);
        let response = request.json(&json!({ "ids": ids })).send().await.unwrap();
        let headers = format!("{:?}", response.headers());
        headers + &response.text().await.unwrap()
    };
    let (folder, file) = (folder(), format!("file_{FILE}"));
    let all = [folder.as_str(), file.as_str(), "file_39999999999", "folder_0", "odd"];
    for session in [&session, &wide] {
        answers.push(page(session, PORTAL, &all).await);
        answers.push(page(session, PORTAL, &all).await);
        answers.push(page(session, "https://evil.example", &all).await);
        harness.clock.advance(std::time::Duration::from_secs(3500));
        answers.push(page(session, PORTAL, &all).await);
    }
    for effect in [json!({ "status": 503 }), json!({ "status": 400, "body": { "error": "odd" } })] {
        harness.clock.advance(std::time::Duration::from_secs(120));
        harness.fault(json!({ "effect": effect })).await;
        let fresh = scene.opened(json!({ "resources": [{ "type": "file", "id": FILE }] })).await;
        answers.push(page(&fresh, PORTAL, &all).await);
        harness.heal().await;
    }
    scene.cancel(&session).await;
    answers.push(page(&session, PORTAL, &all).await);
    let full: BTreeSet<String> = harness.issued("grant=jwt-bearer").await.into_iter().collect();
    let children: BTreeSet<String> = harness.issued("grant=token-exchange").await.into_iter().collect();
    assert!(full.len() > 1 && children.len() > 2);
    let holds = |text: &str, tokens: &BTreeSet<String>| {
        candidates(text).any(|word| tokens.contains(&sha256_hex(word.as_bytes())))
    };
    harness.clock.advance(std::time::Duration::from_secs(120));
    let planted = harness.user_token(&harness.admin, "acme", ADA).await.token();
    let full_now: BTreeSet<String> = harness.issued("grant=jwt-bearer").await.into_iter().collect();
    assert!(holds(&format!("{{\"read\":\"{planted}\"}}"), &full_now), "the search finds what is there");
    assert!(answers.iter().any(|text| holds(text, &children)), "and it reads what pages get");
    let config: Value = serde_json::from_str(&harness.apps.acme.json).unwrap();
    let secrets = [
        config["boxAppSettings"]["clientSecret"].as_str().unwrap().to_owned(),
        harness.admin.clone(),
        scene.portal.clone(),
        session.text.clone(),
    ];
    for answer in &answers {
        assert!(!holds(answer, &full_now), "{answer}");
        assert!(!secrets.iter().any(|secret| answer.contains(secret)), "{answer}");
    }
    scene.end().await;
}
