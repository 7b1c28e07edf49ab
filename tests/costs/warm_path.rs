//! What a request for a warm token costs, counted in allocations.

use std::io;

use allocation_counter::{AllocationInfo, measure};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::ground::Ground;

/// How many allocations, and bytes in them, one request may take: from its first byte in the broker to
/// the last of its answer. Whoever makes it dearer raises the number, and says in the commit what for;
/// whoever makes it cheaper lowers it. The bytes have room for a field or two.
const ALLOCATIONS: u64 = 51;
const BYTES: u64 = 17_000;

/// How often it is asked: now and then the broker does something else meanwhile, never each time.
const TIMES: usize = 200;

/// Sends a request and reads its answer, without allocating anything.
async fn ask(connection: &TcpStream, request: &[u8], answer: &mut [u8]) -> usize {
    let mut sent = 0;
    while sent < request.len() {
        connection.writable().await.unwrap();
        sent += or_later(connection.try_write(&request[sent..]));
    }
    let mut read = 0;
    while !is_whole(&answer[..read]) {
        connection.readable().await.unwrap();
        read += or_later(connection.try_read(&mut answer[read..]));
    }
    read
}

fn or_later(done: io::Result<usize>) -> usize {
    match done {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        done => done.unwrap(),
    }
}

/// True once an answer is there to its end: a token's is one object without any other in its last field.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"}}")
}

/// The cheapest of many.
fn cheapest(runtime: &Runtime, ground: &Ground, request: &str) -> AllocationInfo {
    let mut answer = [0; 4096];
    let connection = runtime.block_on(TcpStream::connect(ground.broker().service)).unwrap();
    let once = |_| {
        let mut length = 0;
        let info = measure(|| length = runtime.block_on(ask(&connection, request.as_bytes(), &mut answer)));
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        info
    };
    (0..TIMES).map(once).min_by_key(|info| (info.count_total, info.bytes_total)).unwrap()
}

#[test]
fn a_warm_token_costs_no_more_than_it_did() {
    // One thread for everything, so that all is counted.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (ground, key) = runtime.block_on(async {
        let ground = Ground::new().await;
        ground.register("acme", &ground.apps.acme).await;
        let grants = json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }]);
        let key = ground.service("portal", grants).await;
        ground.token(&key, "acme").await.token();
        (ground, key)
    });
    let request = format!(
        "POST /v1/tenants/acme/token HTTP/1.1\r\nhost: broker\r\ncontent-length: 0\r\n\
         authorization: Bearer {key}\r\n\r\n"
    );
    let cost = cheapest(&runtime, &ground, &request);
    let fits = |spent: u64, budget: u64| spent <= budget && spent >= budget - budget / 10;
    assert!(fits(cost.count_total, ALLOCATIONS) && fits(cost.bytes_total, BYTES), "{cost:?}");
    runtime.block_on(ground.end());
}
