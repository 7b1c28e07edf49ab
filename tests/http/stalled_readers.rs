//! Peers that ask and never read.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::Harness;

#[tokio::test]
async fn a_peer_that_never_reads_its_answers_loses_its_place() {
    let harness = Harness::with(&[("BTB_LIMITS__CONNECTIONS", "3")], |_, _| {}).await;
    let request = "GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nhost: x\r\n\r\n".repeat(20);
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = TcpStream::connect(harness.broker().service).await.unwrap();
        peer.write_all(request.as_bytes()).await.unwrap();
        peers.push(peer);
    }
    // It waits for a place, 10 s at most, and then twice as long for good measure.
    let whoami = harness.http.get(harness.url("/v1/whoami")).bearer_auth(&harness.admin).send();
    let answer = tokio::time::timeout(Duration::from_secs(20), whoami).await.expect("an answer in time");
    assert_eq!(answer.unwrap().status(), 200);
    drop(peers);
    harness.end().await;
}
