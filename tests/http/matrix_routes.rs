//! The matrix of isolation leaves nothing out: no operation without what has to be declared of it, and
//! no route beside the OpenAPI document.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use box_token_broker::domain::audit_event::AuditAction;
use box_token_broker::domain::grant::Permission;
use box_token_broker::http::route::{Access, Route};
use box_token_broker::http::routes;
use utoipa_axum::routes;

use crate::harness::Harness;
use crate::isolation::document;
use crate::matrix_operations::{Things, operations};
use crate::response::Reply;

/// The routes that everybody may call: the document's own, those of orchestrators, and the module that pages load.
const PUBLIC: [(&str, &str); 5] = [
    ("openapi.rs", "/openapi.json"),
    ("routes/health.rs", "/healthz"),
    ("routes/health.rs", "/readyz"),
    ("routes/token_provider.rs", "/v1/browser/token-provider-1.0.0.js"),
    ("routes/token_provider.rs", "/v1/browser/token-provider.js"),
];

/// Answers nothing.
#[utoipa::path(get, path = "/v1/everything", operation_id = "read_everything",
    responses((status = 204, description = "Nothing")))]
async fn everything() {}

/// Answers nothing, under the name of an operation that needs a permission.
#[utoipa::path(get, path = "/v1/everything", operation_id = "list_tenants",
    responses((status = 204, description = "Nothing")))]
async fn tenants() {}

#[test]
fn s6_an_operation_is_in_the_matrix_or_fails_it() {
    assert!(operations(&routes()).is_ok());
    let (read, action) = (Permission::TenantsRead, AuditAction::TenantRead);
    for (route, expected) in [
        (Route::admin(read, action, routes!(everything)), "add a row for `read_everything`"),
        (Route::admin(Access::AnyCaller, action, routes!(tenants)), "needs no permission"),
        (Route::browser(Access::BrowserSession, action, routes!(tenants)), "needs no permission"),
        (Route::service(Access::Public, action, routes!(tenants)), "needs no permission"),
    ] {
        let problem = operations(&[route]).unwrap_err();
        assert!(problem.starts_with("GET /v1/everything: ") && problem.contains(expected), "{problem}");
    }
}

#[test]
fn s6_every_operation_of_the_document_is_a_route() {
    let mut listed = BTreeSet::new();
    for (path, item) in document()["paths"].as_object().unwrap() {
        listed.extend(item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone())));
    }
    let declared =
        operations(&routes()).unwrap().into_iter().map(|operation| (operation.method, operation.path));
    assert_eq!(listed, declared.collect());
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
    for operation in operations(&routes()).unwrap() {
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
    for operation in operations(&routes()).unwrap() {
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

/// Returns the paths of the public routes that a file declares.
fn public_routes(source: &str) -> impl Iterator<Item = &str> {
    source.split("Route::public(").skip(1).map(|rest| rest.split('"').nth(1).unwrap_or(rest))
}

#[test]
fn s6_no_route_is_made_beside_the_declared_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http");
    let mut paths = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        let source = std::fs::read_to_string(&path).unwrap();
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let ways = [".route(", ".nest(", ".nest_service(", ".route_service(", ".fallback_service("];
        for way in ways.iter().filter(|way| file != "route.rs" || **way != ".route(") {
            assert!(!source.contains(way), "{file}: declare what is behind `{way}…)` as a `Route`");
        }
        found.extend(public_routes(&source).map(|route| (file.clone(), route.to_owned())));
    }
    found.sort();
    let known = PUBLIC.map(|(file, route)| (file.to_owned(), route.to_owned()));
    assert_eq!(found, known, "every other route demands a credential");
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
