//! A customer whose portal opens browser sessions, and pages that ask with them.

use serde_json::{Value, json};

use crate::harness::{ADA, FOLDER, Harness};
use crate::response::Reply;

/// The portal's own origin, and another that the tenant's policy names.
pub(crate) const PORTAL: &str = "https://portal.example.com";
pub(crate) const INTRANET: &str = "https://intranet.example.com:8443";

/// Where pages ask.
pub(crate) const TOKENS: &str = "/v1/browser/tokens";

/// A broker with ACME's tenant, and a service that may open any session of it and cancel any.
pub(crate) struct Scene {
    pub(crate) harness: Harness,
    pub(crate) portal: String,
}

/// What was opened.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) id: String,
    pub(crate) text: String,
    pub(crate) expires_at: String,
}

/// Grants on any session of a tenant.
pub(crate) fn any_session(tenant: &str) -> Value {
    json!([{
        "tenant": tenant, "permissions": ["sessions:create", "sessions:cancel"],
        "subjects": ["enterprise", "user:*"],
    }])
}

/// The usual session: ADA's, on one folder, to read.
pub(crate) fn usual() -> Value {
    json!({
        "subject": { "type": "user", "id": ADA }, "resources": [{ "type": "folder", "id": FOLDER }],
        "read": { "preset": "explorer" }, "origins": [PORTAL],
    })
}

/// The usual one, but for `change`.
pub(crate) fn but(change: Value) -> Value {
    let mut body = usual();
    body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    body
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    pub(crate) async fn with(more: &[(&str, &str)]) -> Self {
        let harness = Harness::with(more, |_, _| {}).await;
        harness.register("acme", &harness.apps.acme).await;
        harness.pages_of("acme").await;
        let portal = harness.service("portal", any_session("acme")).await;
        Self { harness, portal }
    }

    pub(crate) async fn open(&self, body: Value) -> Reply {
        self.harness.post(&self.portal, "/v1/tenants/acme/browser-sessions", body).await
    }

    /// The usual session, but for `change`.
    pub(crate) async fn opened(&self, change: Value) -> Opened {
        Opened::of(self.open(but(change)).await)
    }

    /// What the portal's page is told.
    pub(crate) async fn page(&self, session: &Opened, ids: &[&str]) -> Reply {
        self.harness.page(PORTAL, &session.text, ids).await
    }

    pub(crate) async fn cancel(&self, session: &Opened) {
        let path = format!("/v1/tenants/acme/browser-sessions/{}", session.id);
        self.harness.delete(&self.portal, &path).await.is(204);
    }

    pub(crate) async fn end(self) {
        self.harness.end().await;
    }
}

impl Opened {
    #[track_caller]
    pub(crate) fn of(reply: Reply) -> Self {
        let body = reply.is(201);
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { id: text("id"), text: text("session"), expires_at: text("expires_at") }
    }
}

impl Harness {
    /// Lets pages of both origins have sessions of a tenant.
    pub(crate) async fn pages_of(&self, tenant: &str) {
        self.change_tenant(tenant, json!({ "policy": { "browser_origins": [PORTAL, INTRANET] } })).await;
    }

    /// What a page of that origin is told.
    pub(crate) async fn page(&self, origin: &str, session: &str, ids: &[&str]) -> Reply {
        let request = self.http.post(self.url(TOKENS)).bearer_auth(session).header("origin", origin);
        let reply = Reply::of(request.json(&json!({ "ids": ids })).send().await.unwrap()).await;
        reply.names(origin);
        reply
    }
}

impl Reply {
    /// Checks what a browser needs to let a page of that origin read an answer.
    #[track_caller]
    pub(crate) fn names(&self, origin: &str) {
        assert_eq!(self.header("access-control-allow-origin"), origin, "{self:?}");
        assert_eq!(
            self.header("access-control-expose-headers"),
            "date, retry-after, x-request-id",
            "{self:?}"
        );
        assert_eq!(self.header("vary"), "origin", "{self:?}");
        assert!(self.headers.get("access-control-allow-credentials").is_none(), "{self:?}");
    }

    /// The tokens of one item: to read, and to write.
    #[track_caller]
    pub(crate) fn tokens_of(&self, id: &str) -> (String, Option<String>) {
        assert_eq!(self.status, 200, "{self:?}");
        let tokens = &self.body["tokens"][id];
        let read = tokens["read"].as_str().unwrap_or_else(|| panic!("no token for {id}: {self:?}"));
        (read.to_owned(), tokens["write"].as_str().map(str::to_owned))
    }

    /// Why there is no token for an item.
    #[track_caller]
    pub(crate) fn error_of(&self, id: &str) -> &str {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.body["tokens"].get(id).is_none(), "{self:?}");
        self.body["errors"][id]["code"].as_str().unwrap_or_else(|| panic!("no error for {id}: {self:?}"))
    }
}
