//! Two customers, their callers, and a hand in the database between two lives of the broker.

use serde_json::{Value, json};

use crate::harness::{ADA, Harness};
use crate::response::Reply;

/// Two tenants, and callers of different strength. The hand's edits are seen by a broker that
/// remembers nothing.
pub(crate) struct Scene {
    pub(crate) harness: Harness,
    pub(crate) acme: Value,
    pub(crate) globex: Value,
    /// May have downscoped tokens of `acme`.
    pub(crate) narrow: String,
    /// May have all tokens of `acme`.
    pub(crate) strong: String,
    /// May have all tokens of `globex`.
    pub(crate) bystander: String,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        let harness = Harness::new().await;
        let acme = harness.register("acme", &harness.apps.acme).await;
        let globex = harness.register("globex", &harness.apps.globex).await;
        let all = |tenant: &str| json!([{ "tenant": tenant, "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
        let downscoped =
            json!([{ "tenant": "acme", "permissions": ["tokens:downscope"], "scopes": ["item_preview"] }]);
        let narrow = harness.service("narrow", downscoped).await;
        let strong = harness.service("strong", all("acme")).await;
        let bystander = harness.service("bystander", all("globex")).await;
        Self { harness, acme, globex, narrow, strong, bystander }
    }

    /// The hand writes while nobody looks.
    pub(crate) async fn written(&mut self, sql: &str) {
        self.harness.stop().await;
        assert!(self.harness.hand().does(sql).await > 0, "{sql}");
        self.harness.start().await;
    }

    /// What acme's own caller gets, where it has to be minted.
    pub(crate) async fn fresh(&self) -> Reply {
        self.harness.user_token(&self.strong, "acme", ADA).await
    }

    pub(crate) async fn bystander_is_served(&self) {
        self.harness.token(&self.bystander, "globex").await.token();
        self.harness.user_token(&self.bystander, "globex", "10000002001").await.token();
    }

    pub(crate) async fn end(self) {
        self.harness.end().await;
    }

    pub(crate) fn id(side: &Value) -> &str {
        side["id"].as_str().unwrap()
    }

    pub(crate) fn app(side: &Value) -> &str {
        side["app"]["id"].as_str().unwrap()
    }
}
