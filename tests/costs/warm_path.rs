//! What a request for a warm token costs, counted in allocations.

use std::io;

use allocation_counter::{AllocationInfo, measure};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use crate::ground::{FOLDER, Ground};

/// How many allocations, and bytes in them, one request may take: from its first byte in the broker to
/// the last of its answer. Whoever makes it dearer raises the number, and says in the commit what for;
/// whoever makes it cheaper lowers it. The bytes have room for a field or two.
const ALLOCATIONS: u64 = 51;
const BYTES: u64 = 17_000;

/// The same for a page that names a folder and nine files in it, which all get the folder's two tokens.
const PAGE_ALLOCATIONS: u64 = 98;
const PAGE_BYTES: u64 = 40_000;

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

/// True once an answer is there to its end: a token's last field is an object, and a page's is a text.
fn is_whole(answer: &[u8]) -> bool {
    answer.ends_with(b"}}") || answer.ends_with(b"\"}")
}

/// The cheapest of many.
fn cheapest(runtime: &Runtime, ground: &Ground, request: &str, times: usize) -> AllocationInfo {
    let mut answer = [0; 4096];
    let connection = runtime.block_on(TcpStream::connect(ground.broker().service)).unwrap();
    let once = |_| {
        let mut length = 0;
        let info = measure(|| length = runtime.block_on(ask(&connection, request.as_bytes(), &mut answer)));
        assert!(answer[..length].starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        info
    };
    (0..times).map(once).min_by_key(|info| (info.count_total, info.bytes_total)).unwrap()
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
    let cost = cheapest(&runtime, &ground, &request, TIMES);
    let fits = |spent: u64, budget: u64| spent <= budget && spent >= budget - budget / 10;
    assert!(fits(cost.count_total, ALLOCATIONS) && fits(cost.bytes_total, BYTES), "{cost:?}");
    runtime.block_on(ground.end());
}

#[test]
fn a_warm_page_costs_no_more_than_it_did() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let (ground, session) = runtime.block_on(async {
        let ground = Ground::new().await;
        ground.register("acme", &ground.apps.acme).await;
        let policy = json!({ "policy": { "browser_origins": ["https://app.example.com"] } });
        ground.patch(&ground.admin, "/v1/tenants/acme", policy).await.is(200);
        let grants = json!([{ "tenant": "acme", "permissions": ["sessions:create"] }]);
        let key = ground.service("portal", grants).await;
        let body = json!({
            "resources": [{ "type": "folder", "id": FOLDER }], "origins": ["https://app.example.com"],
            "read": { "preset": "explorer" }, "write": { "preset": "uploader" },
        });
        let session = ground.post(&key, "/v1/tenants/acme/browser-sessions", body).await.is(201);
        (ground, session["session"].as_str().unwrap().to_owned())
    });
    let ids: Vec<String> = (0..9).map(|number| format!("\"file_{number}\"")).collect();
    let body = format!("{{\"ids\":[\"folder_{FOLDER}\",{}]}}", ids.join(","));
    let request = format!(
        "POST /v1/browser/tokens HTTP/1.1\r\nhost: broker\r\ncontent-length: {}\r\n\
         content-type: application/json\r\norigin: https://app.example.com\r\n\
         authorization: Bearer {session}\r\n\r\n{body}",
        body.len()
    );
    // A session is asked with more often here than it may be in a second.
    let cost = (0..4).map(|_| {
        ground.clock.advance(std::time::Duration::from_secs(10));
        cheapest(&runtime, &ground, &request, 90)
    });
    let cost = cost.min_by_key(|info| (info.count_total, info.bytes_total)).unwrap();
    let fits = |spent: u64, budget: u64| spent <= budget && spent >= budget - budget / 10;
    assert!(fits(cost.count_total, PAGE_ALLOCATIONS) && fits(cost.bytes_total, PAGE_BYTES), "{cost:?}");
    runtime.block_on(ground.end());
}
