//! Folders and changes of items: fields, paging, order, search, creation, names, moves, shared links, deletion.

use serde_json::{Value, json};

use crate::harness::{
    ADA, CONTRACT_PDF, CONTRACTS, CONTRACTS_2024, INVOICES, OFFER_DOCX, Reply, TestSandbox,
};

fn names(listing: &Value) -> Vec<&str> {
    listing["entries"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect()
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: &str) {
    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (status, &json!(code)), "{reply:?}");
    assert_eq!((&reply.body["type"], &reply.body["status"]), (&json!("error"), &json!(status)));
    assert!(reply.body["request_id"].is_string() && reply.body["help_url"].is_string());
}

#[tokio::test]
async fn an_item_has_the_fields_that_the_request_selects() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let path = format!("/2.0/folders/{CONTRACTS}?fields=name,permissions,item_collection,extension,size");
    let folder = sandbox.read(&path, &token).await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&folder), ["etag", "id", "item_collection", "name", "permissions", "size", "type"]);
    let file = &folder["item_collection"]["entries"][1];
    assert_eq!(keys(file), ["etag", "extension", "id", "name", "permissions", "size", "type"]);
    assert_eq!((&file["extension"], &file["permissions"]["can_preview"]), (&json!("pdf"), &json!(true)));
    let order = &folder["item_collection"]["order"];
    assert_eq!((&order[0]["by"], &order[1]["by"]), (&json!("type"), &json!("name")));
    let plain = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}"), &token).await;
    assert_eq!(
        (plain["size"].as_u64(), plain.get("permissions")),
        (sandbox.size_of(CONTRACT_PDF, &token).await, None)
    );
}

#[tokio::test]
async fn a_folder_cannot_be_moved_below_itself_at_any_depth() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let chain = async || {
        let mut ids = vec![INVOICES.to_owned()];
        for _ in 0..40 {
            let folder = json!({ "name": "deep", "parent": { "id": ids.last() } });
            let made = sandbox.send("POST", "/2.0/folders", &token, Some(folder)).await;
            ids.push(made.body["id"].as_str().unwrap().to_owned());
        }
        ids
    };
    let first = chain().await;
    let rename = json!({ "name": "first" });
    let put = async |id: &str, change: Value| {
        sandbox.send("PUT", &format!("/2.0/folders/{id}"), &token, Some(change)).await
    };
    assert_eq!(put(&first[1], rename).await.status, 200);
    let second = chain().await;
    let under = |id: &String| json!({ "parent": { "id": id } });
    assert_eq!(put(&second[1], under(first.last().unwrap())).await.status, 200);
    let loops = put(&first[1], under(second.last().unwrap())).await;
    assert!(loops.status.is_client_error(), "{loops:?}");
    sandbox.read(&format!("/2.0/folders/{INVOICES}?fields=size"), &token).await;
}

#[tokio::test]
async fn permissions_reflect_the_scopes_of_the_token() {
    let sandbox = TestSandbox::new().await;
    let parent = sandbox.service_token().await;
    let token = sandbox.child(&parent, "base_explorer item_rename item_download", CONTRACTS).await;
    let file = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=permissions"), &token).await;
    let allowed: Vec<_> = file["permissions"]
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, may)| **may == json!(true))
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(allowed, ["can_download", "can_rename"]);
}

#[tokio::test]
async fn folder_items_are_sorted_and_paged_by_offset_or_marker() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    for (name, size) in [("b.txt", 2), ("a.txt", 3), ("C.txt", 1)] {
        assert_eq!(sandbox.upload(&token, INVOICES, name, &vec![0; size]).await.status, 201);
    }
    let items = format!("/2.0/folders/{INVOICES}/items");
    let list = async |query: &str| sandbox.read(&format!("{items}?{query}"), &token).await;
    assert_eq!(names(&list("sort=name&direction=ASC").await), ["a.txt", "b.txt", "C.txt", "Invoice.pdf"]);
    assert_eq!(names(&list("sort=size&direction=desc&limit=3").await), ["Invoice.pdf", "a.txt", "b.txt"]);
    let page = list("offset=1&limit=2").await;
    assert_eq!(
        (names(&page), &page["total_count"], &page["offset"], &page["limit"]),
        (vec!["b.txt", "C.txt"], &json!(4), &json!(1), &json!(2))
    );
    let first = list("usemarker=true&limit=3").await;
    let marker = first["next_marker"].as_str().unwrap();
    let last = list(&format!("usemarker=true&limit=3&marker={marker}")).await;
    assert_eq!((names(&last), &last["next_marker"]), (vec!["Invoice.pdf"], &json!("")));
    for odd in ["limit=x", "limit=0", "usemarker=true&marker=later", "offset=-1"] {
        let odd = Reply::of(sandbox.get(&format!("{items}?{odd}"), &token).send().await.unwrap()).await;
        refused(&odd, 400, "bad_request");
    }
}

#[tokio::test]
async fn search_finds_only_items_that_the_token_reaches() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let found = sandbox.read("/2.0/search?query=offer", &token).await;
    assert_eq!((names(&found), &found["total_count"]), (vec!["Offer.docx"], &json!(1)));
    assert_eq!(
        names(&sandbox.read(&format!("/2.0/search?query=pdf&ancestor_folder_ids={CONTRACTS}"), &token).await),
        ["Contract.pdf"]
    );
    let child = sandbox.child(&token, "base_explorer", CONTRACTS_2024).await;
    assert!(names(&sandbox.read("/2.0/search?query=pdf", &child).await).is_empty());
    assert_eq!(names(&sandbox.read("/2.0/search?query=notes", &token).await), [""; 0]);
    let recent = sandbox.read("/2.0/recent_items", &child).await;
    assert_eq!(recent["entries"][0]["item"]["id"], OFFER_DOCX);
}

#[tokio::test]
async fn a_folder_can_be_created_renamed_moved_shared_and_deleted() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let new = json!({ "name": "New", "parent": { "id": CONTRACTS } });
    let made = sandbox
        .send(
            "POST",
            "/2.0/folders?fields=name,parent,permissions,item_collection",
            &token,
            Some(new.clone()),
        )
        .await;
    assert_eq!(
        (made.status.as_u16(), &made.body["parent"]["id"], &made.body["item_collection"]["total_count"]),
        (201, &json!(CONTRACTS), &json!(0))
    );
    let conflict = sandbox.send("POST", "/2.0/folders", &token, Some(new)).await;
    refused(&conflict, 409, "item_name_in_use");
    assert_eq!(conflict.body["context_info"]["conflicts"][0]["id"], made.body["id"]);
    let path = format!("/2.0/folders/{}", made.body["id"].as_str().unwrap());
    let change = async |body: Value| sandbox.send("PUT", &path, &token, Some(body)).await;

    let renamed = change(json!({ "name": "Newer", "description": "as said" })).await.body;
    assert_eq!(
        (&renamed["name"], &renamed["etag"], &renamed["description"]),
        (&json!("Newer"), &json!("1"), &json!("as said"))
    );
    refused(&change(json!({ "name": "2024" })).await, 409, "item_name_in_use");
    refused(&change(json!({ "name": "a/b" })).await, 400, "item_name_invalid");
    refused(&change(json!({ "name": "x".repeat(256) })).await, 400, "item_name_too_long");
    let moved = change(json!({ "parent": { "id": CONTRACTS_2024 } })).await.body;
    assert_eq!(moved["path_collection"]["entries"][2]["id"], CONTRACTS_2024);
    let into_itself = sandbox
        .send(
            "PUT",
            &format!("/2.0/folders/{CONTRACTS_2024}"),
            &token,
            Some(json!({ "parent": { "id": made.body["id"] } })),
        )
        .await;
    refused(&into_itself, 400, "cyclical_folder_structure");
    let shared = change(json!({ "shared_link": { "access": "open" } })).await.body;
    assert!(shared["shared_link"]["url"].as_str().unwrap().starts_with("https://app.box.com/s/"));
    assert_eq!(change(json!({ "shared_link": null })).await.body["shared_link"], Value::Null);

    refused(
        &sandbox.send("DELETE", &format!("/2.0/folders/{CONTRACTS_2024}"), &token, None).await,
        400,
        "folder_not_empty",
    );
    assert_eq!(
        sandbox
            .send("DELETE", &format!("/2.0/folders/{CONTRACTS_2024}?recursive=true"), &token, None)
            .await
            .status,
        204
    );
    for gone in [path.as_str(), &format!("/2.0/files/{OFFER_DOCX}")] {
        assert_eq!(sandbox.status(gone, &token).await, 404);
    }
}

#[tokio::test]
async fn each_change_requires_its_scope() {
    let sandbox = TestSandbox::new().await;
    let parent = sandbox.service_token().await;
    let file = format!("/2.0/files/{CONTRACT_PDF}");
    let folder = json!({ "name": "More", "parent": { "id": CONTRACTS } });
    let changes = [
        ("PUT", file.as_str(), Some(json!({ "name": "Renamed.pdf" })), "item_rename"),
        ("PUT", file.as_str(), Some(json!({ "shared_link": {} })), "item_share"),
        ("POST", "/2.0/folders", Some(folder), "item_upload"),
        ("PUT", file.as_str(), Some(json!({ "parent": { "id": CONTRACTS_2024 } })), "root_readwrite"),
        ("DELETE", file.as_str(), None, "item_delete"),
    ];
    let every = ["item_rename", "item_share", "item_upload", "item_delete"];
    for (method, path, body, needed) in changes {
        let others: Vec<_> =
            every.into_iter().filter(|scope| *scope != needed).chain(["base_explorer"]).collect();
        let without = sandbox.child(&parent, &others.join(" "), CONTRACTS).await;
        refused(
            &sandbox.send(method, path, &without, body.clone()).await,
            403,
            "access_denied_insufficient_permissions",
        );
        let elsewhere = sandbox.child(&parent, needed, INVOICES).await;
        refused(
            &sandbox.send(method, path, &elsewhere, body.clone()).await,
            403,
            "access_denied_insufficient_permissions",
        );
        let with = sandbox.child(&parent, needed, CONTRACTS).await;
        let done = sandbox.send(method, path, &with, body).await;
        assert!(done.status.is_success(), "{needed}: {done:?}");
    }
}

#[tokio::test]
async fn an_item_reached_by_a_shared_link_cannot_be_changed() {
    let sandbox = TestSandbox::new().await;
    let ada = sandbox.mint("user", ADA).await.token();
    let link = "https://app.box.com/s/sandbox-30000001003";
    let scopes = "item_preview item_download item_rename item_delete";
    let child = sandbox.exchange(&ada, scopes, &[("box_shared_link", link)]).await.token();
    assert!(!sandbox.download(&child, "30000001003").await.is_empty());
    refused(
        &sandbox.send("DELETE", "/2.0/files/30000001003", &child, None).await,
        403,
        "access_denied_insufficient_permissions",
    );
}

#[tokio::test]
async fn a_change_with_a_stale_if_match_is_refused() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let path = format!("{}/2.0/files/{CONTRACT_PDF}", sandbox.server.url());
    let change = async |etag: &str| {
        let put = sandbox.http.put(&path).bearer_auth(&token).header("If-Match", etag);
        Reply::of(put.json(&json!({ "description": etag })).send().await.unwrap()).await
    };
    assert_eq!((change("0").await.status.as_u16(), change("*").await.status.as_u16()), (200, 200));
    refused(&change("1").await, 412, "precondition_failed");
    let delete =
        sandbox.http.delete(&path).bearer_auth(&token).header("If-Match", "\"1\"").send().await.unwrap();
    refused(&Reply::of(delete).await, 412, "precondition_failed");
}

#[tokio::test]
async fn unsupported_lists_are_empty() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    for path in [
        "/2.0/metadata_templates/enterprise".to_owned(),
        format!("/2.0/files/{CONTRACT_PDF}/comments"),
        format!("/2.0/folders/{CONTRACTS}/collaborations"),
    ] {
        assert_eq!(sandbox.read(&path, &token).await["entries"], json!([]), "{path}");
    }
    refused(&sandbox.send("GET", "/2.0/nothing", &token, None).await, 404, "not_found");
    refused(&sandbox.send("PATCH", "/2.0/folders/0", &token, None).await, 405, "method_not_allowed");
}
