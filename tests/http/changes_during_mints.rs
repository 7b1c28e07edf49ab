//! What a caller may have is judged by what holds when a token leaves, not when it was asked for.

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{ADA, GRACE};
use crate::token_requests::{acme, any_token, eventually, meanwhile, user};

fn of_ada() -> String {
    format!("grant=jwt-bearer&subject=user:{ADA}")
}

#[tokio::test]
async fn invariant_1_a_policy_that_changes_during_a_mint_holds_for_what_comes_of_it() {
    let (harness, key) = acme().await;
    let ask = harness.user_token(&key, "acme", ADA);
    let reply = meanwhile(&harness, "jwt-bearer", ask, async {
        harness.change_tenant("acme", json!({ "policy": { "full_tokens": false } })).await;
    })
    .await;
    reply.refuses(403, "forbidden");
    // What Box gave serves those who may have what is made of it.
    let child = json!({ "subject": user(ADA), "scopes": ["item_preview"] });
    harness.downscoped(&key, "acme", child).await.token();
    assert_eq!(harness.issued(&of_ada()).await.len(), 1);
    harness.end().await;
}

#[tokio::test]
async fn invariant_1_a_policy_that_changes_during_a_mint_and_still_allows_it_costs_no_other() {
    let (harness, key) = acme().await;
    let ask = harness.user_token(&key, "acme", ADA);
    let reply = meanwhile(&harness, "jwt-bearer", ask, async {
        harness.change_tenant("acme", json!({ "policy": { "subjects": ["user:*"] } })).await;
    })
    .await;
    reply.token();
    assert_eq!(harness.count(&of_ada()).await, 1);
    harness.end().await;
}

#[tokio::test]
async fn r7_a_caller_that_loses_its_grant_during_a_mint_gets_nothing_of_it() {
    let (harness, key) = acme().await;
    let plain = json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }]);
    for (grants, (status, code)) in [(plain, (403, "forbidden")), (json!([]), (404, "not_found"))] {
        harness
            .patch(&harness.admin, "/v1/callers/portal", json!({ "grants": any_token("acme") }))
            .await
            .is(200);
        let user = if status == 403 { ADA } else { GRACE };
        let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "acme", user), async {
            let change = json!({ "grants": grants });
            harness.patch(&harness.admin, "/v1/callers/portal", change).await.is(200);
        })
        .await;
        reply.refuses(status, code);
    }
    harness.end().await;
}

#[tokio::test]
async fn r7_a_caller_that_loses_its_key_during_a_mint_gets_nothing_of_it() {
    let (harness, key) = acme().await;
    let id = box_token_broker::auth::api_key::id_of(&key).unwrap();
    let reply = meanwhile(&harness, "jwt-bearer", harness.user_token(&key, "acme", ADA), async {
        let path = format!("/v1/callers/portal/keys/{}", id.as_str());
        harness.delete(&harness.admin, &path).await.is(204);
    })
    .await;
    reply.refuses(401, "unauthenticated");
    harness.end().await;
}

#[tokio::test]
async fn r7_a_key_revoked_while_a_body_arrives_opens_nothing() {
    let (harness, key) = acme().await;
    harness.token(&harness.admin, "acme").await.token();
    let mut socket = TcpStream::connect(harness.broker().service).await.unwrap();
    let head = format!(
        "POST /v1/tenants/acme/token HTTP/1.1\r\nhost: broker\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    eventually("the key is accepted", async || {
        harness.broker().run_housekeeping().await;
        let caller = harness.get(&harness.admin, "/v1/callers/portal").await.ok();
        !caller["keys"][0]["last_used_at"].is_null()
    })
    .await;
    let id = box_token_broker::auth::api_key::id_of(&key).unwrap();
    harness.delete(&harness.admin, &format!("/v1/callers/portal/keys/{}", id.as_str())).await.is(204);
    socket.write_all(b"}").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    harness.end().await;
}
