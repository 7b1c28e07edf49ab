//! Calls the broker, and keeps what it answers: what is secret in an answer by right becomes a
//! canary, and all the rest of it is to be searched.

use std::sync::Mutex;

use reqwest::{Client, Method};
use serde_json::Value;

use crate::process::Serving;
use crate::searcher::Canary;

/// Where an answer may hold a secret: a token, a new API key, a browser session.
const BY_RIGHT: [&str; 3] = ["access_token", "key", "session"];

/// Where its pages are.
pub(crate) const PORTAL: &str = "https://portal.example.com";

pub(crate) struct Visitor {
    http: Client,
    heard: Mutex<Vec<u8>>,
    canaries: Mutex<Vec<Canary>>,
}

impl Visitor {
    pub(crate) fn new() -> Self {
        let http = Client::builder().no_proxy().build().unwrap();
        Self { http, heard: Mutex::default(), canaries: Mutex::default() }
    }

    /// One more secret to search for.
    pub(crate) fn keeps(&self, name: &str, secret: &str) {
        self.canaries.lock().unwrap().push(Canary::new(name, secret));
    }

    /// Asks, and answers with the status and the body.
    pub(crate) async fn asks(
        &self,
        serving: &Serving,
        key: &str,
        (method, path): (&str, &str),
        body: &Value,
    ) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.sends(serving, key, (method, path), body).await
    }

    /// The same with a body that need not be JSON.
    pub(crate) async fn sends(
        &self,
        serving: &Serving,
        key: &str,
        (method, path): (&str, &str),
        body: String,
    ) -> (u16, Value) {
        let method: Method = method.parse().unwrap();
        let request = self.http.request(method, serving.url(path)).bearer_auth(key).header("origin", PORTAL);
        let response = request.header("content-type", "application/json").body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let head = format!("{status} {:?}\n", response.headers());
        let mut text = response.text().await.unwrap();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        for field in BY_RIGHT {
            if let Some(secret) = body[field].as_str() {
                let secret_part = secret.rsplit('_').next().unwrap();
                self.keeps(&format!("{field} from {path}"), secret_part);
                text = text.replacen(secret, "", 1);
            }
        }
        let of_items = body["tokens"].as_object().into_iter().flat_map(|items| items.values());
        for secret in of_items.flat_map(|item| [&item["read"], &item["write"]]).filter_map(Value::as_str) {
            self.keeps(&format!("a page's token from {path}"), secret);
            text = text.replace(secret, "");
        }
        self.heard.lock().unwrap().extend_from_slice(format!("{head}{text}\n").as_bytes());
        (status, body)
    }

    /// Asks for what must be given.
    pub(crate) async fn gets(&self, serving: &Serving, key: &str, call: (&str, &str), body: &Value) -> Value {
        let (status, answer) = self.asks(serving, key, call, body).await;
        assert!((200..300).contains(&status), "{call:?}: {status}: {answer}");
        answer
    }

    /// Asks for what must be refused with this code.
    pub(crate) async fn fails(
        &self,
        serving: &Serving,
        key: &str,
        call: (&str, &str),
        body: &Value,
        code: &str,
    ) {
        let (status, answer) = self.asks(serving, key, call, body).await;
        assert!(status >= 400 && answer["code"] == code, "{call:?}: {status}: {answer}");
    }

    /// All answers without the secrets that they held by right.
    pub(crate) fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }

    pub(crate) fn canaries(&self) -> Vec<Canary> {
        self.canaries.lock().unwrap().clone()
    }
}
