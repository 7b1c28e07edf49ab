//! What tests of tokens have in common: a tenant with a service that may have all of its tokens, and
//! ways to look at them.

use std::time::Duration;

use box_token_broker::crypto::sha256_hex;
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::Harness;
use crate::response::Reply;

/// A broker with ACME's tenant, and the key of a service that may have any token of it.
pub(crate) async fn acme() -> (Harness, String) {
    let harness = Harness::new().await;
    harness.register("acme", &harness.apps.acme).await;
    let key = harness.service("portal", any_token("acme")).await;
    (harness, key)
}

/// Grants on any token of a tenant.
pub(crate) fn any_token(tenant: &str) -> Value {
    json!([{ "tenant": tenant, "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }])
}

/// A user, as a request names them.
pub(crate) fn user(id: &str) -> Value {
    json!({ "type": "user", "id": id })
}

/// The events of an action that are written down, oldest first.
pub(crate) async fn events(harness: &Harness, action: &str) -> Vec<Value> {
    let sql = format!("SELECT doc FROM audit WHERE action = '{action}' ORDER BY at, number");
    let rows = harness.hand().reads(&sql).await;
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

/// Waits until something holds that another task brings about.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    // The broker runs on the same thread: polls at an interval leave it the time between them.
    let mut polls = tokio::time::interval(Duration::from_millis(5));
    let polled = async {
        while !holds().await {
            polls.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), polled).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// What `ask` is answered when `change` happens while Box takes its time with it.
pub(crate) async fn meanwhile(
    harness: &Harness,
    grant: &str,
    ask: impl Future<Output = Reply>,
    change: impl Future<Output = ()>,
) -> Reply {
    let query = format!("grant={grant}");
    let before = harness.count(&query).await;
    let order = json!({ "select": { "grant": grant }, "effect": { "hold": true }, "times": 1 });
    let held = harness.fault(order).await;
    let change = async {
        eventually("it is at Box", async || harness.count(&query).await > before).await;
        change.await;
        harness.lift(&held).await;
    };
    tokio::join!(ask, change).0
}

/// What two are answered who are both at a path of Box's before it answers either.
pub(crate) async fn side_by_side(
    harness: &Harness,
    path: &str,
    one: impl Future<Output = Reply>,
    other: impl Future<Output = Reply>,
) -> (Reply, Reply) {
    let query = format!("path={path}");
    let before = harness.count(&query).await;
    let held = harness.hold(json!({ "path": path })).await;
    let meeting = async {
        eventually("both are at Box", async || harness.count(&query).await >= before + 2).await;
        harness.lift(&held).await;
    };
    let (one, other, ()) = tokio::join!(one, other, meeting);
    (one, other)
}

impl Harness {
    /// Changes a tenant, as the admin.
    pub(crate) async fn change_tenant(&self, tenant: &str, change: Value) -> Value {
        self.patch(&self.admin, &format!("/v1/tenants/{tenant}"), change).await.is(200)
    }

    /// Asks for a full token of the service account with a promise.
    pub(crate) async fn lasting(&self, key: &str, tenant: &str, min_ttl: u64) -> Reply {
        self.post(key, &format!("/v1/tenants/{tenant}/token"), json!({ "min_ttl": min_ttl })).await
    }

    /// A call with `If-Match`.
    pub(crate) async fn if_match(
        &self,
        key: &str,
        method: Method,
        path: &str,
        etag: &str,
        body: Value,
    ) -> Reply {
        let request = self.http.request(method, self.url(path)).bearer_auth(key).json(&body);
        Reply::of(request.header("if-match", etag).send().await.unwrap()).await
    }

    /// What Box knows of a token.
    pub(crate) async fn known_at_box(&self, token: &str) -> Value {
        self.known_by_sha256(&sha256_hex(token.as_bytes())).await
    }

    pub(crate) async fn known_by_sha256(&self, sha256: &str) -> Value {
        self.control("GET", &format!("/tokens/{sha256}"), None).await
    }

    /// The SHA-256 of the tokens that Box gave to calls that fit, oldest first.
    pub(crate) async fn issued(&self, query: &str) -> Vec<String> {
        let journal = self.control("GET", &format!("/journal?{query}"), None).await;
        let items = journal["items"].as_array().unwrap();
        items.iter().filter_map(|item| item["issued"].as_str()).map(str::to_owned).collect()
    }

    /// Waits until each token that Box gave to calls that fit is dead there.
    pub(crate) async fn all_die_at_box(&self, query: &str) {
        for sha256 in self.issued(query).await {
            eventually("the token dies", async || self.known_by_sha256(&sha256).await["live"] == false).await;
        }
    }

    /// How many exchanges Box saw.
    pub(crate) async fn exchanges(&self) -> u64 {
        self.count("grant=token-exchange").await
    }

    /// Sets how many seconds new full and downscoped tokens live.
    pub(crate) async fn token_lives(&self, full: u64, downscoped: u64) {
        let lives = json!({ "seconds": full, "child_seconds": downscoped });
        self.control("PUT", "/token-life", Some(&lives)).await;
    }
}
