//! Where requests come from, in the log.

use serde_json::Value;

use crate::harness::Harness;

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_from_where_a_request_came_that_was_refused() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    let asked = [harness.http.get(serving.url("/v1/whoami")), harness.http.get(serving.url("/v1/tenants"))];
    for (request, key) in asked.into_iter().zip(["wrong", &key]) {
        let spoofed = request.bearer_auth(key).header("x-forwarded-for", "198.51.100.7");
        assert!(spoofed.send().await.unwrap().status().is_client_error());
    }
    let said = serving.stop().await;
    let lines = said.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let refused: Vec<Value> = lines.filter(|line: &Value| line["message"] == "request").collect();
    let told: Vec<_> = refused.iter().map(|line| (&line["status"], line["peer"].as_str())).collect();
    let here = Some("127.0.0.1");
    assert_eq!(told, [(&Value::from(401), here), (&Value::from(403), here)], "{refused:?}");
    harness.end().await;
}
