//! Downscoped tokens: what they reach, and which of them are the same.

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::harness::{ADA, FILE, FOLDER, GRACE};
use crate::token_requests::{acme, user};

const LINK: &str = "https://app.box.com/s/sandbox-20000001002";
const OTHER_LINK: &str = "https://app.box.com/s/sandbox-30000001003";

fn on_file(scopes: &[&str]) -> Value {
    json!({ "scopes": scopes, "resource": { "type": "file", "id": FILE } })
}

#[tokio::test]
async fn a_preset_is_the_scopes_of_its_element() {
    let (harness, key) = acme().await;
    for (preset, scopes) in [
        (
            "explorer",
            "base_explorer item_delete item_download item_preview item_rename item_share item_upload",
        ),
        ("picker", "base_picker item_share item_upload"),
        ("uploader", "base_upload"),
        ("preview", "annotation_edit annotation_view_all base_preview item_download"),
        ("sidebar", "base_sidebar item_comment item_rename item_task item_upload"),
    ] {
        let body = json!({ "preset": preset, "resource": { "type": "folder", "id": FOLDER } });
        let token = harness.downscoped(&key, "acme", body).await.token();
        let known = harness.known_at_box(&token).await;
        let mut held: Vec<_> =
            known["scopes"].as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
        held.sort_unstable();
        assert_eq!(held.join(" "), scopes, "{preset}");
        assert_eq!(known["resource"], json!({ "type": "folder", "id": FOLDER, "by_link": false }));
        // Named one by one, it is the same token.
        let scopes: Vec<_> = scopes.split(' ').collect();
        let body = json!({ "scopes": scopes, "resource": { "type": "folder", "id": FOLDER } });
        assert_eq!(harness.downscoped(&key, "acme", body).await.token(), token, "{preset}");
    }
    harness.end().await;
}

#[tokio::test]
async fn a_token_reaches_its_resource_alone_and_says_so() {
    let (harness, key) = acme().await;
    let body = harness.downscoped(&key, "acme", on_file(&["item_preview", "item_download"])).await.ok();
    let object = json!({ "type": "file", "id": FILE });
    let told = json!([{ "scope": "item_download", "object": object }, { "scope": "item_preview", "object": object }]);
    assert_eq!(body["restricted_to"], told);
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(harness.at_box(token, &format!("/2.0/files/{FILE}")).await, 200);
    assert_ne!(harness.at_box(token, "/2.0/files/30000001003").await, 200);

    let folder =
        json!({ "preset": "explorer", "resource": { "type": "folder", "id": FOLDER }, "subject": user(ADA) });
    let body = harness.downscoped(&key, "acme", folder).await.ok();
    assert_eq!(body["subject"], user(ADA));
    let token = body["access_token"].as_str().unwrap();
    assert_eq!(harness.at_box(token, &format!("/2.0/files/{FILE}")).await, 200);
    assert_ne!(harness.at_box(token, "/2.0/folders/20000001004").await, 200);
    assert_eq!(harness.known_at_box(token).await["subject"], format!("user:{ADA}"));
    // A full token is restricted to nothing.
    assert!(harness.token(&key, "acme").await.ok().get("restricted_to").is_none());
    harness.end().await;
}

#[tokio::test]
async fn a_shared_link_leads_to_one_item_and_an_annotator_to_their_name() {
    let (harness, key) = acme().await;
    let body = json!({ "scopes": ["item_preview"], "shared_link": LINK, "subject": user(GRACE) });
    let body = harness.downscoped(&key, "acme", body).await.ok();
    let object = json!({ "type": "folder", "id": "20000001002" });
    assert_eq!(body["restricted_to"], json!([{ "scope": "item_preview", "object": object }]));
    let known = harness.known_at_box(body["access_token"].as_str().unwrap()).await;
    assert_eq!(known["resource"], json!({ "type": "folder", "id": "20000001002", "by_link": true }));

    let mut body = on_file(&["annotation_edit"]);
    body["annotator"] = json!({ "id": "ext-1\"", "name": "Zoë \\ Q." });
    let token = harness.downscoped(&key, "acme", body).await.token();
    assert!(harness.known_at_box(&token).await["annotator"].is_string());
    harness.end().await;
}

#[tokio::test]
async fn a_request_names_either_one_thing_or_the_other() {
    let (harness, key) = acme().await;
    let exchanges = harness.exchanges().await;
    for (body, pointer) in [
        (json!({}), "/scopes"),
        (json!({ "scopes": [] }), "/scopes"),
        (json!({ "scopes": ["item_preview"], "preset": "preview" }), "/scopes"),
        (json!({ "scopes": ["item preview"] }), "/scopes/0"),
        (json!({ "preset": "everything" }), "/preset"),
        (
            json!({ "preset": "preview", "shared_link": LINK, "resource": { "type": "file", "id": FILE } }),
            "/shared_link",
        ),
        (json!({ "preset": "preview", "shared_link": "http://app.box.com/s/x" }), "/shared_link"),
        (json!({ "preset": "preview", "resource": { "type": "web_link", "id": FILE } }), "/resource/type"),
        (json!({ "preset": "preview", "resource": { "type": "file", "id": "../1" } }), "/resource/id"),
        (json!({ "preset": "preview", "annotator": { "id": "", "name": "x" } }), "/annotator"),
    ] {
        let problem = harness.downscoped(&key, "acme", body.clone()).await.refuses(422, "invalid");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(harness.exchanges().await, exchanges);
    harness.end().await;
}

#[tokio::test]
async fn invariant_2_the_same_set_of_scopes_is_one_token_in_any_order() {
    let (harness, key) = acme().await;
    let token = harness.downscoped(&key, "acme", on_file(&["item_preview", "item_download"])).await.token();
    let exchanges = harness.exchanges().await;
    for scopes in [&["item_download", "item_preview"][..], &["item_preview", "item_download", "item_preview"]]
    {
        assert_eq!(harness.downscoped(&key, "acme", on_file(scopes)).await.token(), token);
    }
    assert_eq!(harness.exchanges().await, exchanges);
    harness.end().await;
}

#[tokio::test]
async fn invariant_2_any_field_that_differs_makes_another_token() {
    let (harness, key) = acme().await;
    let file = json!({ "type": "file", "id": FILE });
    let annotator = |id: &str, name: &str| json!({ "id": id, "name": name });
    let scopes = json!(["item_preview"]);
    let bodies = [
        json!({ "scopes": scopes }),
        json!({ "scopes": ["item_download"] }),
        json!({ "scopes": ["item_download", "item_preview"] }),
        json!({ "scopes": scopes, "subject": user(ADA) }),
        json!({ "scopes": scopes, "subject": user(GRACE) }),
        json!({ "scopes": scopes, "resource": file }),
        json!({ "scopes": scopes, "resource": { "type": "file", "id": "30000001002" } }),
        json!({ "scopes": scopes, "resource": { "type": "folder", "id": FOLDER } }),
        json!({ "scopes": scopes, "shared_link": LINK }),
        json!({ "scopes": scopes, "shared_link": OTHER_LINK }),
        json!({ "scopes": scopes, "annotator": annotator("a", "b") }),
        json!({ "scopes": scopes, "annotator": annotator("ab", "b") }),
        json!({ "scopes": scopes, "annotator": annotator("a", "bb") }),
        json!({ "scopes": scopes, "annotator": annotator("b", "a") }),
        json!({ "scopes": scopes, "resource": file, "annotator": annotator("a", "b") }),
    ];
    let mut tokens = HashSet::new();
    let mut first = Vec::new();
    for body in &bodies {
        let token = harness.downscoped(&key, "acme", body.clone()).await.token();
        assert!(tokens.insert(token.clone()), "{body}");
        first.push(token);
    }
    let exchanges = harness.exchanges().await;
    for (body, token) in bodies.into_iter().zip(first) {
        assert_eq!(harness.downscoped(&key, "acme", body).await.token(), token);
    }
    assert_eq!(harness.exchanges().await, exchanges);
    harness.end().await;
}

#[tokio::test]
async fn a_scope_that_the_app_does_not_have_is_told_as_a_refusal() {
    let (harness, key) = acme().await;
    harness.change_app(&harness.apps.acme, json!({ "scopes": ["root_readonly", "item_preview"] })).await;
    let ask = async |scope: &str| {
        let body = json!({ "subject": user(ADA), "scopes": [scope] });
        harness.downscoped(&key, "acme", body).await
    };
    ask("item_download").await.refuses(424, "scope_not_granted");
    ask("item_preview").await.token();
    harness.end().await;
}

#[tokio::test]
async fn what_the_subject_cannot_see_is_told_as_a_refusal() {
    let (harness, key) = acme().await;
    let body = json!({ "scopes": ["item_preview"], "resource": { "type": "folder", "id": "20000001005" } });
    let problem = harness.downscoped(&key, "acme", body).await.refuses(424, "resource_not_visible");
    assert_eq!(problem["upstream"]["error"], "invalid_resource");
    harness.end().await;
}
