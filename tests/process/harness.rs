//! Box's side, a place for brokers, and a service that may have tokens of one tenant.

use std::sync::LazyLock;
use std::time::Duration;

use box_sandbox::{AppPrivateKey, AppSpec, GeneratedApp, Sandbox, World, generate_app};
use box_token_broker::clock::{Clock as _, SystemClock};
use reqwest::Client;
use serde_json::{Value, json};

use crate::process::{Place, Serving};

/// A user, and a file that the user sees.
pub(crate) const ADA: &str = "10000001001";
pub(crate) const FILE: &str = "30000001001";

/// A key takes long to make, so all tests share it.
static KEY: LazyLock<AppPrivateKey> = LazyLock::new(|| AppPrivateKey::generate(2048));

pub(crate) struct Harness {
    pub(crate) sandbox: Sandbox,
    pub(crate) place: Place,
    pub(crate) http: Client,
    pub(crate) admin: String,
    app: GeneratedApp,
}

impl Harness {
    pub(crate) async fn new() -> Self {
        let app = generate_app(&AppSpec { key: Some(KEY.clone()), ..AppSpec::default() });
        let world = World::from_app_configs([&app.json]).unwrap();
        let clock = SystemClock::new();
        let time = move || clock.wall();
        let sandbox = Sandbox::start(world, "127.0.0.1:0".parse().unwrap(), time).await.unwrap();
        let place = Place::new(&sandbox.url(), &[]).await;
        let admin = place.new_admin("root").await;
        let http = Client::builder().no_proxy().build().unwrap();
        Self { sandbox, place, http, admin, app }
    }

    /// A broker with the tenant `acme`, and the API key of a service that may have its tokens.
    pub(crate) async fn serve_acme(&self) -> (Serving, String) {
        let serving = self.place.serve().await;
        let config: Value = serde_json::from_str(&self.app.json).unwrap();
        let grants = json!([
            { "tenant": "acme", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] },
        ]);
        self.asks(&serving, &self.admin, "/v1/tenants", json!({ "tenant": "acme", "config": config })).await;
        let caller = json!({ "name": "portal", "kind": "service", "grants": grants });
        self.asks(&serving, &self.admin, "/v1/callers", caller).await;
        let key = self.asks(&serving, &self.admin, "/v1/callers/portal/keys", json!({})).await;
        (serving, key["key"].as_str().unwrap().to_owned())
    }

    /// The body of an answer that must be a success.
    pub(crate) async fn asks(&self, serving: &Serving, key: &str, path: &str, body: Value) -> Value {
        let response = self.http.post(serving.url(path)).bearer_auth(key).json(&body).send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{path}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    /// A full token, of the service account or of a user.
    pub(crate) async fn token(&self, serving: &Serving, key: &str, user: Option<&str>) -> String {
        let body = user.map_or_else(|| json!({}), |id| json!({ "subject": { "type": "user", "id": id } }));
        let given = self.asks(serving, key, "/v1/tenants/acme/token", body).await;
        given["access_token"].as_str().unwrap().to_owned()
    }

    /// One token of each kind: of the service account, of a user, and one that may only preview a file.
    pub(crate) async fn tokens(&self, serving: &Serving, key: &str) -> [String; 3] {
        let narrow = json!({ "scopes": ["item_preview"], "resource": { "type": "file", "id": FILE } });
        let narrow = self.asks(serving, key, "/v1/tenants/acme/token/downscoped", narrow).await;
        [
            self.token(serving, key, None).await,
            self.token(serving, key, Some(ADA)).await,
            narrow["access_token"].as_str().unwrap().to_owned(),
        ]
    }

    /// The status with which Box answers a token on `path`.
    pub(crate) async fn at_box(&self, token: &str, path: &str) -> u16 {
        let url = format!("{}{path}", self.sandbox.url());
        self.http.get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    }

    /// How many requests Box saw for tokens.
    pub(crate) async fn asked_for_tokens(&self) -> u64 {
        let url = format!("{}/sandbox/journal/count?path=/oauth2/token", self.sandbox.url());
        let body = self.http.get(url).send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&body).unwrap()["count"].as_u64().unwrap()
    }

    /// Waits until Box saw more than `before`.
    pub(crate) async fn asked_more_often_than(&self, before: u64) {
        until(Duration::from_secs(20), async || self.asked_for_tokens().await > before).await;
    }

    /// Makes Box's token endpoint fail.
    pub(crate) async fn fault(&self, effect: Value) {
        let order = json!({ "select": { "path": "/oauth2/token" }, "effect": effect });
        let url = format!("{}/sandbox/faults", self.sandbox.url());
        self.http.post(url).json(&order).send().await.unwrap().error_for_status().unwrap();
    }

    /// Makes Box work again.
    pub(crate) async fn heal(&self) {
        let url = format!("{}/sandbox/faults", self.sandbox.url());
        self.http.delete(url).send().await.unwrap().error_for_status().unwrap();
    }

    /// What is left when a test has succeeded is removed.
    pub(crate) async fn end(self) {
        self.place.end().await;
        self.sandbox.stop().await;
    }
}

/// Looks again and again until it is so, at most for `patience`.
pub(crate) async fn until(patience: Duration, is_so: impl AsyncFn() -> bool) {
    let looks = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        while !is_so().await {
            ticks.tick().await;
        }
    };
    assert!(tokio::time::timeout(patience, looks).await.is_ok(), "it is not so after {patience:?}");
}
