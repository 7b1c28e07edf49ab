//! The matrix of isolation leaves nothing out: no operation without what has to be declared of it, and
//! no route beside the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Harness;
use crate::isolation::document;
use crate::matrix_operations::{Things, operations};
use crate::response::Reply;

/// The routes that the document does not list: its own, what orchestrators ask, and the module that pages load.
const UNLISTED: [(&str, &str); 5] = [
    ("health.rs", "/healthz"),
    ("health.rs", "/readyz"),
    ("mod.rs", "/openapi.json"),
    ("token_provider.rs", "/v1/browser/token-provider-1.0.0.js"),
    ("token_provider.rs", "/v1/browser/token-provider.js"),
];

/// The document with one operation more, which `x-access` is said of.
fn with_a_new_one(access: Option<Value>) -> Value {
    let mut document = document();
    let mut operation = json!({ "operationId": "read_everything", "responses": { "200": {} } });
    if let Some(access) = access {
        operation["x-access"] = access;
    }
    document["paths"]["/v1/everything"] = json!({ "get": operation });
    document
}

#[test]
fn s6_an_operation_is_in_the_matrix_or_fails_it() {
    assert!(operations(&document()).is_ok());
    let whole = json!({ "permission": "tenants:read", "group": "admin", "audit": "tenant.read" });
    let but = |field: &str, value: Value| {
        let mut access = whole.clone();
        access[field] = value;
        Some(access)
    };
    let without = |field: &str| {
        let mut access = whole.clone();
        access.as_object_mut().unwrap().remove(field);
        Some(access)
    };
    for (access, told) in [
        (None, "x-access"),
        (without("permission"), "permission"),
        (but("permission", json!("tenants:everything")), "permission"),
        (without("audit"), "audit"),
        (but("audit", json!("tenant.everything")), "audit"),
        (without("group"), "group"),
        (Some(whole.clone()), "add a row for `read_everything`"),
    ] {
        let problem = operations(&with_a_new_one(access)).unwrap_err();
        assert!(problem.starts_with("GET /v1/everything: ") && problem.contains(told), "{problem}");
    }
    // One that is known does not lose its permission either.
    let mut document = document();
    document["paths"]["/v1/tenants"]["get"]["x-access"]["permission"] = Value::Null;
    let problem = operations(&document).unwrap_err();
    assert!(problem.starts_with("GET /v1/tenants: "), "{problem}");
}

/// Things of the form that each name has, none of which is there.
fn nothings() -> Things {
    let id = |kind: &str| format!("{kind}_{}", "0".repeat(20));
    Things {
        tenant: "nobody".to_owned(),
        app: "nobody".to_owned(),
        caller: "nobody".to_owned(),
        key: id("key"),
        trust: id("tru"),
        keypair: id("kpr"),
        session: id("ses"),
        ..Things::default()
    }
}

async fn anonymous(harness: &Harness, address: SocketAddr, method: &str, path: &str) -> Reply {
    let url = format!("http://{address}{path}");
    let request = harness.http.request(method.parse().unwrap(), url);
    Reply::of(request.send().await.unwrap()).await
}

#[tokio::test]
async fn s6_each_operation_is_served_by_the_listener_of_its_group_alone_and_to_nobody_unknown() {
    let own = [("BTB_HTTP__ADMIN_LISTEN", "127.0.0.1:0"), ("BTB_HTTP__BROWSER_LISTEN", "127.0.0.1:0")];
    let harness = Harness::with(&own, |_, _| {}).await;
    let broker = harness.broker();
    for operation in operations(&document()).unwrap() {
        let path = nothings().named(&operation.path);
        for (group, address) in [
            ("service", broker.service),
            ("admin", broker.admin),
            ("browser", broker.browser),
            ("operations", broker.operations),
        ] {
            let reply = anonymous(&harness, address, &operation.method, &path).await;
            // Whoever speaks Box says in the form who it is.
            let unknown = if operation.row.form.is_some() { 400 } else { 401 };
            let expected = if operation.group == group { unknown } else { 404 };
            assert_eq!(reply.status, expected, "{} on the {group} listener: {reply:?}", operation.id);
        }
        harness.clock.advance(std::time::Duration::from_secs(1));
    }
    harness.end().await;
}

#[tokio::test]
async fn s6_no_path_knows_a_method_that_the_document_does_not_list() {
    let harness = Harness::new().await;
    let service = harness.broker().service;
    let mut paths: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for operation in operations(&document()).unwrap() {
        let methods = paths.entry(nothings().named(&operation.path)).or_default();
        methods.extend((operation.method == "GET").then(|| "HEAD".to_owned()));
        methods.insert(operation.method);
    }
    for (path, listed) in paths {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if listed.contains(method) {
                continue;
            }
            let reply = anonymous(&harness, service, method, &path).await;
            let allowed: BTreeSet<String> = reply.header("allow").split(',').map(str::to_owned).collect();
            assert_eq!(allowed, listed, "{method} {path}");
            reply.refuses(405, "method_not_allowed");
        }
    }
    harness.end().await;
}

/// The routes that a file makes by hand, which the document therefore does not list.
fn made_by_hand(source: &str) -> Vec<&str> {
    let routes = source.split(".route(").skip(1);
    routes.map(|rest| rest.trim_start().split('"').nth(1).unwrap_or(rest)).collect()
}

#[test]
fn s6_no_route_is_made_beside_the_document() {
    let mut paths = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http")];
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for way in [".nest(", ".nest_service(", ".route_service(", ".fallback_service("] {
            assert!(!source.contains(way), "{file}: what is behind `{way}…)` is in no document");
        }
        found.extend(made_by_hand(&source).into_iter().map(|route| (file.clone(), route.to_owned())));
    }
    found.sort();
    let known = UNLISTED.map(|(file, route)| (file.to_owned(), route.to_owned()));
    assert_eq!(found, known, "make routes by `routes!`, which lists them in the document");
}

#[tokio::test]
async fn s6_what_is_public_says_nothing_of_anybody() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let (service, operations) = (harness.broker().service, harness.broker().operations);
    for (address, path) in [
        (service, "/openapi.json"),
        (service, "/docs/"),
        (service, "/v1/browser/token-provider.js"),
        (operations, "/healthz"),
        (operations, "/readyz"),
    ] {
        let response = harness.http.get(format!("http://{address}{path}")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let text = response.text().await.unwrap();
        for name in [&harness.apps.acme.client_id, &harness.apps.acme.public_key_id] {
            assert!(!text.contains(name), "{path} tells of {name}");
        }
    }
    harness.end().await;
}
