//! Who may have which token: a grant and the tenant's policy, judged on every request, so that a
//! token that is there already is as well guarded as one that has to be minted.

use serde_json::{Value, json};

use crate::asking::{acme, user};
use crate::ground::{ADA, FILE, FOLDER, GRACE};

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
    let (ground, broad) = acme().await;
    let child = on_file(&["item_preview", "item_download"]);
    ground.token(&broad, "acme").await.token();
    ground.user_token(&broad, "acme", ADA).await.token();
    ground.downscoped(&broad, "acme", child.clone()).await.token();

    let preview = grant("tokens:downscope", json!({ "scopes": ["item_preview"] }));
    let preview = ground.service("preview", json!([preview])).await;
    ground.token(&preview, "acme").await.refuses(403, "forbidden");
    ground.user_token(&preview, "acme", ADA).await.refuses(403, "forbidden");
    ground.downscoped(&preview, "acme", child.clone()).await.refuses(403, "forbidden");
    ground.downscoped(&preview, "acme", on_file(&["item_preview"])).await.token();

    let folder = json!({ "resources": [{ "type": "folder", "id": FOLDER }] });
    let folder = ground.service("folder", json!([grant("tokens:downscope", folder)])).await;
    ground.downscoped(&folder, "acme", child).await.refuses(403, "forbidden");
    ground.end().await;
}

#[tokio::test]
async fn invariant_1_a_changed_policy_holds_at_once_for_warm_tokens() {
    let (ground, key) = acme().await;
    let child = on_file(&["item_preview"]);
    let asks = async || {
        [
            ground.token(&key, "acme").await.status,
            ground.user_token(&key, "acme", ADA).await.status,
            ground.downscoped(&key, "acme", child.clone()).await.status,
        ]
    };
    assert_eq!(asks().await, [200, 200, 200]);
    let (mints, exchanges) = (ground.mints().await, ground.exchanges().await);
    for (policy, expected) in [
        (json!({ "full_tokens": false }), [403, 403, 200]),
        (json!({ "full_tokens": true, "subjects": ["enterprise"] }), [200, 403, 200]),
        (json!({ "subjects": ["user:*"] }), [403, 200, 403]),
        (json!({ "subjects": [format!("user:{GRACE}")] }), [403, 403, 403]),
        (json!({ "subjects": null, "scopes": ["item_download"] }), [403, 403, 403]),
        (json!({ "scopes": ["item_download", "item_preview"] }), [403, 403, 200]),
        (json!({ "scopes": null }), [200, 200, 200]),
    ] {
        ground.change_tenant("acme", json!({ "policy": policy.clone() })).await;
        assert_eq!(asks().await, expected, "{policy}");
    }
    assert_eq!((ground.mints().await, ground.exchanges().await), (mints, exchanges));
    ground.end().await;
}

#[tokio::test]
async fn invariant_1_a_changed_grant_holds_at_once_for_warm_tokens() {
    let (ground, key) = acme().await;
    let token = ground.user_token(&key, "acme", ADA).await.token();
    let change = async |grants: Value| {
        ground.patch(&ground.admin, "/v1/callers/portal", json!({ "grants": grants })).await.is(200)
    };
    change(json!([grant("tokens:mint", json!({ "subjects": [format!("user:{GRACE}")] }))])).await;
    ground.user_token(&key, "acme", ADA).await.refuses(403, "forbidden");
    change(json!([])).await;
    ground.user_token(&key, "acme", ADA).await.refuses(404, "not_found");
    change(json!([grant("tokens:mint", json!({ "subjects": [format!("user:{ADA}")] }))])).await;
    assert_eq!(ground.user_token(&key, "acme", ADA).await.token(), token);
    ground.end().await;
}

#[tokio::test]
async fn two_grants_are_not_mixed_into_a_third() {
    let ground = acme().await.0;
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
    let key = ground.service("mixed", grants).await;
    let ask = async |subject: Value, scopes: &[&str]| {
        let mut body = on_file(scopes);
        body["subject"] = subject;
        ground.downscoped(&key, "acme", body).await.status
    };
    let enterprise = json!({ "type": "enterprise" });
    assert_eq!(ask(enterprise.clone(), &["item_preview"]).await, 200);
    assert_eq!(ask(user(ADA), &["item_download"]).await, 200);
    assert_eq!(ask(user(ADA), &["item_preview"]).await, 403);
    assert_eq!(ask(enterprise.clone(), &["item_download"]).await, 403);
    assert_eq!(ask(enterprise, &["item_preview", "item_download"]).await, 403);
    ground.end().await;
}

#[tokio::test]
async fn oauth_scopes_need_what_a_full_token_needs() {
    let (ground, mint) = acme().await;
    let key = ground.service("narrow", json!([grant("tokens:downscope", json!({}))])).await;
    let root = json!({ "scopes": ["root_readwrite"] });
    for scopes in [json!(["root_readwrite"]), json!(["item_preview", "root_readonly"]), json!(["gcm"])] {
        let reply = ground.downscoped(&key, "acme", json!({ "scopes": scopes })).await;
        reply.refuses(403, "forbidden");
    }
    ground.downscoped(&key, "acme", json!({ "scopes": ["item_preview"] })).await.token();
    ground.downscoped(&mint, "acme", root.clone()).await.token();
    ground.change_tenant("acme", json!({ "policy": { "full_tokens": false } })).await;
    ground.downscoped(&mint, "acme", root.clone()).await.refuses(403, "forbidden");
    let policy = json!({ "policy": { "full_tokens": true, "scopes": ["root_readwrite"] } });
    ground.change_tenant("acme", policy).await;
    ground.downscoped(&mint, "acme", root).await.refuses(403, "forbidden");
    ground.end().await;
}

#[tokio::test]
async fn a_grant_with_scopes_or_resources_never_yields_a_full_token() {
    let (ground, broad) = acme().await;
    ground.token(&broad, "acme").await.token();
    let scopes = json!({ "scopes": ["root_readwrite", "item_preview"] });
    let resources = json!({ "resources": [{ "type": "folder", "id": "0" }, { "type": "file", "id": FILE }] });
    for (name, limits) in [("scopes", scopes), ("resources", resources)] {
        let key = ground.service(name, json!([grant("tokens:mint", limits)])).await;
        ground.token(&key, "acme").await.refuses(403, "forbidden");
        let root = json!({ "scopes": ["root_readwrite"], "resource": { "type": "file", "id": FILE } });
        ground.downscoped(&key, "acme", root).await.refuses(403, "forbidden");
        ground.downscoped(&key, "acme", on_file(&["item_preview"])).await.token();
    }
    ground.end().await;
}

#[tokio::test]
async fn a_grant_with_resources_needs_one_of_them_exactly() {
    let ground = acme().await.0;
    let resources = json!({ "resources": [{ "type": "folder", "id": FOLDER }] });
    let key = ground.service("folder", json!([grant("tokens:downscope", resources)])).await;
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
        assert_eq!(ground.downscoped(&key, "acme", body).await.status, status, "{more}");
    }
    ground.end().await;
}

#[tokio::test]
async fn a_grant_that_names_no_subjects_is_for_the_service_account_alone() {
    let ground = acme().await.0;
    let key = ground.service("plain", json!([grant("tokens:mint", json!({}))])).await;
    ground.token(&key, "acme").await.token();
    ground.user_token(&key, "acme", ADA).await.refuses(403, "forbidden");
    let told = ground.get(&key, "/v1/whoami").await.ok();
    assert_eq!(told["grants"][0]["subjects"], json!(["enterprise"]));
    ground.end().await;
}

#[tokio::test]
async fn a_grant_by_labels_is_lost_with_a_label() {
    let ground = acme().await.0;
    let labels = json!([{ "labels": { "team": "a", "env": "prod" }, "permissions": ["tokens:mint"] }]);
    let key = ground.service("labelled", labels).await;
    ground.token(&key, "acme").await.refuses(404, "not_found");
    for (labels, status) in [
        (json!({ "team": "a" }), 404),
        (json!({ "env": "prod" }), 200),
        (json!({ "env": "test" }), 404),
        (json!({ "env": "prod", "more": "too" }), 200),
        (json!({ "team": null }), 404),
    ] {
        ground.change_tenant("acme", json!({ "labels": labels.clone() })).await;
        assert_eq!(ground.token(&key, "acme").await.status, status, "{labels}");
    }
    ground.end().await;
}
