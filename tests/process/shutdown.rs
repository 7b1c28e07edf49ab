//! A process that is told to stop.

use serde_json::{Value, json};

use crate::harness::{ADA, Harness};

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_an_open_request_finish_and_ends_with_0() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    let asked = harness.asked_for_tokens().await;
    harness.fault(json!({ "latency_ms": 1500 })).await;
    let body = json!({ "subject": { "type": "user", "id": ADA } });
    let request = harness.http.post(serving.url("/v1/tenants/acme/token")).bearer_auth(&key).json(&body);
    let request = tokio::spawn(request.send());
    harness.asked_more_often_than(asked).await;
    serving.terminate();

    let response = request.await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    let given: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(harness.at_box(given["access_token"].as_str().unwrap(), "/2.0/users/me").await, 200);
    let (code, said) = serving.ended().await;
    assert_eq!(code, Some(0), "{}", String::from_utf8_lossy(&said));
    harness.end().await;
}
