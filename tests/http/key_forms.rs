//! Every form of private key, registered as a customer would: the accepted ones mint, the refused
//! ones cost little and leave nothing behind.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use box_token_broker::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use crate::harness::{ADA, Harness, by_config};
use crate::response::Reply;
use crate::store_probe::rows;
use crate::token_requests::eventually;

#[path = "../support/keys.rs"]
mod keys;

/// Twice the 300 ms that any input may cost.
const LONGEST: Duration = Duration::from_millis(600);
const MOST_MEMORY: u64 = 64 * 1024 * 1024;

/// The real binary on a harness's database: its memory is its own, whatever other tests do.
struct Served(Child, String);

impl Served {
    async fn on(harness: &Harness) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(env!("CARGO_BIN_EXE_box-token-broker"))
            .arg("serve")
            .env_clear()
            .envs(harness.env().iter().cloned())
            .env("BTB_HTTP__LISTEN", format!("127.0.0.1:{port}"))
            .env("BTB_LOG__LEVEL", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let served = Self(child, format!("http://127.0.0.1:{port}/v1/tenants"));
        let is_up = async || {
            tokio::task::yield_now().await;
            harness.http.get(&served.1).send().await.is_ok()
        };
        eventually("the broker's start", is_up).await;
        served
    }

    async fn register(&self, harness: &Harness, body: String) -> Reply {
        let request = harness.http.post(&self.1).bearer_auth(&harness.admin);
        Reply::of(request.header("content-type", "application/json").body(body).send().await.unwrap()).await
    }

    /// The most memory that it ever had, in bytes.
    fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn with_key(harness: &Harness, kid: &str, pem: &str, passphrase: Option<&str>) -> Value {
    let mut body = by_config("acme", &harness.apps.acme);
    body["config"]["boxAppSettings"]["appAuth"] =
        json!({ "publicKeyID": kid, "privateKey": pem, "passphrase": passphrase });
    body
}

#[tokio::test]
async fn every_accepted_form_of_key_registers_and_mints() {
    let harness = Harness::new().await;
    let folder = tempfile::tempdir().unwrap();
    let grants =
        json!([{ "tenant": "*", "permissions": ["tokens:mint"], "subjects": ["enterprise", "user:*"] }]);
    let service = harness.service("service", grants).await;
    let forms = keys::accepted(folder.path());
    assert!(forms.len() > 60, "{}", forms.len());
    for (n, form) in forms.iter().enumerate() {
        let kid = format!("key{n}");
        let public = json!({ "add_keys": [{ "kid": kid, "public_key": form.public_pem }] });
        harness.change_app(&harness.apps.acme, public).await;
        let body = with_key(&harness, &kid, &form.pem, form.passphrase.as_deref());
        let reply = harness.post(&harness.admin, "/v1/tenants", body).await;
        assert_eq!(reply.status, 201, "{}: {reply:?}", form.name);
        assert_eq!(reply.body["key"]["public_key_id"], kid, "{}", form.name);
        let token = harness.user_token(&service, "acme", ADA).await.token();
        assert_eq!(harness.at_box(&token, "/2.0/users/me").await, 200, "{}", form.name);
        harness.delete(&harness.admin, "/v1/tenants/acme?purge=now").await.is(204);
    }
    harness.end().await;
}

#[tokio::test]
async fn every_refused_form_of_key_has_its_problem_at_a_bounded_price() {
    let mut harness = Harness::new().await;
    let folder = tempfile::tempdir().unwrap();
    let forms = keys::refused(folder.path());
    assert!(forms.len() > 60, "{}", forms.len());
    let stored = rows(&harness).await;
    harness.stop().await;
    let served = Served::on(&harness).await;
    let clock = SystemClock::new();
    let (mut before, mut codes) = (0, std::collections::BTreeSet::new());
    for (n, form) in forms.iter().enumerate() {
        let body = with_key(&harness, "key", &form.pem, form.passphrase.as_deref()).to_string();
        let mut fastest = Duration::MAX;
        // A machine that does other things too may be slow once.
        for _ in 0..3 {
            let began = clock.monotonic();
            let reply = served.register(&harness, body.clone()).await;
            fastest = fastest.min(clock.monotonic().since(began));
            let is_no_key = form.pem.is_empty() || form.pem.len() > 16 * 1024;
            let code = if is_no_key { "invalid_box_config" } else { form.code };
            let problem = reply.refuses(422, code);
            is_told_without_secrets(&problem, form);
            codes.insert(code);
            if fastest < LONGEST {
                break;
            }
        }
        assert!(fastest < LONGEST, "{} took {fastest:?}", form.name);
        if n == 0 {
            before = served.peak();
        }
    }
    let grown = served.peak() - before;
    assert!(grown <= MOST_MEMORY, "{grown} bytes more");
    assert_eq!(codes.len(), 7, "{codes:?}");
    assert_eq!(rows(&harness).await, stored);
    assert_eq!(harness.count("").await, 0, "Box was not asked");
    drop(served);
    harness.end().await;
}

fn is_told_without_secrets(problem: &Value, form: &keys::RefusedForm) {
    let text = problem.to_string();
    let errors = problem["errors"].as_array().unwrap();
    assert!(!errors.is_empty(), "{}: {text}", form.name);
    for error in errors {
        let pointer = error["pointer"].as_str().unwrap();
        assert!(pointer.starts_with("/config/boxAppSettings/appAuth"), "{}: {text}", form.name);
    }
    assert!(!problem["fix"].as_str().unwrap().is_empty(), "{}: {text}", form.name);
    if problem["code"] == form.code {
        assert!(problem["detail"].as_str().unwrap().contains(form.says), "{}: {text}", form.name);
    }
    let secrets = form.pem.lines().filter(|line| line.len() >= 16 && !line.starts_with('-'));
    for secret in secrets.chain(form.passphrase.as_deref().filter(|passphrase| passphrase.len() > 8)) {
        assert!(!text.contains(secret), "{}: {text}", form.name);
    }
}

#[tokio::test]
async fn hostile_files_have_their_problem_at_a_bounded_price() {
    let mut harness = Harness::new().await;
    let stored = rows(&harness).await;
    harness.stop().await;
    let served = Served::on(&harness).await;
    let config = |change: fn(&mut Value)| {
        let mut body = by_config("acme", &harness.apps.acme);
        change(&mut body["config"]);
        body.to_string()
    };
    let clock = SystemClock::new();
    let app_auth = "/config/boxAppSettings/appAuth";
    let deep = format!("{{\"tenant\":\"acme\",\"config\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let deep_enough = format!("{{\"tenant\":\"acme\",\"config\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let wide = format!("{{\"tenant\":\"acme\",\"config\":{{{}\"a\":1}}}}", "\"b\":2,".repeat(9_000));
    let many = format!("{{\"tenant\":\"acme\",\"config\":[{}1]}}", "{},".repeat(20_000));
    let huge = format!("{{\"tenant\":\"acme\",\"config\":\"{}\"}}", "x".repeat(10_000_000));
    drop(served.register(&harness, config(|config| *config = json!({}))).await);
    let before = served.peak();
    for (name, body, status, code, pointer) in [
        (
            "enterprise 0",
            config(|config| config["enterpriseID"] = json!("0")),
            422,
            "invalid_box_config",
            "/config/enterpriseID",
        ),
        (
            "enterprise 0 as a number",
            config(|config| config["enterpriseID"] = json!(0)),
            422,
            "invalid_box_config",
            "/config/enterpriseID",
        ),
        (
            "enterprise 1.5",
            config(|config| config["enterpriseID"] = json!(1.5)),
            422,
            "invalid_box_config",
            "/config/enterpriseID",
        ),
        (
            "no enterprise",
            config(|config| config["enterpriseID"] = Value::Null),
            422,
            "invalid",
            "/config/enterpriseID",
        ),
        (
            "no appAuth",
            config(|config| config["boxAppSettings"]["appAuth"] = Value::Null),
            422,
            "invalid_box_config",
            app_auth,
        ),
        (
            "empty appAuth",
            config(|config| config["boxAppSettings"]["appAuth"] = json!({})),
            422,
            "invalid_box_config",
            app_auth,
        ),
        (
            "another file",
            config(|config| *config = json!({ "name": "x" })),
            422,
            "invalid_box_config",
            "/config/boxAppSettings",
        ),
        ("a text", config(|config| *config = json!("x")), 422, "invalid_box_config", "/config"),
        ("deep", deep, 422, "invalid", "/config"),
        ("deep, but not too deep", deep_enough, 422, "invalid_box_config", "/config"),
        ("wide", wide, 422, "invalid_box_config", "/config/boxAppSettings"),
        ("many", many, 422, "invalid_box_config", "/config"),
        ("10 MB", huge, 413, "too_large", ""),
    ] {
        let began = clock.monotonic();
        let problem = served.register(&harness, body).await.refuses(status, code);
        assert!(
            clock.monotonic().since(began) < 3 * LONGEST,
            "{name} took {:?}",
            clock.monotonic().since(began)
        );
        let told = problem["errors"][0]["pointer"].as_str().unwrap_or_default();
        assert_eq!(told, pointer, "{name}: {problem}");
    }
    let grown = served.peak() - before;
    assert!(grown <= MOST_MEMORY, "{grown} bytes more");
    assert_eq!(rows(&harness).await, stored);
    drop(served);
    harness.end().await;
}
