//! What a caller is not told: that a tenant exists, and which rule refused.

use serde_json::{Value, json};

use crate::harness::{ADA, FILE};
use crate::response::Reply;
use crate::token_requests::{acme, any_token, user};

fn on_file(scopes: &[&str]) -> Value {
    json!({ "scopes": scopes, "resource": { "type": "file", "id": FILE } })
}

/// All of an answer but what differs between any two.
pub(crate) fn without_ids(mut reply: Reply) -> (u16, Vec<(String, String)>, Value) {
    let told = reply.headers.iter().filter(|(name, _)| !["x-request-id", "date"].contains(&name.as_str()));
    let headers = told.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    assert!(reply.body["request_id"].take().is_string());
    (reply.status, headers, reply.body)
}

#[tokio::test]
async fn s6_a_foreign_tenant_is_as_an_absent_one() {
    let harness = acme().await.0;
    let globex = harness.register("globex", &harness.apps.globex).await;
    let service = harness.service("foreign", any_token("globex")).await;
    let admin = json!([{ "tenant": "globex", "subjects": ["enterprise", "user:*"], "permissions": [
        "tokens:mint", "tenants:read", "tenants:write", "tenants:test", "tenants:delete", "callers:write",
    ] }]);
    let admin = harness.caller("foreign-admin", "admin", admin).await;
    let acme = harness.get(&harness.admin, "/v1/tenants/acme").await.ok();
    let never = format!("ten_{}", "0".repeat(globex["id"].as_str().unwrap().len() - 4));
    for (there, absent) in [("acme", "nobody"), (acme["id"].as_str().unwrap(), never.as_str())] {
        for (key, method, rest, body) in [
            (&service, "POST", "/token", None),
            (&service, "POST", "/token/downscoped", Some(on_file(&["item_preview"]))),
            (&service, "GET", "", None),
            (&admin, "POST", "/token", Some(json!({ "subject": user(ADA) }))),
            (&admin, "GET", "", None),
            (&admin, "PATCH", "", Some(json!({ "display_name": "Mine" }))),
            (&admin, "PATCH", "", Some(json!({ "no_such_field": 1 }))),
            (&admin, "DELETE", "", None),
            (&admin, "DELETE", "?purge=now", None),
            (&admin, "POST", "/test", Some(json!({}))),
        ] {
            let ask = async |tenant: &str| {
                let path = format!("/v1/tenants/{tenant}{rest}");
                without_ids(harness.call(key, method, &path, body.as_ref()).await)
            };
            let (foreign, none) = (ask(there).await, ask(absent).await);
            assert_eq!(foreign, none, "{method} {rest}");
            assert_eq!(foreign.0, 404, "{method} {rest}");
        }
    }
    assert_eq!(harness.get(&harness.admin, "/v1/tenants/acme").await.ok(), acme);
    harness.end().await;
}

#[tokio::test]
async fn a_refusal_does_not_tell_which_rule_it_was() {
    let (harness, key) = acme().await;
    let bound = json!({
        "tenant": "acme", "permissions": ["tokens:downscope"],
        "scopes": ["item_preview"], "resources": [{ "type": "file", "id": FILE }],
    });
    let narrow = harness.service("narrow", json!([bound])).await;
    let permission = harness.token(&narrow, "acme").await;
    let scope = harness.downscoped(&narrow, "acme", on_file(&["item_download"])).await;
    let resource = harness.downscoped(&narrow, "acme", json!({ "scopes": ["item_preview"] })).await;
    let subject = harness.user_token(&narrow, "acme", ADA).await;
    harness.change_tenant("acme", json!({ "policy": { "full_tokens": false } })).await;
    let policy = harness.token(&key, "acme").await;
    let refusals = [permission, scope, resource, subject, policy].map(without_ids);
    assert_eq!(refusals[0].0, 403);
    for refusal in &refusals {
        assert_eq!(*refusal, refusals[0]);
    }
    harness.end().await;
}

#[tokio::test]
async fn s6_a_damaged_tenant_is_not_told_to_those_who_have_nothing_there() {
    let harness = acme().await.0;
    harness.register("globex", &harness.apps.globex).await;
    let id = harness.get(&harness.admin, "/v1/tenants/acme").await.ok()["id"].as_str().unwrap().to_owned();
    let foreign = harness.service("foreign", any_token("globex")).await;
    let own = harness.service("own", any_token("acme")).await;
    let mut harness = harness;
    harness.stop().await;
    harness.hand().does("UPDATE tenants SET version = version + 1 WHERE name = 'acme'").await;
    harness.start().await;
    for tenant in ["acme", id.as_str()] {
        harness.token(&foreign, tenant).await.refuses(404, "not_found");
        harness.get(&foreign, &format!("/v1/tenants/{tenant}")).await.refuses(404, "not_found");
        harness.token(&own, tenant).await.refuses(500, "sealed_data_refused");
    }
    harness.token(&foreign, "globex").await.token();
    harness.end().await;
}
