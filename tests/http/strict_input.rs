//! What a request may hold: nothing unknown, nothing of another shape, nothing that nobody sees.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::browser_fixture::{Opened, PORTAL, usual};
use crate::harness::{Harness, by_config};
use crate::registration::pointers;
use crate::response::Reply;

#[tokio::test]
async fn no_route_takes_a_query_parameter_that_it_does_not_know() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let document: Value = serde_json::from_str(
        &harness.http.get(harness.url("/openapi.json")).send().await.unwrap().text().await.unwrap(),
    )
    .unwrap();
    let names =
        BTreeMap::from([("{tenant}", "acme"), ("{app}", "portal"), ("{caller}", "root"), ("{key}", "key_a")]);
    harness.pages_of("acme").await;
    let sessions = "/v1/tenants/acme/browser-sessions";
    let session = Opened::of(harness.post(&harness.admin, sessions, usual()).await).text;
    let mut seen = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let named = names.iter().fold(path.clone(), |path, (parameter, name)| path.replace(parameter, name));
        for method in methods.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let path = format!("{named}?unknown=1");
            if named.starts_with("/oauth2/") {
                let problem =
                    harness.form(&path["/oauth2/".len()..], &[]).await.refuses_as_box(400, "invalid_request");
                assert!(problem["message"].as_str().unwrap().contains("query"), "{problem}");
                continue;
            }
            let right = if path.starts_with("/v1/browser/") { &session } else { &harness.admin };
            let request =
                harness.http.request(method.parse().unwrap(), harness.url(&path)).bearer_auth(right);
            let reply = Reply::of(request.header("origin", PORTAL).send().await.unwrap()).await;
            let problem = reply.refuses(422, "invalid");
            assert_eq!(pointers(&problem), ["/unknown"], "{method} {path}");
            // Whoever is nobody is told that first.
            harness.call("btb_a_b", &method, &path, None).await.refuses(401, "unauthenticated");
            seen += 1;
        }
    }
    assert!(seen >= 20, "{seen}");
    harness.post(&harness.admin, "/v1/apps?dry_run=true", json!({})).await.refuses(422, "invalid");
    assert_eq!(harness.get(&harness.admin, "/v1/whoami?").await.is(200)["name"], "root");
    harness.end().await;
}

#[tokio::test]
async fn an_array_is_no_object_and_an_object_is_no_name() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let grant = json!({ "tenant": "acme", "permissions": ["tokens:mint"] });
    let credentials = json!(["id", "secret", "1001", "ccg", null, null, null]);
    let (token, downscoped) = ("/v1/tenants/acme/token", "/v1/tenants/acme/token/downscoped");
    for (path, body, told) in [
        (token, json!([null, null]), ""),
        (token, json!([]), ""),
        (token, json!({ "subject": ["user", "1"] }), "/subject"),
        (token, json!({ "subject": [{ "type": "enterprise" }] }), "/subject"),
        (token, json!({ "subject": { "type": { "user": null }, "id": "1" } }), "/subject/type"),
        (downscoped, json!([null, null, ["item_preview"]]), ""),
        (downscoped, json!({ "preset": { "preview": null } }), "/preset"),
        (downscoped, json!({ "scopes": ["item_preview"], "resource": ["file", "1"] }), "/resource"),
        (downscoped, json!({ "scopes": ["item_preview"], "annotator": ["1", "Ada"] }), "/annotator"),
        ("/v1/tenants/acme/test", json!(["1"]), ""),
        ("/v1/tenants", json!(["globex"]), ""),
        ("/v1/tenants", json!({ "tenant": "globex", "credentials": credentials }), "/credentials"),
        ("/v1/tenants", json!({ "tenant": "globex", "policy": [["enterprise"]] }), "/policy"),
        ("/v1/callers", json!(["arr", "service", [grant]]), ""),
        ("/v1/callers", json!({ "name": "arr", "kind": { "service": null }, "grants": [] }), "/kind"),
        ("/v1/callers", json!({ "name": "arr", "kind": "service", "grants": [["acme"]] }), "/grants/0"),
        ("/v1/callers/root/keys", json!([null]), ""),
    ] {
        let problem = harness.post(&harness.admin, path, body.clone()).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [told], "{path} {body}");
    }
    for (path, body, told) in [
        ("/v1/tenants/acme", json!([]), ""),
        ("/v1/tenants/acme", json!({ "policy": [["enterprise"], null, true] }), "/policy"),
        ("/v1/callers/root", json!(["ruth"]), ""),
    ] {
        let problem = harness.patch(&harness.admin, path, body.clone()).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [told], "{path} {body}");
    }
    // What a config holds is nobody's business until it is read as one.
    let mut body = by_config("globex", &harness.apps.globex);
    body["config"]["anything"] = json!([[1, { "a": [] }], { "b": { "c": null } }]);
    harness.post(&harness.admin, "/v1/tenants", body).await.is(201);
    harness.end().await;
}

#[tokio::test]
async fn null_removes_nothing_that_has_to_stay() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "portal", "config": config })).await.is(201);
    harness.service("portal", json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }])).await;
    for (path, field) in [
        ("/v1/callers/portal", "name"),
        ("/v1/callers/portal", "grants"),
        ("/v1/apps/portal", "state"),
        ("/v1/tenants/acme", "state"),
    ] {
        let before = harness.get(&harness.admin, path).await.is(200);
        let problem =
            harness.patch(&harness.admin, path, json!({ (field): null })).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), [format!("/{field}")], "{path}");
        assert_eq!(harness.get(&harness.admin, path).await.is(200), before);
        harness.patch(&harness.admin, path, json!({})).await.is(200);
    }
    let cleared = json!({ "display_name": null, "labels": null, "policy": null });
    let tenant = harness.patch(&harness.admin, "/v1/tenants/acme", cleared).await.is(200);
    assert_eq!((&tenant["display_name"], &tenant["labels"]), (&json!("acme"), &json!({})));
    harness.end().await;
}

#[tokio::test]
async fn a_fault_is_told_in_plain_words() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let token = "/v1/tenants/acme/token";
    for (method, path, body, told) in [
        ("POST", token, json!({ "min_ttl": "x" }), "Expected a whole number that is not negative."),
        ("POST", token, json!({ "min_ttl": -1 }), "Expected a whole number that is not negative."),
        ("POST", token, json!({ "min_ttl": 1.5 }), "Expected a whole number that is not negative."),
        ("POST", token, json!([null]), "Expected a JSON object."),
        ("POST", token, json!(7), "Expected a JSON object."),
        ("POST", token, json!({ "subject": 7 }), "Expected a JSON object."),
        ("POST", token, json!({ "subject": { "type": 7 } }), "Expected `enterprise` or `user`."),
        ("POST", token, json!({ "subject": { "type": "app" } }), "Expected `enterprise` or `user`."),
        ("POST", token, json!({ "subject": { "type": "user" } }), "the subject `user` needs the user's `id`"),
        (
            "POST",
            token,
            json!({ "x": 1 }),
            "unknown field `x`, expected one of `subject`, `min_ttl`, `rejected`, `on_behalf_of`",
        ),
        (
            "POST",
            "/v1/callers",
            json!({ "name": "a", "kind": 1, "grants": [] }),
            "Expected `service` or `admin`.",
        ),
        (
            "POST",
            "/v1/callers",
            json!({ "name": "a", "kind": "service", "grants": {} }),
            "Expected an array.",
        ),
        (
            "POST",
            "/v1/callers/root/keys",
            json!({ "expires_at": "tomorrow" }),
            "a time is written as RFC 3339 says, such as `2026-01-02T03:04:05Z`",
        ),
        ("POST", "/v1/tenants", json!({ "tenant": "a", "labels": [] }), "Expected a JSON object."),
        (
            "PATCH",
            "/v1/tenants/acme",
            json!({ "policy": { "full_tokens": 1 } }),
            "Expected `true` or `false`.",
        ),
        ("PATCH", "/v1/tenants/acme", json!({ "policy": 1 }), "Expected a JSON object."),
        ("PATCH", "/v1/tenants/acme", json!({ "state": "deleted" }), "Expected `active` or `suspended`."),
        ("PATCH", "/v1/tenants/acme", json!({ "state": "gone" }), "Expected `active` or `suspended`."),
        ("PATCH", "/v1/tenants/acme", json!({ "labels": { "a": 1 } }), "Expected a string."),
    ] {
        let problem = harness.call(&harness.admin, method, path, Some(&body)).await.refuses(422, "invalid");
        assert_eq!(problem["detail"], told, "{path} {body}");
    }
    harness.end().await;
}

#[tokio::test]
async fn texts_that_people_read_hold_nothing_invisible() {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let selecting = |labels: Value| json!({ "name": "a", "kind": "service", "grants": [{ "labels": labels, "permissions": ["tokens:mint"] }] });
    let many: serde_json::Map<String, Value> = (0..65).map(|n| (format!("k{n}"), json!("v"))).collect();
    for (labels, told) in [
        (json!({ "": "x" }), "/grants/0/labels/"),
        (json!({ "a": "\0" }), "/grants/0/labels/a"),
        (json!({ "a": "" }), "/grants/0/labels/a"),
        (json!({ "a:b": "c" }), "/grants/0/labels/a:b"),
        (json!({ "a": "x".repeat(129) }), "/grants/0/labels/a"),
        (json!({ "a": "\u{202e}x" }), "/grants/0/labels/a"),
        (json!(many), "/grants/0/labels"),
    ] {
        let problem = harness.post(&harness.admin, "/v1/callers", selecting(labels.clone())).await;
        assert_eq!(pointers(&problem.refuses(422, "invalid")), [told], "{labels}");
    }
    harness.post(&harness.admin, "/v1/callers", selecting(json!({ "team": "a b" }))).await.is(201);
    for hidden in ["\u{202e}", "\u{2028}", "\u{200b}", "\u{feff}", "\u{85}"] {
        let text = format!("a{hidden}b");
        for (patch, told) in [
            (json!({ "display_name": text }), "/display_name".to_owned()),
            (json!({ "labels": { "k": text } }), "/labels/k".to_owned()),
            (json!({ "labels": { (text.clone()): "v" } }), format!("/labels/{text}")),
        ] {
            let problem =
                harness.patch(&harness.admin, "/v1/tenants/acme", patch).await.refuses(422, "invalid");
            assert_eq!(pointers(&problem), [told]);
        }
        let body = json!({ "preset": "preview", "annotator": { "id": "1", "name": text } });
        let problem = harness.downscoped(&harness.admin, "acme", body).await.refuses(422, "invalid");
        assert_eq!(pointers(&problem), ["/annotator"]);
    }
    harness.end().await;
}
