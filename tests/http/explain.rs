//! Why a caller would get a token or not: told to admins, and true of the next request.

use serde_json::{Value, json};

use crate::harness::{ADA, FILE, FOLDER, GRACE, Harness};
use crate::response::Reply;
use crate::token_requests::{acme, any_token, user};

async fn explain(harness: &Harness, key: &str, caller: &str, more: Value) -> Reply {
    let mut body = json!({ "caller": caller, "tenant": "acme" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    harness.post(key, "/v1/policy/explain", body).await
}

fn codes(told: &Value) -> Vec<&str> {
    let warnings = told["warnings"].as_array().unwrap();
    warnings.iter().map(|warning| warning["code"].as_str().unwrap()).collect()
}

/// What the caller is answered when it asks for what the question is about.
async fn request(harness: &Harness, key: &str, more: &Value) -> bool {
    let rest = if more.get("scopes").is_some() { "/downscoped" } else { "" };
    let reply = harness.post(key, &format!("/v1/tenants/acme/token{rest}"), more.clone()).await;
    assert!([200, 403, 404].contains(&reply.status), "{reply:?}");
    reply.status == 200
}

#[tokio::test]
async fn what_is_explained_is_what_the_request_gets() {
    let (harness, portal) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let grants = json!([
        { "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": ["item_preview"],
          "resources": [{ "type": "folder", "id": FOLDER }] },
        { "tenant": "acme", "permissions": ["tokens:mint"], "subjects": [format!("user:{ADA}")] },
    ]);
    let narrow = harness.service("narrow", grants).await;
    let foreign = harness.service("foreign", any_token("globex")).await;
    let callers = [("portal", &portal), ("narrow", &narrow), ("foreign", &foreign)];
    let file = json!({ "type": "file", "id": FILE });
    let questions = [
        json!({}),
        json!({ "on_behalf_of": "ada" }),
        json!({ "subject": user(ADA) }),
        json!({ "subject": user(GRACE), "on_behalf_of": "ada" }),
        json!({ "scopes": ["item_preview"], "on_behalf_of": "ada" }),
        json!({ "scopes": ["item_preview"], "resource": { "type": "folder", "id": FOLDER } }),
        json!({ "scopes": ["item_preview", "item_download"], "resource": file, "subject": user(ADA) }),
        json!({ "scopes": ["root_readwrite"], "subject": user(ADA) }),
    ];
    let mut seen = [0, 0];
    for change in [
        json!({ "policy": {} }),
        json!({ "policy": { "subjects": ["enterprise"] } }),
        json!({ "policy": { "subjects": null, "full_tokens": false } }),
        json!({ "policy": { "full_tokens": null, "scopes": ["item_preview"] } }),
        json!({ "policy": { "scopes": null, "require_on_behalf_of": true } }),
        json!({ "policy": { "mode": "observe", "subjects": ["user:1"] } }),
        json!({ "state": "suspended" }),
    ] {
        harness.change_tenant("acme", change.clone()).await;
        for (name, key) in callers {
            for question in &questions {
                let told = explain(&harness, &harness.admin, name, question.clone()).await.is(200);
                let got = request(&harness, key, question).await;
                assert_eq!(told["allowed"], got, "{name} {question} under {change}: {told}");
                assert_eq!(told["grant"].is_null(), !got, "{told}");
                assert!(got || told["rule"].is_string(), "{told}");
                seen[usize::from(got)] += 1;
            }
        }
    }
    assert!(seen.iter().all(|times| *times > 20), "{seen:?}");
    harness.end().await;
}

#[tokio::test]
async fn the_grant_that_decides_is_told_as_it_can_be_sent_back() {
    let (harness, _) = acme().await;
    let first = json!({ "tenant": "acme", "permissions": ["tokens:downscope"], "subjects": ["enterprise"] });
    let second =
        json!({ "tenant": "acme", "permissions": ["tokens:mint"], "subjects": [format!("user:{ADA}")] });
    harness.service("two", json!([first, second])).await;
    let id = harness.get(&harness.admin, "/v1/callers/two").await.ok()["id"].as_str().unwrap().to_owned();
    for name in ["two", &id] {
        let told = explain(&harness, &harness.admin, name, json!({ "subject": user(ADA) })).await.is(200);
        assert_eq!((&told["grant"], &told["grant_index"]), (&second, &json!(1)));
        assert_eq!((&told["caller"], &told["rule"]), (&json!("two"), &Value::Null));
        let reason = told["reason"].as_str().unwrap();
        assert!(
            reason.contains("Grant 1") && reason.contains(ADA) && reason.contains("tokens:mint"),
            "{reason}"
        );
    }
    let back = json!({ "grants": [second] });
    harness.patch(&harness.admin, "/v1/callers/two", back).await.is(200);
    harness.end().await;
}

#[tokio::test]
async fn each_rule_and_each_state_is_named_and_told_in_words() {
    let (harness, _) = acme().await;
    harness.service("none", json!([])).await;
    harness.service("revoker", json!([{ "tenant": "acme", "permissions": ["tokens:revoke"] }])).await;
    let scoped = json!([{ "tenant": "acme", "permissions": ["tokens:mint"], "scopes": ["item_preview"] }]);
    harness.service("scoped", scoped).await;
    let bound = json!([{ "tenant": "acme", "permissions": ["tokens:mint"],
        "resources": [{ "type": "folder", "id": FOLDER }] }]);
    harness.service("bound", bound).await;
    let preview = json!({ "scopes": ["item_preview"] });
    let download = json!({ "scopes": ["item_download"] });
    let on_file = json!({ "scopes": ["item_preview"], "resource": { "type": "file", "id": FILE } });
    let closed = |policy: Value| json!({ "policy": policy });
    for (change, caller, question, rule, word) in [
        (json!({}), "none", json!({}), "grant.tenant", "no grant"),
        (json!({}), "revoker", json!({}), "grant.permission", "`tokens:mint`"),
        (json!({}), "revoker", preview.clone(), "grant.permission", "`tokens:downscope`"),
        (json!({}), "scoped", json!({ "subject": user(ADA) }), "grant.subjects", ADA),
        (json!({}), "scoped", json!({}), "grant.scopes", "never yields a full token"),
        (json!({}), "scoped", download, "grant.scopes", "scopes together"),
        (json!({}), "bound", preview.clone(), "grant.resources", "names none"),
        (json!({}), "bound", on_file, "grant.resources", FILE),
        (closed(json!({ "subjects": ["user:1"] })), "portal", json!({}), "policy.subjects", "enterprise"),
        (
            closed(json!({ "subjects": null, "full_tokens": false })),
            "portal",
            json!({}),
            "policy.full_tokens",
            "no full token",
        ),
        (closed(json!({ "scopes": ["item_read"] })), "portal", preview, "policy.scopes", "scopes"),
        (
            closed(json!({ "scopes": null, "full_tokens": null, "require_on_behalf_of": true })),
            "portal",
            json!({}),
            "policy.on_behalf_of",
            "`on_behalf_of`",
        ),
        (
            json!({ "policy": null, "state": "suspended" }),
            "portal",
            json!({}),
            "tenant.suspended",
            "suspended",
        ),
    ] {
        harness.change_tenant("acme", change).await;
        let told = explain(&harness, &harness.admin, caller, question.clone()).await.is(200);
        assert_eq!((&told["allowed"], &told["rule"]), (&json!(false), &json!(rule)), "{question}");
        assert!(told["reason"].as_str().unwrap().contains(word), "{told}");
        assert!(told["grant"].is_null() && told["grant_index"].is_null() && told["caller"].is_null());
    }
    harness.change_tenant("acme", json!({ "state": "active" })).await;
    for (what, rule) in [("callers/portal", "caller.locked"), ("tenants/acme", "tenant.locked")] {
        let path = format!("/v1/{what}");
        harness.post(&harness.admin, &format!("{path}/lockdown"), json!({})).await.is(200);
        let told = explain(&harness, &harness.admin, "portal", json!({})).await.is(200);
        assert_eq!((&told["allowed"], &told["rule"]), (&json!(false), &json!(rule)));
        harness.patch(&harness.admin, &path, json!({ "state": "active" })).await.is(200);
    }
    harness.delete(&harness.admin, "/v1/tenants/acme").await.is(204);
    let told = explain(&harness, &harness.admin, "portal", json!({})).await.is(200);
    assert_eq!((&told["allowed"], &told["rule"]), (&json!(false), &json!("tenant.deleted")));
    harness.end().await;
}

#[tokio::test]
async fn a_pending_tenant_and_a_suspended_app_are_told_as_such() {
    let harness = crate::pending::calm().await;
    let body = crate::harness::by_config("acme", &harness.apps.acme);
    harness.post(&harness.admin, "/v1/tenants?verify=later", body).await.is(201);
    harness.service("portal", any_token("acme")).await;
    let mints = harness.mints().await;
    let told = explain(&harness, &harness.admin, "portal", json!({})).await.is(200);
    assert_eq!((&told["allowed"], &told["rule"]), (&json!(false), &json!("tenant.pending")));
    assert_eq!(harness.mints().await, mints);
    let config: Value = serde_json::from_str(&harness.apps.portal.json).unwrap();
    harness.post(&harness.admin, "/v1/apps", json!({ "app": "vendor", "config": config })).await.is(201);
    let north = json!({ "tenant": "north", "app": "vendor", "enterprise_id": crate::harness::NORTH });
    harness.post(&harness.admin, "/v1/tenants", north).await.is(201);
    harness.service("norths", any_token("north")).await;
    harness.patch(&harness.admin, "/v1/apps/vendor", json!({ "state": "suspended" })).await.is(200);
    let told = explain(&harness, &harness.admin, "norths", json!({ "tenant": "north" })).await.is(200);
    assert_eq!((&told["allowed"], &told["rule"]), (&json!(false), &json!("app.suspended")));
    harness.end().await;
}

#[tokio::test]
async fn it_warns_where_an_enterprise_token_is_worth_every_users() {
    let (harness, _) = acme().await;
    let plain = json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }]);
    harness.service("plain", plain).await;
    let downscope = json!([{ "tenant": "acme", "permissions": ["tokens:downscope"] }]);
    harness.service("downscope", downscope).await;
    let ada = json!({ "subject": user(ADA) });
    let preview = json!({ "scopes": ["item_preview"] });
    let warns = async |caller: &str, question: &Value| {
        let told = explain(&harness, &harness.admin, caller, question.clone()).await.is(200);
        codes(&told).contains(&"enterprise_token_acts_as_users")
    };
    assert!(warns("plain", &json!({})).await);
    // It is refused Ada's token, and that keeps it from nothing.
    assert!(warns("plain", &ada).await);
    // The header does nothing for a downscoped token.
    assert!(!warns("plain", &preview).await);
    assert!(!warns("downscope", &preview).await && !warns("downscope", &ada).await);
    // Who may be anyone anyway hears nothing of it, until the policy is against that.
    assert!(!warns("portal", &json!({})).await);
    harness.change_tenant("acme", json!({ "policy": { "subjects": ["enterprise"] } })).await;
    assert!(warns("portal", &json!({})).await && warns("portal", &ada).await);
    harness.change_tenant("acme", json!({ "policy": { "subjects": ["user:*"] } })).await;
    assert!(!warns("portal", &json!({})).await && !warns("plain", &ada).await);
    harness.end().await;
}

#[tokio::test]
async fn it_warns_of_a_policy_that_only_observes_and_of_a_grant_that_hangs_on_labels() {
    let (harness, _) = acme().await;
    let labels = json!([{ "labels": { "team": "a" }, "permissions": ["tokens:mint"],
        "subjects": ["enterprise", "user:*"] }]);
    harness.service("labelled", labels).await;
    let change = json!({ "labels": { "team": "a" }, "policy": { "full_tokens": false, "mode": "observe" } });
    harness.change_tenant("acme", change).await;
    let told = explain(&harness, &harness.admin, "labelled", json!({})).await.is(200);
    assert_eq!((&told["allowed"], &told["rule"]), (&json!(true), &json!("policy.full_tokens")));
    assert_eq!(codes(&told), ["observed", "label_grant"]);
    assert_eq!(told["grant"]["labels"], json!({ "team": "a" }));
    harness.end().await;
}

#[tokio::test]
async fn it_tells_where_pages_get_by_sessions_what_the_caller_does_not() {
    let (harness, _) = acme().await;
    let grants =
        json!([{ "tenant": "acme", "permissions": ["sessions:create"], "scopes": ["item_preview"] }]);
    harness.service("portal-pages", grants).await;
    let asked = |scope: &str| json!({ "scopes": [scope], "resource": { "type": "file", "id": "1" } });
    let told = explain(&harness, &harness.admin, "portal-pages", asked("item_preview")).await.is(200);
    assert_eq!((&told["allowed"], &told["rule"]), (&json!(false), &json!("grant.permission")));
    assert_eq!(codes(&told), ["browser_session"]);
    let told = explain(&harness, &harness.admin, "portal-pages", asked("item_download")).await.is(200);
    assert!(codes(&told).is_empty(), "{told}");
    harness.end().await;
}

#[tokio::test]
async fn asking_mints_nothing_and_needs_the_permission_on_the_tenant() {
    let (harness, portal) = acme().await;
    harness.register("globex", &harness.apps.globex).await;
    let (mints, exchanges) = (harness.mints().await, harness.exchanges().await);
    explain(&harness, &harness.admin, "portal", json!({ "subject": user(ADA) })).await.is(200);
    explain(&harness, &harness.admin, "portal", json!({ "scopes": ["item_preview"] })).await.is(200);
    assert_eq!((harness.mints().await, harness.exchanges().await), (mints, exchanges));
    explain(&harness, &portal, "portal", json!({})).await.refuses(403, "forbidden");
    let reader = json!([{ "tenant": "acme", "permissions": ["tenants:read"] }]);
    let reader = harness.caller("reader", "admin", reader).await;
    explain(&harness, &reader, "portal", json!({})).await.refuses(403, "forbidden");
    // One who may explain and manages no callers knows of no caller but themselves.
    let auditor = json!([{ "tenant": "acme", "permissions": ["policy:explain"] }]);
    let auditor = harness.caller("auditor", "admin", auditor).await;
    let told = explain(&harness, &auditor, "auditor", json!({})).await.is(200);
    assert_eq!(told["rule"], "grant.permission");
    for caller in ["portal", "nobody", "Not A Name"] {
        let told = explain(&harness, &auditor, caller, json!({})).await.refuses(422, "invalid");
        assert_eq!(told["errors"][0]["pointer"], "/caller");
    }
    // A foreign tenant is as an absent one.
    for tenant in ["globex", "nobody", "Not A Name"] {
        explain(&harness, &auditor, "auditor", json!({ "tenant": tenant })).await.refuses(404, "not_found");
    }
    harness.end().await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_with_its_place() {
    let (harness, _) = acme().await;
    for (more, pointer) in [
        (json!({ "resource": { "type": "file", "id": FILE } }), "/scopes"),
        (json!({ "scopes": [] }), "/scopes"),
        (json!({ "scopes": ["NO"] }), "/scopes/0"),
        (json!({ "subject": { "type": "user" } }), "/subject"),
        (json!({ "on_behalf_of": "" }), "/on_behalf_of"),
        (json!({ "more": 1 }), "/more"),
    ] {
        let told = explain(&harness, &harness.admin, "portal", more.clone()).await.refuses(422, "invalid");
        assert_eq!(told["errors"][0]["pointer"], pointer, "{more}");
    }
    harness.end().await;
}
