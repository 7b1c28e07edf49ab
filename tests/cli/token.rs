use std::net::TcpListener;

use crate::harness::{Canned, run};

#[test]
fn a_token_stands_alone_on_standard_output() {
    let broker = Canned::new(&[("200 OK", r#"{"access_token":"T0K","expires_in":3600}"#)]);
    let ran = broker.run(&["token", "acme", "--user", "7", "--min-ttl", "60"]);
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, "T0K\n", ""));
    let asked = broker.asked().remove(0);
    assert!(asked.starts_with("POST /v1/tenants/acme/token HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer btb_a_b\r\n"), "{asked}");
    assert!(asked.ends_with(r#"{"min_ttl":60,"subject":{"id":"7","type":"user"}}"#), "{asked}");
}

#[test]
fn a_restricted_token_is_asked_for_as_one() {
    let broker =
        Canned::new(&[("200 OK", r#"{"access_token":"T0K"}"#), ("200 OK", r#"{"access_token":"T0K"}"#)]);
    let ran = broker.run(&["token", "acme", "--preset", "preview", "--file", "9", "--json"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "{\"access_token\":\"T0K\"}\n"));
    assert_eq!(broker.run(&["token", "ten_a1", "--scope", "a,b", "--scope", "c", "--folder", "0"]).code, 0);
    let asked = broker.asked();
    assert!(asked[0].starts_with("POST /v1/tenants/acme/token/downscoped "), "{}", asked[0]);
    assert!(
        asked[0].ends_with(r#"{"preset":"preview","resource":{"id":"9","type":"file"}}"#),
        "{}",
        asked[0]
    );
    assert!(asked[1].starts_with("POST /v1/tenants/ten_a1/token/downscoped "), "{}", asked[1]);
    assert!(
        asked[1].ends_with(r#"{"resource":{"id":"0","type":"folder"},"scopes":["a","b","c"]}"#),
        "{}",
        asked[1]
    );
}

#[test]
fn refusals_are_one_line_with_a_code_for_scripts() {
    for (status, code) in [
        ("401 Unauthorized", 3),
        ("403 Forbidden", 3),
        ("404 Not Found", 3),
        ("409 Conflict", 1),
        ("422 Unprocessable Entity", 1),
        ("424 Failed Dependency", 5),
        ("429 Too Many Requests", 4),
        ("500 Internal Server Error", 1),
        ("503 Service Unavailable", 4),
    ] {
        let body = r#"{"detail":"No\u001b[31m.","fix":"Do it.","code":"c","request_id":"r","retry_after":2}"#;
        let ran = Canned::new(&[(status, body)]).run(&["token", "acme"]);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{status}");
        assert_eq!(
            ran.err, "error: No\u{fffd}[31m. | Do it. | Try again in 2 s. (c, request r)\n",
            "{status}"
        );
    }
}

#[test]
fn an_absent_broker_is_worth_another_try_and_a_redirect_is_not_followed() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ran = run(&["whoami", "--url", &format!("http://{nobody}")], &[("BTB_KEY", "btb_a_b")]);
    assert!(ran.code == 4 && ran.err.contains("BTB_URL"), "{}", ran.err);
    assert_eq!(ran.err.lines().count(), 1);

    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let status = format!("307 Temporary Redirect\r\nLocation: http://{}/", elsewhere.local_addr().unwrap());
    let ran = Canned::new(&[(&status, "")]).run(&["token", "acme"]);
    assert!(ran.code == 1 && ran.err.contains("redirect"), "{}", ran.err);
    assert!(elsewhere.accept().is_err(), "nobody came with the key");
}

#[test]
fn the_key_may_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "btb_c_d\n").unwrap();
    let file = path.to_str().unwrap();
    let answer = (
        "200 OK",
        r#"{"id":"cal_1","name":"ann","kind":"service","grants":[],"credential":{"type":"api_key","id":"key_1","expires_at":"2030-01-01T00:00:00Z"}}"#,
    );
    let broker = Canned::new(&[answer, answer]);
    let by_env = run(&["whoami"], &[("BTB_URL", &broker.url), ("BTB_KEY_FILE", file)]);
    assert_eq!(
        (by_env.code, by_env.out.as_str()),
        (0, "ann (service, cal_1, key until 2030-01-01T00:00:00Z)\n")
    );
    run(&["whoami", "--key-file", file], &[("BTB_URL", &broker.url), ("BTB_KEY", "btb_a_b")]);
    for asked in broker.asked() {
        assert!(asked.starts_with("GET /v1/whoami ") && asked.contains("Bearer btb_c_d\r\n"), "{asked}");
    }
}
