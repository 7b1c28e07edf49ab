use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use box_token_broker::http::token_provider::{integrity, versioned_path};
use serde_json::{Value, json};

use crate::harness::run;

const NAMES: [&str; 4] = ["explorer", "picker", "uploader", "preview"];

/// A demo that runs, and ends with the test, however that ends.
struct Demo {
    child: Child,
    broker: String,
    sandbox: String,
    page: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Demo {
    fn start(elements: &Path) -> Self {
        Self::start_with(elements, &[])
    }

    fn start_with(elements: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_box-token-broker"))
            .args(["demo", "--listen", "127.0.0.1:0", "--ui-elements"])
            .arg(elements)
            .args(more)
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let guide: Vec<String> = lines.take_while(|line| !line.starts_with("Ctrl-C")).collect();
        let guide = guide.join("\n");
        let behind = |mark: &str| {
            let rest = guide.split_once(mark).unwrap_or_else(|| panic!("{mark} is not in {guide}")).1;
            rest.split_whitespace().next().unwrap().trim_end_matches(['.', ',', '/']).to_owned()
        };
        Self {
            broker: behind("broker is up at "),
            sandbox: behind("stand-in for Box at "),
            page: behind("are on a page at "),
            child,
        }
    }

    /// The status, head and body of the page's answer; `headers` beside a right `Host`, unless they name one.
    fn ask(&self, line: &str, headers: &[&str]) -> (u16, String, String) {
        ask_at(&self.page, line, headers, "")
    }

    /// The tenant as the broker shows it to the admin whose key `data` holds; `change` is made before.
    fn tenant(&self, data: &Path, change: Option<&Value>) -> Value {
        let key = std::fs::read_to_string(data.join("admin.key")).unwrap();
        let key = format!("Authorization: Bearer {}", key.trim());
        let (method, body) = match change {
            Some(change) => ("PATCH", change.to_string()),
            None => ("GET", String::new()),
        };
        let headers = [key.as_str(), "Content-Type: application/json"];
        let (status, _, body) = ask_at(&self.broker, &format!("{method} /v1/tenants/acme"), &headers, &body);
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }
}

/// The status, head and body of an answer of the server at `url`.
fn ask_at(url: &str, line: &str, headers: &[&str], body: &str) -> (u16, String, String) {
    let host = url.trim_start_matches("http://");
    let mut socket = TcpStream::connect(host).unwrap();
    let mut head = format!("{line} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|header| header.starts_with("Host:")) {
        head.push_str(&format!("Host: {host}\r\n"));
    }
    headers.iter().for_each(|header| head.push_str(&format!("{header}\r\n")));
    socket.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head.to_owned(), body.to_owned())
}

/// A folder that looks like the elements' `dist`, with one file more.
fn elements() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in NAMES {
        for ending in ["js", "css"] {
            std::fs::write(folder.path().join(format!("{name}.{ending}")), format!("/* {name} */")).unwrap();
        }
    }
    std::fs::write(folder.path().join("openwith.js"), "/* not shown */").unwrap();
    folder
}

#[test]
fn the_demos_page_stands_on_its_own_origin_under_the_policy_that_readers_are_told() {
    let folder = elements();
    let demo = Demo::start(folder.path());
    assert_ne!(demo.page, demo.broker);
    let (status, head, body) = demo.ask("GET /", &[]);
    assert_eq!(status, 200);
    let told = include_str!("../../clients/browser/content-security-policy.txt");
    let policy = told.trim_end().replace('\n', " ");
    let policy = policy.replace("https://broker.example.com", &demo.broker);
    let policy = policy.replace("https://api.box.com", &demo.sandbox);
    let policy = format!("content-security-policy: {policy}\r\n").to_lowercase();
    assert!(format!("{head}\r\n").to_lowercase().contains(&policy), "{head}");
    let module = format!("src=\"{}{}\" integrity=\"{}\"", demo.broker, versioned_path(), integrity());
    assert!(body.contains(&module), "{body}");
    assert!(!body.contains("{") && !body.contains("btb_") && !body.contains("btbs_"), "{body}");
    for (path, kind) in [("/page.js", "text/javascript"), ("/page.css", "text/css")] {
        let (status, head, body) = demo.ask(&format!("GET {path}"), &[]);
        assert!(status == 200 && head.contains(kind) && !body.is_empty(), "{path}: {head}");
    }
    for name in NAMES {
        let (status, _, body) = demo.ask(&format!("GET /elements/{name}.js"), &[]);
        assert_eq!((status, body), (200, format!("/* {name} */")));
    }
}

#[test]
fn the_demos_page_is_added_to_the_origins_that_the_tenant_has() {
    let (elements, data) = (elements(), tempfile::tempdir().unwrap());
    let kept = ["--data", data.path().to_str().unwrap()];
    let own = "https://portal.example.com";
    let first = Demo::start_with(elements.path(), &kept);
    assert_eq!(first.tenant(data.path(), None)["policy"]["browser_origins"], json!([first.page]));
    first.tenant(data.path(), Some(&json!({ "policy": { "browser_origins": [own] } })));
    drop(first);
    for _ in 0..2 {
        let next = Demo::start_with(elements.path(), &kept);
        let tenant = next.tenant(data.path(), None);
        let origins = tenant["policy"]["browser_origins"].as_array().unwrap();
        assert!(origins.contains(&json!(own)) && origins.contains(&json!(next.page)), "{origins:?}");
    }
}

#[test]
fn the_demos_page_serves_nobody_else() {
    let folder = elements();
    std::fs::write(folder.path().join("explorer.txt"), "secret").unwrap();
    let demo = Demo::start(folder.path());
    let own = format!("Origin: {}", demo.page);
    for path in [
        "/elements/openwith.js",
        "/elements/explorer.txt",
        "/elements/explorer",
        "/elements/..%2fkeys.json",
        "/elements/%2e%2e/keys.json",
        "/elements/explorer.js.js",
        "/elements/",
        "/keys.json",
        "/admin.key",
    ] {
        assert_eq!(demo.ask(&format!("GET {path}"), &[]).0, 404, "{path}");
    }
    // A foreign page that made its own name lead here, or that posts here from where it is.
    assert_eq!(demo.ask("GET /", &["Host: evil.example:8082"]).0, 403);
    assert_eq!(demo.ask("GET /", &["Host: localhost"]).0, 403);
    assert_eq!(demo.ask("POST /session", &[]).0, 403);
    assert_eq!(demo.ask("POST /session", &["Origin: http://evil.example"]).0, 403);
    assert_eq!(demo.ask("POST /session", &["Origin: null"]).0, 403);
    assert_eq!(demo.ask("DELETE /session/ses_1", &["Origin: http://evil.example"]).0, 403);
    // From the page itself it is read: there is no body in this one.
    assert_eq!(demo.ask("POST /session", &[&own]).0, 400);
    assert_eq!(demo.ask("POST /session", &[&own, "Content-Type: application/json"]).0, 400);
}

#[test]
fn without_the_elements_the_demo_says_how_to_get_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let ran = run(&["demo", "--ui-elements", path], &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("explorer.js") && ran.err.contains("npm pack box-ui-elements@"), "{}", ran.err);
    assert_eq!(run(&["demo", "--folder", "1"], &[]).code, 2);
    assert_eq!(run(&["demo", "--ui-elements", path, "--folder", "x"], &[]).code, 2);
    let folder = elements();
    let path = folder.path().to_str().unwrap();
    let ran = run(&["demo", "--key-json", "none.json", "--ui-elements", path], &[]);
    assert!(ran.code == 2 && ran.err.contains("--folder"), "{}", ran.err);
}
