//! What came back, and what every answer and every problem must look like.

use reqwest::header::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    /// The body; `null` where it is empty.
    pub(crate) body: Value,
}

impl Reply {
    /// Reads the answer, and checks what holds for each.
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = match &bytes[..] {
            [] => Value::Null,
            text => serde_json::from_slice(text).unwrap_or_else(|error| {
                panic!("{status}: {error}: {}", String::from_utf8_lossy(text));
            }),
        };
        let reply = Self { status, headers, body };
        assert!(!reply.header("x-request-id").is_empty(), "{reply:?}");
        if status >= 400 && reply.body.get("error").is_some() {
            reply.is_box_shaped();
        } else if status >= 400 {
            reply.is_a_problem();
        }
        let shows = |field: &str| reply.body.get(field).is_some_and(Value::is_string);
        let shows_a_key = reply.body["key"].as_str().is_some_and(|key| key.starts_with("btb_"));
        let shows_tokens = reply.body["tokens"].is_object();
        if shows("access_token") || shows_a_key || shows("session") || shows_tokens {
            assert_eq!(reply.header("cache-control"), "no-store", "{reply:?}");
        }
        reply
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn is_a_problem(&self) {
        let field = |name: &str| self.body[name].as_str().unwrap_or_else(|| panic!("{name}: {self:?}"));
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.header("x-request-id"), field("request_id"), "{self:?}");
        assert_eq!(self.body["status"], self.status, "{self:?}");
        assert_eq!(field("type"), format!("urn:box-token-broker:problem:{}", field("code")), "{self:?}");
        assert!(!field("title").is_empty() && !field("detail").is_empty(), "{self:?}");
        assert!(["never", "after", "admin"].contains(&field("retry")), "{self:?}");
        assert!(["request", "subject", "tenant", "app", "broker"].contains(&field("scope")), "{self:?}");
        let after = self.header("retry-after");
        assert_eq!(
            self.body["retry_after"].as_u64().map(|seconds| seconds.to_string()).unwrap_or_default(),
            after
        );
        assert!(![429, 503].contains(&self.status) || !after.is_empty(), "{self:?}");
        assert_eq!(field("retry") == "after", !after.is_empty(), "{self:?}");
        assert!(self.status != 424 || !field("fix").is_empty(), "{self:?}");
    }

    /// A problem in the shape that Box gives it.
    fn is_box_shaped(&self) {
        let field = |name: &str| self.body[name].as_str().unwrap_or_else(|| panic!("{name}: {self:?}"));
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert_eq!(self.header("cache-control"), "no-store", "{self:?}");
        assert_eq!(self.header("x-request-id"), field("request_id"), "{self:?}");
        assert!(!field("error").is_empty() && !field("code").is_empty(), "{self:?}");
        assert!(!field("error_description").is_empty(), "{self:?}");
        assert_eq!(field("message"), field("error_description"), "{self:?}");
        assert!(
            ![429, 503].contains(&self.status) || self.header("retry-after").parse::<u64>().is_ok(),
            "{self:?}"
        );
        assert!(![403, 422, 424].contains(&self.status), "Box answers 400: {self:?}");
        assert!(self.status != 404 || field("error") == "invalid_request", "Box answers 400: {self:?}");
    }

    /// The problem of this status and OAuth's name.
    #[track_caller]
    pub(crate) fn refuses_as_box(self, status: u16, error: &str) -> Value {
        assert_eq!((self.status, self.body["error"].as_str()), (status, Some(error)), "{self:?}");
        self.body
    }

    /// The body of a success.
    #[track_caller]
    pub(crate) fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }

    /// The body of an answer with this status.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// The problem of this status and code.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{self:?}");
        self.body
    }

    /// The token that was given.
    #[track_caller]
    pub(crate) fn token(self) -> String {
        let body = self.ok();
        assert_eq!(body["token_type"], "bearer");
        body["access_token"].as_str().expect("a token").to_owned()
    }
}
