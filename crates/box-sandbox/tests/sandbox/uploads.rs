//! Uploads in one request: new files, new versions, downloads, errors.

use serde_json::{Value, json};

use crate::harness::{ADA, CONTRACT_PDF, CONTRACTS, CONTRACTS_2024, INVOICES, Reply, TestSandbox};

#[tokio::test]
async fn an_uploaded_file_is_listed_and_downloaded_unchanged() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let text = "three lines\nof a note\n".repeat(3);
    let reply = sandbox.upload(&token, CONTRACTS, "Note.txt", text.as_bytes()).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let file = &reply.body["entries"][0];
    assert_eq!((&file["name"], &file["size"]), (&json!("Note.txt"), &json!(text.len())));
    assert_eq!((&file["sha1"], &file["etag"]), (&json!(sandbox.sha1(text.as_bytes())), &json!("0")));
    assert_eq!(file["created_at"], "2026-01-02T03:04:05Z");
    let id = file["id"].as_str().unwrap();
    let listing = sandbox.read(&format!("/2.0/folders/{CONTRACTS}/items"), &token).await;
    assert!(listing["entries"].as_array().unwrap().iter().any(|entry| entry["id"] == id));
    assert_eq!(sandbox.download(&token, id).await, text.as_bytes());
}

#[tokio::test]
async fn a_file_larger_than_the_memory_limit_is_downloaded_unchanged() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let bytes: Vec<u8> = (0..5_000_001_u32).map(|at| (at * 31 % 251) as u8).collect();
    let reply = sandbox.upload(&token, CONTRACTS, "Film.bin", &bytes).await;
    assert_eq!(reply.body["entries"][0]["sha1"], sandbox.sha1(&bytes));
    let id = reply.body["entries"][0]["id"].as_str().unwrap().to_owned();
    assert!(sandbox.download(&token, &id).await == bytes);
    let part = sandbox.get(&format!("/2.0/files/{id}/content"), &token).header("Range", "bytes=4999990-");
    let part = part.send().await.unwrap();
    assert_eq!(
        (part.status().as_u16(), part.headers()["content-range"].to_str().unwrap()),
        (206, "bytes 4999990-5000000/5000001")
    );
    assert_eq!(part.bytes().await.unwrap(), &bytes[4_999_990..]);
    let beyond = sandbox.get(&format!("/2.0/files/{id}/content"), &token).header("Range", "bytes=5000001-");
    assert_eq!(beyond.send().await.unwrap().status(), 416);
}

#[tokio::test]
async fn a_download_url_works_once_and_expires() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let url = async || {
        let file = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=download_url"), &token).await;
        file["download_url"].as_str().unwrap().to_owned()
    };
    let status = async |url: &str| sandbox.http.get(url).send().await.unwrap().status().as_u16();
    let once = url().await;
    assert_eq!((status(&once).await, status(&once).await), (200, 404));
    let late = url().await;
    sandbox.clock.advance(std::time::Duration::from_secs(15 * 60));
    assert_eq!(status(&late).await, 404);
}

#[tokio::test]
async fn a_name_in_use_is_refused_by_the_preflight_and_by_the_upload() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let attributes = json!({ "name": "contract.PDF", "parent": { "id": CONTRACTS }, "size": 5 });
    let asked = sandbox.send("OPTIONS", "/2.0/files/content", &token, Some(attributes)).await;
    for reply in [asked, sandbox.upload(&token, CONTRACTS, "Contract.pdf", b"again").await] {
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (409, &json!("item_name_in_use")));
        assert_eq!(reply.body["context_info"]["conflicts"]["id"], CONTRACT_PDF);
    }
    let free = json!({ "name": "New.pdf", "parent": { "id": CONTRACTS }, "size": 5 });
    let asked = sandbox.send("OPTIONS", "/2.0/files/content", &token, Some(free)).await;
    assert_eq!(asked.body["upload_url"], format!("{}/api/2.0/files/content", sandbox.server.url()));
}

#[tokio::test]
async fn a_new_version_replaces_the_old_one_and_frees_its_bytes() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let path = format!("/api/2.0/files/{CONTRACT_PDF}/content");
    let stale = sandbox.form_upload(&path, &token, &json!({}), b"x").header("If-Match", "7");
    let stale = Reply::of(stale.send().await.unwrap()).await;
    assert_eq!((stale.status.as_u16(), &stale.body["code"]), (412, &json!("precondition_failed")));
    let before = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}"), &token).await;
    let fresh = sandbox.form_upload(&path, &token, &json!({}), b"second").header("If-Match", "0");
    let fresh = Reply::of(fresh.send().await.unwrap()).await;
    let file = &fresh.body["entries"][0];
    assert_eq!((&file["etag"], &file["sha1"]), (&json!("1"), &json!(sandbox.sha1(b"second"))));
    assert_ne!(file["file_version"]["id"], before["file_version"]["id"]);
    for number in 2..5 {
        let shown = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=version_number"), &token).await;
        assert_eq!(shown["version_number"], number.to_string());
        let next = sandbox.form_upload(&path, &token, &json!({}), b"second").send().await.unwrap();
        assert_eq!(next.status(), 201);
    }
    assert_eq!(sandbox.control("GET", "/storage", None).await.body["used_bytes"], b"second".len());
    assert_eq!(sandbox.download(&token, CONTRACT_PDF).await, b"second");
}

#[tokio::test]
async fn a_broken_upload_or_a_wrong_digest_leaves_nothing() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let path = "/api/2.0/files/content";
    let attributes = json!({ "name": "New.txt", "parent": { "id": CONTRACTS } });
    let other = sandbox
        .form_upload(path, &token, &attributes, b"bytes")
        .header("Content-MD5", sandbox.sha1(b"other"));
    let disordered = sandbox.multipart(
        path,
        &token,
        &[("file", b"bytes"), ("attributes", attributes.to_string().as_bytes())],
    );
    let no_form =
        sandbox.http.post(format!("{}{path}", sandbox.server.url())).bearer_auth(&token).body("bytes");
    let nameless = sandbox.form_upload(path, &token, &json!({ "parent": { "id": CONTRACTS } }), b"bytes");
    let slash =
        sandbox.form_upload(path, &token, &json!({ "name": "a/b", "parent": { "id": CONTRACTS } }), b"bytes");
    for (request, code) in [
        (other, "bad_digest"),
        (disordered, "metadata_after_file_contents"),
        (no_form, "bad_request"),
        (nameless, "bad_request"),
        (slash, "item_name_invalid"),
    ] {
        let reply = Reply::of(request.send().await.unwrap()).await;
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!(code)));
    }
    let items = sandbox.read(&format!("/2.0/folders/{CONTRACTS}/items"), &token).await;
    assert_eq!(items["total_count"], 2);
    assert_eq!(sandbox.control("GET", "/storage", None).await.body["used_bytes"], 0);
}

#[tokio::test]
async fn an_upload_beyond_the_quota_is_refused_until_a_file_is_deleted() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    sandbox.control("PUT", "/storage", Some(json!({ "kept_bytes": 1000 }))).await;
    let first = sandbox.upload(&token, CONTRACTS, "First.bin", &[1; 600]).await;
    let id = first.body["entries"][0]["id"].as_str().unwrap();
    let second = sandbox.upload(&token, CONTRACTS, "Second.bin", &[2; 600]).await;
    assert_eq!((second.status.as_u16(), &second.body["code"]), (403, &json!("storage_limit_exceeded")));
    assert!(second.body["message"].as_str().unwrap().contains("at most 1000 bytes"), "{second:?}");
    assert_eq!(sandbox.send("DELETE", &format!("/2.0/files/{id}"), &token, None).await.status, 204);
    assert_eq!(sandbox.upload(&token, CONTRACTS, "Second.bin", &[2; 600]).await.status, 201);
}

#[tokio::test]
async fn an_upload_requires_its_scope_and_the_folder_of_the_token() {
    let sandbox = TestSandbox::new().await;
    let parent = sandbox.service_token().await;
    let uploader = sandbox.child(&parent, "base_upload", CONTRACTS).await;
    assert_eq!(sandbox.upload(&uploader, CONTRACTS_2024, "Below.txt", b"x").await.status, 201);
    let explorer = sandbox.child(&parent, "base_explorer item_rename item_delete", CONTRACTS).await;
    for (token, folder) in [(&explorer, CONTRACTS), (&uploader, INVOICES), (&uploader, "0")] {
        let reply = sandbox.upload(token, folder, "No.txt", b"x").await;
        assert_eq!(
            (reply.status.as_u16(), &reply.body["code"]),
            (403, &json!("access_denied_insufficient_permissions"))
        );
    }
    let dead = sandbox.upload("made-up", CONTRACTS, "No.txt", &[0; 3_000_000]).await;
    assert_eq!((dead.status.as_u16(), &dead.body), (401, &Value::Null));
    assert_eq!(sandbox.status(&format!("/2.0/files/{CONTRACT_PDF}/content"), &uploader).await, 403);
}

#[tokio::test]
async fn a_file_uploaded_as_a_user_belongs_to_that_user() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let attributes = json!({ "name": "Mine.txt", "parent": { "id": "0" } });
    let form = sandbox.form_upload("/api/2.0/files/content", &token, &attributes, b"x");
    let reply = Reply::of(form.header("As-User", ADA).send().await.unwrap()).await;
    let file = &reply.body["entries"][0];
    assert_eq!((&file["created_by"]["id"], &file["parent"]["id"]), (&json!(ADA), &json!("0")));
    let path = format!("/2.0/files/{}", file["id"].as_str().unwrap());
    let ada = sandbox.mint("user", ADA).await.token();
    assert_eq!((sandbox.status(&path, &ada).await, sandbox.status(&path, &token).await), (200, 404));
}

#[tokio::test]
async fn the_journal_contains_no_content_tickets_or_tokens() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    sandbox.upload(&token, CONTRACTS, "Letter.txt", b"dear reader").await;
    let file = sandbox.read(&format!("/2.0/files/{CONTRACT_PDF}?fields=download_url"), &token).await;
    let url = file["download_url"].as_str().unwrap();
    assert_eq!(sandbox.http.get(url).send().await.unwrap().status(), 200);
    let by_parameter = format!("{}/2.0/files/{CONTRACT_PDF}?access_token={token}", sandbox.server.url());
    assert_eq!(sandbox.http.get(by_parameter).send().await.unwrap().status(), 200);
    let journal = sandbox.control("GET", "/journal", None).await.body.to_string();
    let ticket = url.split('-').next_back().unwrap();
    assert!(journal.contains("\"/dl\"") && journal.contains("/api/2.0/files/content"), "{journal}");
    assert!(![ticket, &token, "dear reader"].iter().any(|secret| journal.contains(*secret)), "{journal}");
}
