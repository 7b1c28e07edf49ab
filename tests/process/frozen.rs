//! A process that stands still while time goes by: what it held in its hands is old when it wakes.

use std::time::Duration;

use reqwest::Response;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::harness::{ADA, Harness, until};
use crate::process::Serving;

/// How many seconds tokens live: as few as leave room for what a test does with one.
const LIFE: u64 = 5;
/// Longer than that, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

impl Serving {
    /// Lets it stand still, as a paused machine does, until [`Serving::thaw`].
    async fn freeze(&self) {
        self.signal("STOP");
        // A thread stops when its turn comes.
        until(PATIENCE, async || self.states().iter().all(|state| *state == 'T')).await;
    }

    /// How each of its threads stands, by proc(5)'s letters.
    fn states(&self) -> Vec<char> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.id())).unwrap();
        let stats =
            threads.map(|thread| std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap());
        stats.map(|stat| stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()).collect()
    }

    fn thaw(&self) {
        self.signal("CONT");
    }
}

type Answer = JoinHandle<reqwest::Result<Response>>;

impl Harness {
    /// Sets how many seconds new tokens live.
    async fn token_life(&self, seconds: u64) {
        let url = format!("{}/sandbox/token-life", self.sandbox.url());
        let lives = json!({ "seconds": seconds, "child_seconds": seconds });
        self.http.put(url).json(&lives).send().await.unwrap().error_for_status().unwrap();
    }

    /// A user's short-lived token that is in the broker's memory.
    async fn warm(&self, serving: &Serving, key: &str) -> String {
        self.token_life(LIFE).await;
        let token = self.token(serving, key, Some(ADA)).await;
        let asked = self.asked_for_tokens().await;
        assert_eq!(self.token(serving, key, Some(ADA)).await, token);
        assert_eq!(self.asked_for_tokens().await, asked, "it is warm");
        token
    }

    /// Begins to ask for a user's token, and does not wait for it.
    fn begins_to_ask(&self, serving: &Serving, key: &str) -> Answer {
        let body = json!({ "subject": { "type": "user", "id": ADA } });
        let request = self.http.post(serving.url("/v1/tenants/acme/token")).bearer_auth(key).json(&body);
        tokio::spawn(request.send())
    }

    /// Waits until Box takes the token no longer.
    async fn dies(&self, token: &str) {
        until(PATIENCE, async || self.at_box(token, "/2.0/users/me").await == 401).await;
    }

    /// Waits until Box has answered the last request for a token, and that token is dead.
    async fn last_issued_dies(&self) {
        let control = async |path: &str| -> Value {
            let url = format!("{}/sandbox/{path}", self.sandbox.url());
            serde_json::from_str(&self.http.get(url).send().await.unwrap().text().await.unwrap()).unwrap()
        };
        until(PATIENCE, async || {
            let journal = control("journal?path=/oauth2/token").await;
            let last = journal["items"].as_array().unwrap().last().unwrap()["issued"].clone();
            let Some(sha256) = last.as_str() else { return false };
            control(&format!("tokens/{sha256}")).await["live"] == false
        })
        .await;
    }

    /// The token that was answered, which Box takes.
    async fn answered(&self, answer: Answer) -> String {
        let response = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
        let token = token_in(response).await;
        assert_eq!(self.at_box(&token, "/2.0/users/me").await, 200);
        token
    }
}

async fn token_in(response: Response) -> String {
    let status = response.status();
    let text = response.text().await.unwrap();
    assert_eq!(status, 200, "{text}");
    let given: Value = serde_json::from_str(&text).unwrap();
    given["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_a_process_frozen_past_a_tokens_life_serves_none_that_expired() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    let old = harness.warm(&serving, &key).await;
    serving.freeze().await;
    harness.dies(&old).await;
    // Else the renewal ahead, which wakes too, may be there before the request is.
    harness.fault(json!({ "latency_ms": 500 })).await;
    serving.thaw();
    let new = harness.answered(harness.begins_to_ask(&serving, &key)).await;
    assert_ne!(new, old);
    serving.stop().await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_a_request_that_reaches_a_frozen_process_is_answered_by_the_clock_of_its_waking() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    let old = harness.warm(&serving, &key).await;
    serving.freeze().await;
    let answer = harness.begins_to_ask(&serving, &key);
    harness.dies(&old).await;
    assert!(!answer.is_finished(), "it is frozen");
    harness.fault(json!({ "latency_ms": 500 })).await;
    serving.thaw();
    assert_ne!(harness.answered(answer).await, old);
    serving.stop().await;
    harness.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_a_token_that_dies_on_its_way_into_a_frozen_process_is_not_served() {
    let harness = Harness::new().await;
    let (serving, key) = harness.serve_acme().await;
    // Shorter than the time that Box has for an answer, which must be read when it is old.
    harness.token_life(3).await;
    let asked = harness.asked_for_tokens().await;
    harness.fault(json!({ "hold": true })).await;
    let answer = harness.begins_to_ask(&serving, &key);
    harness.asked_more_often_than(asked).await;
    serving.freeze().await;
    harness.heal().await;
    harness.last_issued_dies().await;
    assert!(!answer.is_finished(), "it is frozen");
    serving.thaw();
    // Nothing is left of what Box answered: the caller is told to come again.
    let response = tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
    assert!(response.status().is_server_error(), "{}", response.status());
    let text = response.text().await.unwrap();
    assert!(text.contains(r#""retry":"after""#) && !text.contains("access_token"), "{text}");
    until(PATIENCE, async || {
        let again = harness.begins_to_ask(&serving, &key).await.unwrap().unwrap();
        again.status() == 200 && harness.at_box(&token_in(again).await, "/2.0/users/me").await == 200
    })
    .await;
    serving.stop().await;
    harness.end().await;
}
