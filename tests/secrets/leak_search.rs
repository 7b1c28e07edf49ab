//! Every secret of a hundred customers, and every byte that the broker left anywhere.

use std::collections::BTreeSet;
use std::path::PathBuf;

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::api_client::{PORTAL, Visitor};
use crate::customers::{Cast, parsed};
use crate::misuse;
use crate::process::{Place, Serving};
use crate::searcher::{Canary, Searcher};

/// A text that stands in the database in the clear, by which a search shows that it reads the right
/// files.
const IN_THE_CLEAR: &str = "The Company Whose Name Is No Secret";

#[tokio::test(flavor = "multi_thread")]
async fn s1_s8_a_hundred_customers_leave_no_secret_in_a_file_a_log_or_an_answer() {
    let cast = Cast::assemble().await;
    let visitor = Visitor::new();
    let place = Place::new(&cast.sandbox.url(), &[("BTB_LOG__LEVEL", "trace")]).await;
    let admin = place.new_admin("root").await;
    visitor.keeps("the admin's key", admin.rsplit('_').next().unwrap());

    let serving = place.serve().await;
    register(&visitor, &serving, &admin, &cast).await;
    let key = caller(&visitor, &serving, &admin).await;
    ask_for_tokens(&visitor, &serving, &key, &cast).await;
    ask_as_pages(&visitor, &serving, &admin, &cast).await;
    misuse::wrong_keys(&visitor, &serving, &admin).await;
    misuse::wrong_places(&visitor, &serving, &admin, &cast).await;
    misuse::echoes(&visitor, &serving, &key, &cast).await;
    let mut log = serving.kill().await;
    nothing_is_found(&place, &cast, &visitor, &log).await;

    let serving = place.serve().await;
    ask_for_tokens(&visitor, &serving, &key, &cast).await;
    leave(&visitor, &serving, &admin).await;
    log.extend(serving.stop().await);
    nothing_is_found(&place, &cast, &visitor, &log).await;
    place.end().await;
    cast.sandbox.stop().await;
}

async fn register(visitor: &Visitor, serving: &Serving, admin: &str, cast: &Cast) {
    let app = json!({ "app": "portal", "config": parsed(&cast.portal) });
    visitor.gets(serving, admin, ("POST", "/v1/apps"), &app).await;
    assert_eq!(cast.customers.len(), 100);
    for customer in &cast.customers {
        let mut body = customer.registration.clone();
        body["display_name"] = json!(format!("{IN_THE_CLEAR}, {}", customer.name));
        visitor.gets(serving, admin, ("POST", "/v1/tenants"), &body).await;
    }
    visitor.gets(serving, admin, ("GET", "/v1/tenants?limit=200"), &Value::Null).await;
}

/// A service's key; another one is made and revoked.
async fn caller(visitor: &Visitor, serving: &Serving, admin: &str) -> String {
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let caller = json!({ "name": "portal", "kind": "service", "grants": grants });
    visitor.gets(serving, admin, ("POST", "/v1/callers"), &caller).await;
    let keys = "/v1/callers/portal/keys";
    let revoked = visitor.gets(serving, admin, ("POST", keys), &json!({})).await;
    let path = format!("{keys}/{}", revoked["id"].as_str().unwrap());
    visitor.gets(serving, admin, ("DELETE", &path), &Value::Null).await;
    let revoked = revoked["key"].as_str().unwrap();
    visitor.fails(serving, revoked, ("GET", "/v1/whoami"), &Value::Null, "unauthenticated").await;
    let key = visitor.gets(serving, admin, ("POST", keys), &json!({})).await;
    visitor.gets(serving, admin, ("GET", "/v1/callers/portal"), &Value::Null).await;
    key["key"].as_str().unwrap().to_owned()
}

/// Tokens of every kind.
async fn ask_for_tokens(visitor: &Visitor, serving: &Serving, key: &str, cast: &Cast) {
    for (at, customer) in cast.customers.iter().enumerate() {
        let path = format!("/v1/tenants/{}/token", customer.name);
        visitor.gets(serving, key, ("POST", &path), &Value::Null).await;
        if at % 10 != 5 && at < 90 {
            continue;
        }
        let user = json!({ "subject": { "type": "user", "id": customer.user(1) } });
        visitor.gets(serving, key, ("POST", &path), &user).await;
        let link = customer.shared_link();
        visitor.keeps("a shared link", &link);
        for body in [
            json!({ "preset": "preview", "resource": { "type": "file", "id": customer.file() } }),
            json!({ "scopes": ["item_preview"], "shared_link": link }),
            json!({ "scopes": ["base_upload"], "annotator": { "id": "ext-17", "name": "Eve" } }),
        ] {
            visitor.gets(serving, key, ("POST", &format!("{path}/downscoped")), &body).await;
        }
    }
}

/// Pages with a session each, one of which is cancelled and one altered.
async fn ask_as_pages(visitor: &Visitor, serving: &Serving, admin: &str, cast: &Cast) {
    for customer in cast.customers.iter().step_by(10) {
        let (path, file) = (format!("/v1/tenants/{}", customer.name), customer.file());
        let policy = json!({ "policy": { "browser_origins": [PORTAL] } });
        visitor.gets(serving, admin, ("PATCH", &path), &policy).await;
        let body = json!({
            "subject": { "type": "user", "id": customer.user(1) }, "resources": [{ "type": "file", "id": file }],
            "read": { "preset": "preview" }, "write": { "preset": "sidebar" }, "origins": [PORTAL],
        });
        let sessions = format!("{path}/browser-sessions");
        let opened = visitor.gets(serving, admin, ("POST", &sessions), &body).await;
        let (id, text) = (opened["id"].as_str().unwrap(), opened["session"].as_str().unwrap());
        let (ask, ids) =
            (("POST", "/v1/browser/tokens"), json!({ "ids": [format!("file_{file}"), "file_1"] }));
        let given = visitor.gets(serving, text, ask, &ids).await;
        assert!(given["tokens"].as_object().is_some_and(|tokens| tokens.len() == 1), "{given}");
        visitor.fails(serving, &format!("{text}x"), ask, &ids, "unauthenticated").await;
        visitor.fails(serving, text, ("GET", "/v1/whoami"), &Value::Null, "unauthenticated").await;
        visitor.gets(serving, admin, ("GET", &sessions), &Value::Null).await;
        visitor.gets(serving, admin, ("DELETE", &format!("{sessions}/{id}")), &Value::Null).await;
        visitor.fails(serving, text, ask, &ids, "session_cancelled").await;
    }
}

/// Tenants are tested, deleted and purged.
async fn leave(visitor: &Visitor, serving: &Serving, admin: &str) {
    let tested = ("POST", "/v1/tenants/customer-3/test");
    visitor.gets(serving, admin, tested, &json!({})).await;
    visitor.gets(serving, admin, ("DELETE", "/v1/tenants/customer-4"), &Value::Null).await;
    visitor.gets(serving, admin, ("DELETE", "/v1/tenants/customer-5?purge=now"), &Value::Null).await;
}

/// Searches the database's files, the log and all answers.
async fn nothing_is_found(place: &Place, cast: &Cast, visitor: &Visitor, log: &[u8]) {
    let canaries = [cast.canaries.clone(), visitor.canaries(), key_set(place)].concat();
    assert!(canaries.len() > 1000, "{} secrets are too few", canaries.len());
    let searcher = Searcher::new(&canaries);
    let files = files(place).await;
    let clear = Searcher::new(&[Canary::new("what is no secret", IN_THE_CLEAR)]);
    assert!(!clear.find_below(&files).0.is_empty(), "the search does not read the database");
    let text = String::from_utf8_lossy(log);
    assert!(text.lines().filter(|line| line.contains("\"level\":\"TRACE\"")).count() > 100, "no TRACE");
    let known: Vec<u8> =
        visitor.canaries().into_iter().flat_map(|it| [it.secret, vec![b' ']].concat()).collect();
    assert!(cast.tokens_among_the_words_of("", &known).await.len() > 100, "no token is known by its digest");

    let (mut found, _) = searcher.find_below(&files);
    found.extend(searcher.find("the log", log));
    found.extend(searcher.find("an answer", &visitor.heard()));
    found.extend(cast.tokens_among_the_words_of("the log", log).await);
    found.extend(cast.tokens_among_the_words_of("an answer", &visitor.heard()).await);
    assert_eq!(found, BTreeSet::new());
}

/// Where the database has its files, which hold all that was committed.
async fn files(place: &Place) -> PathBuf {
    let Some(database) = place.postgres() else { return place.data() };
    database.hand.does("CHECKPOINT").await;
    PathBuf::from(database.hand.reads("SHOW data_directory").await.remove(0))
}

fn key_set(place: &Place) -> Vec<Canary> {
    let document: Value = serde_json::from_slice(&std::fs::read(place.key_file()).unwrap()).unwrap();
    let kinds = document.as_object().unwrap().values().filter_map(Value::as_array);
    kinds
        .flatten()
        .map(|entry| {
            let name = format!("the key set's {}", entry["id"]);
            Canary::new(name, BASE64.decode(entry["key"].as_str().unwrap().as_bytes()).unwrap())
        })
        .collect()
}
