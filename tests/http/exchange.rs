//! Token exchange as SDKs do it: a downscoped token for a full one that somebody was given.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};

use crate::database::Holds;
use crate::harness::{ADA, FILE, FOLDER, Harness};
use crate::issuer_fixture::Scene;
use crate::oauth_clients::{credentials, exchange};
use crate::response::Reply;
use crate::token_requests::{acme, any_token, events};

const FILE_URL: &str = "https://api.box.com/2.0/files/30000001001";
const LINK: &str = "https://app.box.com/s/sandbox-20000001002";

impl Harness {
    /// Exchanges a token with a client's credentials.
    pub(crate) async fn exchanged_by(&self, key: &str, tenant: Option<&str>, token: &str) -> Reply {
        self.form("token", &[exchange(token, "item_preview"), credentials(key, tenant)].concat()).await
    }

    /// Changes a caller's grants, as the admin.
    async fn grant(&self, caller: &str, grants: Value) {
        self.patch(&self.admin, &format!("/v1/callers/{caller}"), json!({ "grants": grants })).await.is(200);
    }

    /// The names of the callers to whom downscoped tokens were given, as the audit has it, the oldest first.
    async fn had_downscoped(&self) -> Vec<String> {
        self.broker().write_counts().await;
        // Whatever comes later is recorded as later.
        self.clock.advance(Duration::from_secs(1));
        let released = events(self, "token.release").await;
        let downscoped =
            released.iter().filter(|event| event["outcome"] == "done" && !event["scopes"].is_null());
        downscoped.map(|event| event["actor"]["caller"]["name"].as_str().unwrap_or("-").to_owned()).collect()
    }
}

/// The service account's token, which a service of that name was given.
pub(crate) async fn given(harness: &Harness, name: &str) -> (String, String) {
    let key = harness.service(name, any_token("acme")).await;
    let token = harness.ccg(&key, None, &[]).await.token();
    (key, token)
}

#[tokio::test]
async fn a_full_token_is_worth_what_its_receiver_may_have_as_box_would_give_it() {
    let (harness, _) = acme().await;
    let (key, full) = given(&harness, "sdk").await;
    let body =
        harness.exchanged(&full, "item_preview item_download", &[("resource", FILE_URL)]).await.is(200);
    assert_eq!(body["token_type"], "bearer");
    assert_eq!(body["issued_token_type"], "urn:ietf:params:oauth:token-type:access_token");
    let object = json!({ "type": "file", "id": FILE });
    let told = ["item_download", "item_preview"].map(|scope| json!({ "scope": scope, "object": object }));
    assert_eq!(body["restricted_to"], json!(told));
    let child = body["access_token"].as_str().unwrap();
    assert_eq!(harness.at_box(child, &format!("/2.0/files/{FILE}")).await, 200);
    assert_ne!(harness.at_box(child, &format!("/2.0/folders/{FOLDER}")).await, 200);
    // It is the token that the service's own way to ask gives, and it is recorded as its.
    let same =
        json!({ "scopes": ["item_preview", "item_download"], "resource": { "type": "file", "id": FILE } });
    assert_eq!(harness.downscoped(&key, "acme", same).await.token(), child);
    assert_eq!(harness.had_downscoped().await, ["sdk"]);

    let own = format!("{}/2.0/folders/{FOLDER}", harness.sandbox.url());
    let of_folder = harness.exchanged(&full, "item_preview", &[("resource", &own)]).await.is(200);
    assert_eq!(of_folder["restricted_to"][0]["object"], json!({ "type": "folder", "id": FOLDER }));
    let of_link = harness.exchanged(&full, "item_preview", &[("box_shared_link", LINK)]).await.is(200);
    assert_eq!(of_link["restricted_to"][0]["object"], json!({ "type": "folder", "id": "20000001002" }));
    let of_user = harness.user_token(&key, "acme", ADA).await.token();
    let child = harness.exchanged(&of_user, "item_preview", &[]).await.token();
    assert_eq!(harness.known_at_box(&child).await["subject"], format!("user:{ADA}"));
    harness.end().await;
}

#[tokio::test]
async fn an_annotator_is_named_by_an_actor_token() {
    let (harness, _) = acme().await;
    let (_, full) = given(&harness, "sdk").await;
    let part = |value: Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let claims =
        json!({ "iss": "btb", "sub": "ext-1", "name": "Zoë Q.", "box_sub_type": "external", "exp": 1 });
    let actor = format!("{}.{}.", part(json!({ "alg": "none", "typ": "JWT" })), part(claims));
    let kind = "urn:ietf:params:oauth:token-type:id_token";
    let more = [("resource", FILE_URL), ("actor_token", &*actor), ("actor_token_type", kind)];
    let child = harness.exchanged(&full, "annotation_edit", &more).await.token();
    assert!(harness.known_at_box(&child).await["annotator"].is_string());
    for more in [
        &[("actor_token", &*actor)][..],
        &[("actor_token_type", kind)],
        &[("actor_token", "x.y."), ("actor_token_type", kind)],
        &[("actor_token", &*actor), ("actor_token_type", "urn:ietf:params:oauth:token-type:access_token")],
    ] {
        harness.exchanged(&full, "annotation_edit", more).await.refuses_as_box(400, "invalid_request");
    }
    harness.end().await;
}

#[tokio::test]
async fn what_is_no_exchange_is_refused_before_anything_is_done() {
    let (harness, _) = acme().await;
    let (_, full) = given(&harness, "sdk").await;
    let exchanges = harness.exchanges().await;
    for (scope, more, error) in [
        ("", &[][..], "invalid_scope"),
        ("item preview!", &[], "invalid_scope"),
        ("item_preview", &[("resource", "https://evil.example/2.0/files/1")], "invalid_request"),
        ("item_preview", &[("resource", FILE)], "invalid_request"),
        ("item_preview", &[("resource", FILE_URL), ("resource", FILE_URL)], "invalid_request"),
        ("item_preview", &[("resource", FILE_URL), ("box_shared_link", LINK)], "invalid_request"),
        ("item_preview", &[("box_shared_link", "http://app.box.com/s/x")], "invalid_request"),
        ("item_preview", &[("subject_token", "again")], "invalid_request"),
    ] {
        harness.exchanged(&full, scope, more).await.refuses_as_box(400, error);
    }
    let mut form = exchange(&full, "item_preview");
    form[2].1 = "urn:ietf:params:oauth:token-type:id_token".to_owned();
    harness.form("token", &form).await.refuses_as_box(400, "invalid_request");
    form.remove(2);
    harness.form("token", &form).await.refuses_as_box(400, "invalid_request");
    form.remove(1);
    harness.form("token", &form).await.refuses_as_box(400, "invalid_request");
    assert_eq!(harness.exchanges().await, exchanges);
    harness.end().await;
}

#[tokio::test]
async fn a_token_that_is_none_of_ours_dead_or_downscoped_is_an_invalid_grant() {
    let (harness, _) = acme().await;
    let revoker = json!([{ "tenant": "acme", "permissions": ["tokens:mint", "tokens:revoke"] }]);
    let revoker = harness.service("revoker", revoker).await;
    let (_, full) = given(&harness, "sdk").await;
    let child = harness.exchanged(&full, "item_preview", &[]).await.token();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &harness.apps.ccg.client_id),
        ("client_secret", &harness.apps.ccg.client_secret),
        ("box_subject_type", "enterprise"),
        ("box_subject_id", crate::harness::ACME),
    ];
    let url = format!("{}/oauth2/token", harness.sandbox.url());
    let foreign = harness.http.post(url).form(&form).send().await.unwrap().json::<Value>().await.unwrap();
    let foreign = foreign["access_token"].as_str().expect("a token that Box gave to somebody else");
    let mut told = Vec::new();
    for token in ["made-up", &child, foreign, &harness.admin] {
        told.push(harness.exchanged(token, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant"));
    }
    harness.post(&revoker, "/v1/tenants/acme/token/revoke", json!({ "access_token": full })).await.is(204);
    told.push(harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant"));
    for body in &mut told {
        body["request_id"] = Value::Null;
    }
    assert!(told.iter().all(|body| *body == told[0]), "{told:#?}");
    // One that lived once.
    let (_, short) = given(&harness, "other").await;
    harness.clock.advance(Duration::from_secs(3601));
    harness.exchanged(&short, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant");
    harness.end().await;
}

#[tokio::test]
async fn the_child_is_told_to_live_no_longer_than_its_parent_and_lives_at_box_as_box_gave_it() {
    let (harness, _) = acme().await;
    let (_, full) = given(&harness, "sdk").await;
    harness.token_lives(3600, 4175).await;
    harness.clock.advance(Duration::from_secs(3000));
    let body = harness.exchanged(&full, "item_preview", &[]).await.is(200);
    let left = body["expires_in"].as_u64().unwrap();
    assert!((1..=600).contains(&left), "{body}");
    // Within its last seconds too, when the broker hands it to nobody any more.
    harness.clock.advance(Duration::from_secs(590));
    let body = harness.exchanged(&full, "item_preview", &[]).await.is(200);
    let left = body["expires_in"].as_u64().unwrap();
    assert!((1..=10).contains(&left), "{left}");
    harness.clock.advance(Duration::from_secs(60));
    harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant");
    assert!(harness.lives(body["access_token"].as_str().unwrap()).await);
    harness.end().await;
}

#[tokio::test]
async fn todays_grants_of_those_who_were_given_it_decide_each_alone_and_the_record_names_who() {
    let (harness, _) = acme().await;
    let (_, full) = given(&harness, "one").await;
    let (_, same) = given(&harness, "two").await;
    assert_eq!(full, same);
    // Never given it, and may anything.
    harness.service("stranger", any_token("*")).await;
    harness.exchanged(&full, "item_preview", &[]).await.token();
    assert_eq!(harness.had_downscoped().await, ["one"]);
    let narrow =
        json!([{ "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": ["item_download"] }]);
    harness.grant("one", narrow.clone()).await;
    harness.exchanged(&full, "item_preview", &[]).await.token();
    assert_eq!(harness.had_downscoped().await, ["one", "two"]);
    harness.exchanged(&full, "item_download", &[]).await.token();
    assert_eq!(harness.had_downscoped().await, ["one", "two", "one"]);
    harness.grant("two", narrow).await;
    harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant");
    harness.grant("one", json!([])).await;
    harness.grant("two", json!([])).await;
    harness.exchanged(&full, "item_download", &[]).await.refuses_as_box(400, "invalid_grant");
    harness.grant("two", any_token("acme")).await;
    harness.exchanged(&full, "item_download", &[]).await.token();
    for (change, restored) in [
        (json!({ "state": "suspended" }), json!({ "state": "active" })),
        (json!({ "policy": { "scopes": ["item_preview"] } }), json!({ "policy": { "scopes": null } })),
    ] {
        harness.change_tenant("acme", change).await;
        let refused = harness.exchanged(&full, "item_download", &[]).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        harness.change_tenant("acme", restored).await;
        harness.exchanged(&full, "item_download", &[]).await.token();
    }
    harness.broker().write_counts().await;
    let refused = events(&harness, "token.release").await;
    let reasons: Vec<_> = refused.iter().filter_map(|event| event["reason"].as_str()).collect();
    assert!(reasons.contains(&"grant.scopes") && reasons.contains(&"unauthenticated"), "{reasons:?}");
    harness.end().await;
}

#[tokio::test]
async fn a_key_that_was_revoked_and_a_caller_that_is_gone_had_it_no_more() {
    let (harness, _) = acme().await;
    let (key, full) = given(&harness, "one").await;
    let second = harness.post(&harness.admin, "/v1/callers/one/keys", json!({})).await.is(201);
    let second = second["key"].as_str().unwrap();
    let id = box_token_broker::auth::api_key::id_of(&key).unwrap();
    harness.exchanged(&full, "item_preview", &[]).await.token();
    harness.delete(&harness.admin, &format!("/v1/callers/one/keys/{id}")).await.is(204);
    harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant");
    // With its other key the caller is the same, and was given it.
    harness.exchanged_by(second, None, &full).await.token();
    assert_eq!(harness.ccg(second, None, &[]).await.token(), full);
    harness.exchanged(&full, "item_preview", &[]).await.token();
    harness.post(&harness.admin, "/v1/callers/one/lockdown", json!({})).await.is(200);
    harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant");
    harness.end().await;

    let (harness, _) = acme().await;
    let (_, full) = given(&harness, "one").await;
    harness.delete(&harness.admin, "/v1/callers/one").await.is(204);
    harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant");
    harness.end().await;
}

#[tokio::test]
async fn with_credentials_it_is_the_clients_own_token_or_none() {
    let (harness, _) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let (one, full) = given(&harness, "one").await;
    let never = harness.service("never", any_token("acme")).await;
    let both = harness.service("both", json!([any_token("acme")[0], any_token("globex")[0]])).await;
    let foreign = harness.service("foreign", any_token("globex")).await;
    harness.ccg(&both, Some("acme"), &[]).await.token();
    harness.exchanged_by(&one, Some("acme"), &full).await.token();
    assert_eq!(harness.had_downscoped().await, ["one"]);
    harness.exchanged_by(&both, Some("acme"), &full).await.token();
    assert_eq!(harness.had_downscoped().await, ["one", "both"]);
    for (key, tenant) in [(&never, None), (&both, Some("globex")), (&foreign, None)] {
        harness.exchanged_by(key, tenant, &full).await.refuses_as_box(400, "invalid_grant");
    }
    harness.exchanged_by(&foreign, Some("acme"), &full).await.refuses_as_box(400, "invalid_grant");
    harness.grant("one", json!([{ "tenant": "acme", "permissions": ["tokens:revoke"] }])).await;
    harness.exchanged_by(&one, None, &full).await.refuses_as_box(400, "invalid_grant");
    let wrong = [exchange(&full, "item_preview"), vec![("client_id", "btb_x".to_owned())]].concat();
    harness.form("token", &wrong).await.refuses_as_box(400, "invalid_client");
    harness.end().await;
}

#[tokio::test]
async fn who_was_given_it_survives_a_restart_and_a_renewal_and_is_erased_with_the_token() {
    let (mut harness, _) = acme().await;
    let (key, full) = given(&harness, "sdk").await;
    harness.restart().await;
    harness.exchanged(&full, "item_preview", &[]).await.token();
    // A younger token took its place in memory.
    harness.clock.advance(Duration::from_secs(3100));
    let younger = harness.ccg(&key, None, &[]).await.token();
    harness.broker().renew_due().await;
    let younger = if younger == full { harness.ccg(&key, None, &[]).await.token() } else { younger };
    assert_ne!(younger, full);
    harness.exchanged(&full, "item_preview", &[]).await.token();
    harness.exchanged(&younger, "item_preview", &[]).await.token();
    harness.broker().write_counts().await;
    let rows = async || harness.hand().reads("SELECT token_id FROM given").await.len();
    assert!(rows().await >= 2);
    harness.clock.advance(Duration::from_secs(4000));
    harness.broker().run_housekeeping().await;
    assert_eq!(rows().await, 0);
    harness.end().await;
}

#[tokio::test]
async fn warm_tokens_are_exchanged_without_the_store() {
    let (harness, _) = acme().await;
    let (key, full) = given(&harness, "sdk").await;
    let child = harness.exchanged(&full, "item_preview", &[]).await.token();
    for table in ["tokens", "given", "callers", "tenants", "apps", "credentials", "audit"] {
        harness.hand().does(&format!("ALTER TABLE {table} RENAME TO hidden_{table}")).await;
    }
    assert_eq!(harness.exchanged(&full, "item_preview", &[]).await.token(), child);
    assert_eq!(harness.ccg(&key, None, &[]).await.token(), full);
    // What is not in memory cannot be looked for.
    let unknown = harness.exchanged("made-up", "item_preview", &[]).await;
    assert!(unknown.status >= 500, "{unknown:?}");
    harness.end().await;
}

#[tokio::test]
async fn whoever_came_with_an_issuers_token_was_given_it_while_the_trust_stands() {
    let scene = Scene::new().await;
    let full = scene.ask(&scene.token(json!({}))).await.token();
    scene.harness.exchanged(&full, "item_preview", &[]).await.token();
    let Scene { mut harness, issuer, signer } = scene;
    harness.restart().await;
    harness.exchanged(&full, "item_preview", &[]).await.token();
    assert_eq!(harness.had_downscoped().await.last().map(String::as_str), Some("job"));
    let scene = Scene { harness, issuer, signer };
    let job = scene.harness.get(&scene.harness.admin, "/v1/callers/job").await.is(200);
    let trust = job["trusts"][0]["id"].as_str().unwrap();
    let path = format!("/v1/callers/job/trusts/{trust}");
    scene.harness.delete(&scene.harness.admin, &path).await.is(204);
    scene.harness.exchanged(&full, "item_preview", &[]).await.refuses_as_box(400, "invalid_grant");
    scene.harness.end().await;
}

/// S5: whatever one statement does to the table, nobody is given what they were refused.
#[tokio::test]
async fn s5_nothing_written_over_who_was_given_tokens_gives_anybody_a_token() {
    let (mut harness, _) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let (_, of_ended) = given(&harness, "ended").await;
    let enterprise = harness.service("enterprise", any_token("globex")).await;
    let of_globex = harness.ccg(&enterprise, None, &[]).await.token();
    let strong = harness.service("strong", any_token("acme")).await;
    let of_user = harness.user_token(&strong, "acme", ADA).await.token();
    harness.grant("ended", json!([])).await;
    harness.stop().await;
    harness.hand().does("CREATE TABLE kept_given AS SELECT * FROM given").await;
    let row = |token: &str| {
        let sha256 = box_token_broker::crypto::sha256_hex(token.as_bytes());
        format!("(SELECT id FROM tokens WHERE fingerprint = '{sha256}')")
    };
    let (ended, globex) = (row(&of_ended), row(&of_globex));
    let user = row(&of_user);
    let columns = harness.hand().columns("given").await;
    let mut statements = Vec::new();
    for (column, holds) in &columns {
        for other in [&globex, &user] {
            let value = format!("(SELECT {column} FROM given WHERE token_id = {other} LIMIT 1)");
            statements.push(format!("UPDATE given SET {column} = {value} WHERE token_id = {ended}"));
        }
        if *holds == Holds::Number {
            statements.push(format!("UPDATE given SET {column} = {column} + 1 WHERE token_id = {ended}"));
        }
    }
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    for other in [&globex, &user] {
        let copied: Vec<_> = names
            .iter()
            .map(|name| if *name == "token_id" { ended.clone() } else { (*name).to_owned() })
            .collect();
        let (into, what) = (names.join(", "), copied.join(", "));
        statements
            .push(format!("INSERT INTO given ({into}) SELECT {what} FROM given WHERE token_id = {other}"));
        statements
            .push(format!("UPDATE given SET token_id = {ended}, receiver = 'x' WHERE token_id = {other}"));
        statements
            .push(format!("UPDATE given SET doc = (SELECT doc FROM given WHERE token_id = {other} LIMIT 1)"));
    }
    statements.push("UPDATE given SET doc = replace(doc, 'cal_', 'cal_x')".to_owned());
    statements.push("DELETE FROM given".to_owned());
    let mut done = 0;
    for sql in statements {
        if harness.hand().tries(&sql).await.is_none_or(|rows| rows == 0) {
            continue;
        }
        done += 1;
        harness.start().await;
        let reply = harness.exchanged(&of_ended, "item_preview", &[]).await;
        assert_eq!((reply.status, &reply.body["error"]), (400, &json!("invalid_grant")), "{sql}");
        harness.stop().await;
        harness.hand().does("DELETE FROM given").await;
        harness.hand().does("INSERT INTO given SELECT * FROM kept_given").await;
    }
    assert!(done > 12, "{done} statements");
    harness.start().await;
    harness.exchanged(&of_globex, "item_preview", &[]).await.token();
    harness.exchanged(&of_user, "item_preview", &[]).await.token();
    harness.end().await;
}
