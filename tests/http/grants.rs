//! Who may have which token: a grant and the tenant's policy, judged on every request, so that a
//! token that is there already is as well guarded as one that has to be minted.

use serde_json::{Value, json};

use crate::harness::{ADA, FILE, FOLDER, GRACE};
use crate::token_requests::{acme, user};

fn on_file(scopes: &[&str]) -> Value {
    json!({ "scopes": scopes, "resource": { "type": "file", "id": FILE } })
}

fn grant(permission: &str, more: Value) -> Value {
    let mut grant = json!({ "tenant": "acme", "permissions": [permission] });
    grant.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    grant
}

#[tokio::test]
async fn invariant_1_an_entry_primed_under_a_broad_grant_is_refused_to_a_narrow_caller_on_the_next_request() {
    let (harness, broad) = acme().await;
    let child = on_file(&["item_preview", "item_download"]);
    harness.token(&broad, "acme").await.token();
    harness.user_token(&broad, "acme", ADA).await.token();
    harness.downscoped(&broad, "acme", child.clone()).await.token();

    let preview = grant("tokens:downscope", json!({ "scopes": ["item_preview"] }));
    let preview = harness.service("preview", json!([preview])).await;
    harness.token(&preview, "acme").await.refuses(403, "forbidden");
    harness.user_token(&preview, "acme", ADA).await.refuses(403, "forbidden");
    harness.downscoped(&preview, "acme", child.clone()).await.refuses(403, "forbidden");
    harness.downscoped(&preview, "acme", on_file(&["item_preview"])).await.token();

    let folder = json!({ "resources": [{ "type": "folder", "id": FOLDER }] });
    let folder = harness.service("folder", json!([grant("tokens:downscope", folder)])).await;
    harness.downscoped(&folder, "acme", child).await.refuses(403, "forbidden");
    harness.end().await;
}

#[tokio::test]
async fn invariant_1_a_changed_policy_holds_at_once_for_warm_tokens() {
    let (harness, key) = acme().await;
    let child = on_file(&["item_preview"]);
    let asks = async || {
        [
            harness.token(&key, "acme").await.status,
            harness.user_token(&key, "acme", ADA).await.status,
            harness.downscoped(&key, "acme", child.clone()).await.status,
        ]
    };
    assert_eq!(asks().await, [200, 200, 200]);
    let (mints, exchanges) = (harness.mints().await, harness.exchanges().await);
    for (policy, expected) in [
        (json!({ "full_tokens": false }), [403, 403, 200]),
        (json!({ "full_tokens": true, "subjects": ["enterprise"] }), [200, 403, 200]),
        (json!({ "subjects": ["user:*"] }), [403, 200, 403]),
        (json!({ "subjects": [format!("user:{GRACE}")] }), [403, 403, 403]),
        (json!({ "subjects": null, "scopes": ["item_download"] }), [403, 403, 403]),
        (json!({ "scopes": ["item_download", "item_preview"] }), [403, 403, 200]),
        (json!({ "scopes": null }), [200, 200, 200]),
    ] {
        harness.change_tenant("acme", json!({ "policy": policy.clone() })).await;
        assert_eq!(asks().await, expected, "{policy}");
    }
    assert_eq!((harness.mints().await, harness.exchanges().await), (mints, exchanges));
    harness.end().await;
}

#[tokio::test]
async fn invariant_1_a_changed_grant_holds_at_once_for_warm_tokens() {
    let (harness, key) = acme().await;
    let token = harness.user_token(&key, "acme", ADA).await.token();
    let change = async |grants: Value| {
        harness.patch(&harness.admin, "/v1/callers/portal", json!({ "grants": grants })).await.is(200)
    };
    change(json!([grant("tokens:mint", json!({ "subjects": [format!("user:{GRACE}")] }))])).await;
    harness.user_token(&key, "acme", ADA).await.refuses(403, "forbidden");
    change(json!([])).await;
    harness.user_token(&key, "acme", ADA).await.refuses(404, "not_found");
    change(json!([grant("tokens:mint", json!({ "subjects": [format!("user:{ADA}")] }))])).await;
    assert_eq!(harness.user_token(&key, "acme", ADA).await.token(), token);
    harness.end().await;
}

#[tokio::test]
async fn two_grants_are_not_mixed_into_a_third() {
    let harness = acme().await.0;
    let grants = json!([
        grant("tokens:downscope", json!({ "scopes": ["item_preview"], "subjects": ["enterprise"] })),
        grant(
            "tokens:downscope",
            json!({ "scopes": ["item_download"], "subjects": [format!("user:{ADA}")] })
        ),
        grant(
            "tokens:downscope",
            json!({
                "scopes": ["item_preview", "item_download"], "resources": [{ "type": "folder", "id": FOLDER }],
            })
        ),
    ]);
    let key = harness.service("mixed", grants).await;
    let ask = async |subject: Value, scopes: &[&str]| {
        let mut body = on_file(scopes);
        body["subject"] = subject;
        harness.downscoped(&key, "acme", body).await.status
    };
    let enterprise = json!({ "type": "enterprise" });
    assert_eq!(ask(enterprise.clone(), &["item_preview"]).await, 200);
    assert_eq!(ask(user(ADA), &["item_download"]).await, 200);
    assert_eq!(ask(user(ADA), &["item_preview"]).await, 403);
    assert_eq!(ask(enterprise.clone(), &["item_download"]).await, 403);
    assert_eq!(ask(enterprise, &["item_preview", "item_download"]).await, 403);
    harness.end().await;
}

#[tokio::test]
async fn oauth_scopes_need_what_a_full_token_needs() {
    let (harness, mint) = acme().await;
    let key = harness.service("narrow", json!([grant("tokens:downscope", json!({}))])).await;
    let root = json!({ "scopes": ["root_readwrite"] });
    for scopes in [json!(["root_readwrite"]), json!(["item_preview", "root_readonly"]), json!(["gcm"])] {
        let reply = harness.downscoped(&key, "acme", json!({ "scopes": scopes })).await;
        reply.refuses(403, "forbidden");
    }
    harness.downscoped(&key, "acme", json!({ "scopes": ["item_preview"] })).await.token();
    harness.downscoped(&mint, "acme", root.clone()).await.token();
    harness.change_tenant("acme", json!({ "policy": { "full_tokens": false } })).await;
    harness.downscoped(&mint, "acme", root.clone()).await.refuses(403, "forbidden");
    let policy = json!({ "policy": { "full_tokens": true, "scopes": ["root_readwrite"] } });
    harness.change_tenant("acme", policy).await;
    harness.downscoped(&mint, "acme", root).await.refuses(403, "forbidden");
    harness.end().await;
}

#[tokio::test]
async fn a_grant_with_scopes_or_resources_never_yields_a_full_token() {
    let (harness, broad) = acme().await;
    harness.token(&broad, "acme").await.token();
    let scopes = json!({ "scopes": ["root_readwrite", "item_preview"] });
    let resources = json!({ "resources": [{ "type": "folder", "id": "0" }, { "type": "file", "id": FILE }] });
    for (name, limits) in [("scopes", scopes), ("resources", resources)] {
        let key = harness.service(name, json!([grant("tokens:mint", limits)])).await;
        harness.token(&key, "acme").await.refuses(403, "forbidden");
        let root = json!({ "scopes": ["root_readwrite"], "resource": { "type": "file", "id": FILE } });
        harness.downscoped(&key, "acme", root).await.refuses(403, "forbidden");
        harness.downscoped(&key, "acme", on_file(&["item_preview"])).await.token();
    }
    harness.end().await;
}

#[tokio::test]
async fn a_grant_with_resources_needs_one_of_them_exactly() {
    let harness = acme().await.0;
    let resources = json!({ "resources": [{ "type": "folder", "id": FOLDER }] });
    let key = harness.service("folder", json!([grant("tokens:downscope", resources)])).await;
    let link = "https://app.box.com/s/sandbox-20000001002";
    for (more, status) in [
        (json!({ "resource": { "type": "folder", "id": FOLDER } }), 200),
        // The file lies in the folder.
        (json!({ "resource": { "type": "file", "id": FILE } }), 403),
        (json!({ "resource": { "type": "file", "id": FOLDER } }), 403),
        (json!({}), 403),
        (json!({ "shared_link": link }), 403),
    ] {
        let mut body = json!({ "scopes": ["item_preview"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(harness.downscoped(&key, "acme", body).await.status, status, "{more}");
    }
    harness.end().await;
}

#[tokio::test]
async fn a_grant_that_names_no_subjects_is_for_the_service_account_alone() {
    let harness = acme().await.0;
    let key = harness.service("plain", json!([grant("tokens:mint", json!({}))])).await;
    harness.token(&key, "acme").await.token();
    harness.user_token(&key, "acme", ADA).await.refuses(403, "forbidden");
    let told = harness.get(&key, "/v1/whoami").await.ok();
    assert_eq!(told["grants"][0]["subjects"], json!(["enterprise"]));
    harness.end().await;
}

#[tokio::test]
async fn a_grant_by_labels_is_lost_with_a_label() {
    let harness = acme().await.0;
    let labels = json!([{ "labels": { "team": "a", "env": "prod" }, "permissions": ["tokens:mint"] }]);
    let key = harness.service("labelled", labels).await;
    harness.token(&key, "acme").await.refuses(404, "not_found");
    for (labels, status) in [
        (json!({ "team": "a" }), 404),
        (json!({ "env": "prod" }), 200),
        (json!({ "env": "test" }), 404),
        (json!({ "env": "prod", "more": "too" }), 200),
        (json!({ "team": null }), 404),
    ] {
        harness.change_tenant("acme", json!({ "labels": labels.clone() })).await;
        assert_eq!(harness.token(&key, "acme").await.status, status, "{labels}");
    }
    harness.end().await;
}
