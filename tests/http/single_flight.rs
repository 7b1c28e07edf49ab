//! Many callers, one mint: who waits for the same token waits for the same flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{ADA, GRACE, Harness};
use crate::token_requests::{acme, eventually};

fn of_ada() -> String {
    format!("subject=user:{ADA}")
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_4_five_hundred_callers_share_one_mint() {
    let (harness, key) = acme().await;
    harness.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "latency_ms": 200 } })).await;
    let replies = join_all((0..500).map(|_| harness.user_token(&key, "acme", ADA))).await;
    let mut tokens: Vec<_> = replies.into_iter().map(crate::response::Reply::token).collect();
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(harness.count(&of_ada()).await, 1);
    harness.end().await;
}

/// Counts the panics outside of the tests themselves, which go unseen where nobody waits for the task.
fn panics_of_the_broker() -> Arc<AtomicU32> {
    let seen = Arc::new(AtomicU32::new(0));
    let (count, before) = (Arc::clone(&seen), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_none_or(|place| !place.file().starts_with("tests/")) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
    seen
}

/// Sends a whole request, waits 50 ms for an answer and hangs up; true where none came.
async fn asks_and_hangs_up(harness: &Harness, request: &str) -> bool {
    let mut socket = TcpStream::connect(harness.broker().service).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    tokio::time::timeout(Duration::from_millis(50), socket.read_u8()).await.is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_a_thousand_callers_that_hang_up_cost_one_mint_and_harm_nobody() {
    let (harness, key) = acme().await;
    let panics = panics_of_the_broker();
    harness.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "latency_ms": 2000 } })).await;
    let body = json!({ "subject": { "type": "user", "id": ADA } }).to_string();
    let request = format!(
        "POST /v1/tenants/acme/token HTTP/1.1\r\nhost: broker\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let hung_up = join_all((0..1000).map(|_| asks_and_hangs_up(&harness, &request))).await;
    // A slow machine may come to the last of them after Box has answered.
    assert!(hung_up.iter().filter(|&&gone| gone).count() > 500);
    eventually("Box gives the token", async || !harness.issued(&of_ada()).await.is_empty()).await;
    harness.user_token(&key, "acme", ADA).await.token();
    assert_eq!(harness.count(&of_ada()).await, 1);
    assert_eq!(panics.load(Ordering::SeqCst), 0);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_flight_is_shared_with_its_real_reason() {
    let (harness, key) = acme().await;
    let effect = json!({ "latency_ms": 1500, "status": 503, "retry_after": 7 });
    harness.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": effect })).await;
    for reply in join_all((0..100).map(|_| harness.user_token(&key, "acme", ADA))).await {
        assert_eq!(reply.refuses(503, "upstream_unavailable")["retry_after"], 7);
    }
    // One flight's two tries.
    assert_eq!(harness.count(&of_ada()).await, 2);

    harness.heal().await;
    harness.clock.advance(Duration::from_secs(7));
    harness.user_token(&key, "acme", ADA).await.token();
    harness.end().await;
}

#[tokio::test]
async fn invariant_11_a_flight_that_hangs_at_box_delays_no_other_key() {
    let (harness, key) = acme().await;
    let warm = harness.token(&key, "acme").await.token();
    let select = json!({ "subject": format!("user:{ADA}") });
    harness.fault(json!({ "select": select, "effect": { "hang": true } })).await;
    let others = async {
        eventually("Ada's flight is at Box", async || harness.count(&of_ada()).await > 0).await;
        assert_eq!(harness.token(&key, "acme").await.token(), warm);
        let cold = harness.user_token(&key, "acme", GRACE).await.token();
        assert_eq!(harness.user_token(&key, "acme", GRACE).await.token(), cold);
    };
    let hanging = harness.user_token(&key, "acme", ADA);
    tokio::select! {
        () = others => {}
        reply = hanging => panic!("the others waited for {reply:?}"),
    }
    harness.end().await;
}

#[tokio::test]
async fn a_caller_with_a_smaller_need_is_served_by_the_flight_of_one_with_a_greater() {
    let (harness, key) = acme().await;
    // Alive for 2,000 s more: enough for one, too little for the other.
    harness.clock.advance(Duration::from_secs(1600));
    let mints = harness.mints().await;
    let warm = harness.token(&key, "acme").await.token();
    let (lasting, plain) =
        tokio::join!(harness.lasting(&key, "acme", 2500), harness.lasting(&key, "acme", 2400));
    let lasting = lasting.token();
    assert_ne!(lasting, warm);
    assert_eq!(plain.token(), lasting);
    assert_eq!(harness.mints().await, mints + 1);
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_that_cannot_be_kept_is_refused_to_those_alone_who_want_it() {
    let (harness, key) = acme().await;
    harness.token_lives(1000, 1000).await;
    harness.fault(json!({ "select": { "grant": "jwt-bearer" }, "effect": { "latency_ms": 300 } })).await;
    // Whoever flies first: half of them want more than Box gives, and share the flight with the others.
    let asks = (0..40).map(|number| {
        let min_ttl = if number % 2 == 0 { 3000 } else { 60 };
        let (harness, key) = (&harness, &key);
        let ask = json!({ "subject": { "type": "user", "id": ADA }, "min_ttl": min_ttl });
        async move { (min_ttl, harness.post(key, "/v1/tenants/acme/token", ask).await) }
    });
    for (min_ttl, reply) in join_all(asks).await {
        match min_ttl {
            60 => drop(reply.token()),
            _ => drop(reply.refuses(422, "min_ttl_unavailable")),
        }
    }
    harness.end().await;
}
