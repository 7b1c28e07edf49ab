//! Uploads in parts.

use data_encoding::BASE64;
use serde_json::{Value, json};

use crate::harness::{ADA, CONTRACT_PDF, CONTRACTS, Reply, TestSandbox};

const PART: usize = 1_048_576;

/// Returns a sandbox in which files of any size may be uploaded in parts of 1 MiB, and the bytes of a file.
async fn sandbox_and_large_file() -> (TestSandbox, Vec<u8>) {
    let sandbox = TestSandbox::new().await;
    let change = json!({ "least_in_parts": 0, "part_size": PART });
    assert_eq!(sandbox.control("PUT", "/storage", Some(change)).await.status, 200);
    (sandbox, (0..2 * PART + 1000).map(|at| (at * 7 % 253) as u8).collect())
}

fn sha(bytes: &[u8]) -> String {
    format!("sha={}", BASE64.encode(&crate::harness::sha1(bytes)))
}

impl TestSandbox {
    async fn open(&self, token: &str, size: usize) -> Reply {
        let body = json!({ "folder_id": CONTRACTS, "file_name": "Large.bin", "file_size": size });
        self.send("POST", "/api/2.0/files/upload_sessions", token, Some(body)).await
    }

    async fn part(&self, token: &str, session: &Value, bytes: &[u8], index: usize, digest: &str) -> Reply {
        let (first, total) = (index * PART, bytes.len());
        let part = &bytes[first..total.min(first + PART)];
        let range = format!("bytes {first}-{}/{total}", first + part.len() - 1);
        let url = session["session_endpoints"]["upload_part"].as_str().unwrap();
        let put = self.http.put(url).bearer_auth(token).header("Digest", digest);
        Reply::of(put.header("Content-Range", range).body(part.to_vec()).send().await.unwrap()).await
    }

    async fn good_part(&self, token: &str, session: &Value, bytes: &[u8], index: usize) -> Value {
        let part = &bytes[index * PART..bytes.len().min((index + 1) * PART)];
        let reply = self.part(token, session, bytes, index, &sha(part)).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.body["part"].clone()
    }

    async fn commit(&self, token: &str, session: &Value, parts: Value, digest: &str) -> Reply {
        let url = session["session_endpoints"]["commit"].as_str().unwrap();
        let post = self.http.post(url).bearer_auth(token).header("Digest", digest);
        Reply::of(post.json(&json!({ "parts": parts, "attributes": {} })).send().await.unwrap()).await
    }
}

#[tokio::test]
async fn parts_may_arrive_in_parallel_and_out_of_order() {
    let (sandbox, bytes) = sandbox_and_large_file().await;
    let token = sandbox.service_token().await;
    let opened = sandbox.open(&token, bytes.len()).await;
    let session = opened.body;
    assert_eq!(opened.status, 201);
    assert_eq!((&session["total_parts"], &session["part_size"]), (&json!(3), &json!(PART)));
    let [two, none, one] = [2, 0, 1].map(|index| sandbox.good_part(&token, &session, &bytes, index));
    let (two, none, one) = tokio::join!(two, none, one);
    let listed = sandbox
        .read(&format!("/2.0/files/upload_sessions/{}/parts", session["id"].as_str().unwrap()), &token)
        .await;
    assert_eq!(listed["entries"], json!([none, one, two]));
    let done = sandbox.commit(&token, &session, json!([two, none, one]), &sha(&bytes)).await;
    let file = &done.body["entries"][0];
    assert_eq!(
        (done.status.as_u16(), &file["name"], &file["size"]),
        (201, &json!("Large.bin"), &json!(bytes.len()))
    );
    assert_eq!(file["sha1"], sandbox.sha1(&bytes));
    assert!(sandbox.download(&token, file["id"].as_str().unwrap()).await == bytes);
    assert_eq!(sandbox.commit(&token, &session, json!([]), &sha(&bytes)).await.status, 404);
}

#[tokio::test]
async fn a_part_is_verified_and_stored_once() {
    let (sandbox, bytes) = sandbox_and_large_file().await;
    let token = sandbox.service_token().await;
    let session = sandbox.open(&token, bytes.len()).await.body;
    let wrong = sandbox.part(&token, &session, &bytes, 0, &sha(b"other")).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["code"]), (412, &json!("precondition_failed")));
    let none = sandbox.part(&token, &session, &bytes, 0, "md5=AAAA").await;
    assert_eq!((none.status.as_u16(), &none.body["code"]), (400, &json!("bad_digest")));
    let first = sandbox.good_part(&token, &session, &bytes, 0).await;
    assert_eq!(sandbox.good_part(&token, &session, &bytes, 0).await, first);
    let other = vec![9; bytes.len()];
    let again = sandbox.part(&token, &session, &other, 0, &sha(&other[..PART])).await;
    assert_eq!((again.status.as_u16(), &again.body["code"]), (409, &json!("range_overlaps_existing_range")));
    let longer = vec![9; bytes.len() + 1];
    let beyond = sandbox.part(&token, &session, &longer, 1, &sha(&longer[PART..2 * PART])).await;
    assert_eq!((beyond.status.as_u16(), &beyond.body["code"]), (416, &json!("range_not_satisfiable")));
}

#[tokio::test]
async fn a_commit_requires_every_part_and_the_digest_of_the_file() {
    let (sandbox, bytes) = sandbox_and_large_file().await;
    let token = sandbox.service_token().await;
    let session = sandbox.open(&token, bytes.len()).await.body;
    let mut parts = vec![sandbox.good_part(&token, &session, &bytes, 0).await];
    let early = sandbox.commit(&token, &session, json!(parts), &sha(&bytes)).await;
    assert_eq!((early.status.as_u16(), &early.body["code"]), (400, &json!("parts_mismatch")));
    assert_eq!(early.body["message"], "1 of 3 parts arrived");
    parts.push(sandbox.good_part(&token, &session, &bytes, 1).await);
    parts.push(sandbox.good_part(&token, &session, &bytes, 2).await);
    let fewer = sandbox.commit(&token, &session, json!(parts[..2]), &sha(&bytes)).await;
    assert_eq!(fewer.body["code"], "parts_mismatch");
    let wrong = sandbox.commit(&token, &session, json!(parts), &sha(b"other")).await;
    assert_eq!((wrong.status.as_u16(), &wrong.body["code"]), (412, &json!("precondition_failed")));
    assert_eq!(sandbox.commit(&token, &session, json!(parts), &sha(&bytes)).await.status, 201);
}

#[tokio::test]
async fn a_new_version_can_be_uploaded_in_parts_with_sha_256_digests() {
    use rsa::sha2::{Digest as _, Sha256};
    let (sandbox, bytes) = sandbox_and_large_file().await;
    let token = sandbox.service_token().await;
    let path = format!("/2.0/files/{CONTRACT_PDF}/upload_sessions");
    let body = json!({ "file_size": bytes.len(), "file_name": "Contract.pdf" });
    let session = sandbox.send("POST", &path, &token, Some(body)).await.body;
    let mut parts = Vec::new();
    for (index, part) in bytes.chunks(PART).enumerate() {
        let digest = format!("sha-256={}", BASE64.encode(&Sha256::digest(part)));
        parts.push(sandbox.part(&token, &session, &bytes, index, &digest).await.body["part"].clone());
    }
    let done = sandbox.commit(&token, &session, json!(parts), &sha(&bytes)).await;
    assert_eq!(
        (&done.body["entries"][0]["id"], &done.body["entries"][0]["etag"]),
        (&json!(CONTRACT_PDF), &json!("1"))
    );
}

#[tokio::test]
async fn a_session_belongs_to_its_subject_until_it_is_aborted_or_expires() {
    let (sandbox, bytes) = sandbox_and_large_file().await;
    let token = sandbox.service_token().await;
    let ada = sandbox.mint("user", ADA).await.token();
    let session = sandbox.open(&token, bytes.len()).await.body;
    let path = format!("/2.0/files/upload_sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(sandbox.status(&path, &ada).await, 404);
    let reader = sandbox.child(&token, "base_explorer", CONTRACTS).await;
    assert_eq!(sandbox.status(&path, &reader).await, 403);
    assert_eq!(sandbox.read(&path, &token).await["num_parts_processed"], 0);
    let used = async || sandbox.control("GET", "/storage", None).await.body["used_bytes"].as_u64().unwrap();
    assert_eq!(used().await, bytes.len() as u64);
    assert_eq!(sandbox.send("DELETE", &path, &token, None).await.status, 204);
    assert_eq!((sandbox.status(&path, &token).await, used().await), (404, 0));

    let session = sandbox.open(&token, bytes.len()).await.body;
    sandbox.clock.advance(std::time::Duration::from_secs(7 * 24 * 3600));
    let token = sandbox.service_token().await;
    let path = format!("/2.0/files/upload_sessions/{}", session["id"].as_str().unwrap());
    assert_eq!(sandbox.status(&path, &token).await, 404);
}

#[tokio::test]
async fn files_that_are_too_small_or_exceed_the_quota_get_no_session() {
    let sandbox = TestSandbox::new().await;
    let token = sandbox.service_token().await;
    let small = sandbox.open(&token, 19_999_999).await;
    assert_eq!((small.status.as_u16(), &small.body["code"]), (400, &json!("file_size_too_small")));
    let large = sandbox.open(&token, 5 << 30).await;
    assert_eq!((large.status.as_u16(), &large.body["code"]), (403, &json!("storage_limit_exceeded")));
    let fits = sandbox.open(&token, 20_000_000).await;
    assert_eq!((fits.status.as_u16(), &fits.body["part_size"]), (201, &json!(8_388_608)));
    let odd = sandbox.control("PUT", "/storage", Some(json!({ "part_size": 1_048_577 }))).await;
    assert_eq!(odd.status, 422);
}

#[tokio::test]
async fn a_session_outlives_the_token_that_opened_it() {
    let (sandbox, bytes) = sandbox_and_large_file().await;
    let first = sandbox.service_token().await;
    let session = sandbox.open(&first, bytes.len()).await.body;
    let mut parts = vec![sandbox.good_part(&first, &session, &bytes, 0).await];
    sandbox.control("DELETE", "/tokens", None).await;
    let part = &bytes[PART..2 * PART];
    let dead = sandbox.part(&first, &session, &bytes, 1, &sha(part)).await;
    assert_eq!((dead.status.as_u16(), dead.header("www-authenticate").is_empty()), (401, false));
    let second = sandbox.service_token().await;
    parts.push(sandbox.good_part(&second, &session, &bytes, 1).await);
    sandbox.clock.advance(std::time::Duration::from_secs(3600));
    let third = sandbox.service_token().await;
    parts.push(sandbox.good_part(&third, &session, &bytes, 2).await);
    assert_eq!(sandbox.commit(&third, &session, json!(parts), &sha(&bytes)).await.status, 201);
    assert_eq!(sandbox.count("path=/api/2.0/*&status=401").await, 1);
}
