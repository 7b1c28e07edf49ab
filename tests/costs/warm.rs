//! A broker that answers one request from memory: a service's token, or a page's tokens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::client::Client;
use crate::clock::CountingClock;
use crate::harness::{FOLDER, Harness};

/// A request to repeat, and the broker that answers it.
pub(crate) struct WarmRequest {
    pub(crate) harness: Harness,
    /// Counts how often the broker reads the time.
    pub(crate) clock: Arc<CountingClock>,
    pub(crate) client: Client,
}

impl WarmRequest {
    /// A service that requests a token of its tenant's service account.
    pub(crate) async fn service() -> Self {
        let harness = Harness::new().await;
        harness.register("acme", &harness.apps.acme).await;
        let grants = json!([{ "tenant": "acme", "permissions": ["tokens:mint"] }]);
        let key = harness.service("portal", grants).await;
        let request = format!(
            "POST /v1/tenants/acme/token HTTP/1.1\r\nhost: broker\r\ncontent-length: 0\r\n\
             authorization: Bearer {key}\r\n\r\n"
        );
        Self::new(harness, request).await
    }

    /// A page that names a folder and nine files in it, all of which get the folder's two tokens.
    pub(crate) async fn page() -> Self {
        let harness = Harness::new().await;
        harness.register("acme", &harness.apps.acme).await;
        let policy = json!({ "policy": { "browser_origins": ["https://app.example.com"] } });
        harness.patch(&harness.admin, "/v1/tenants/acme", policy).await.is(200);
        let grants = json!([{ "tenant": "acme", "permissions": ["sessions:create"] }]);
        let key = harness.service("portal", grants).await;
        let body = json!({
            "resources": [{ "type": "folder", "id": FOLDER }], "origins": ["https://app.example.com"],
            "read": { "preset": "explorer" }, "write": { "preset": "uploader" },
        });
        let session = harness.post(&key, "/v1/tenants/acme/browser-sessions", body).await.is(201);
        let session = session["session"].as_str().unwrap();
        let ids: Vec<String> = (0..9).map(|number| format!("\"file_{number}\"")).collect();
        let body = format!("{{\"ids\":[\"folder_{FOLDER}\",{}]}}", ids.join(","));
        let request = format!(
            "POST /v1/browser/tokens HTTP/1.1\r\nhost: broker\r\ncontent-length: {}\r\n\
             content-type: application/json\r\norigin: https://app.example.com\r\n\
             authorization: Bearer {session}\r\n\r\n{body}",
            body.len()
        );
        Self::new(harness, request).await
    }

    async fn new(mut harness: Harness, request: String) -> Self {
        let clock = Arc::new(CountingClock::new(harness.clock.clone()));
        harness.stop().await;
        harness.start_with(clock.clone()).await;
        let client = Client::connect(harness.broker().service, request).await;
        Self { harness, clock, client }
    }
}

/// Lets enough time pass that the rate limit of a browser session admits its full burst of 100 again.
pub(crate) fn refill_rate_limit(harness: &Harness) {
    harness.clock.advance(Duration::from_secs(10));
}
