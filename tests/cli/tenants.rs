use crate::harness::{Canned, run};

#[test]
fn a_registered_tenant_is_shown_with_its_login_and_diagnosis() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("1_abc_config.json");
    std::fs::write(&path, "\u{feff}{\"enterpriseID\":12345,\"boxAppSettings\":{}}").unwrap();
    let body = r#"{"id":"ten_1","tenant":"enterprise-12345","enterprise_id":"12345",
        "service_account":{"id":"1","login":"Auto@boxdevedition.com","name":"Portal"},
        "diagnosis":[{"check":"key","outcome":"pass","detail":"RSA 2048."},
        {"check":"user_token","outcome":"fail","code":"user_tokens_disabled","detail":"No.","fix":"Turn it on."},
        {"check":"cors","outcome":"skipped"}],"warnings":[{"pointer":"/config/x","detail":"was ignored"}]}"#;
    let broker = Canned::new(&[("201 Created", body)]);
    let ran =
        broker.run(&["tenants", "register", path.to_str().unwrap(), "--label", "team=a", "--auth", "ccg"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(
        ran.out,
        "registered enterprise-12345 (ten_1), enterprise 12345\n\
         service account Auto@boxdevedition.com (Portal): invite this as collaborator to the folders it shall \
         reach\n  ✓ key              RSA 2048.\n  ✗ user_token       No. (user_tokens_disabled)\n    \
         fix: Turn it on.\n  – cors             skipped\n"
    );
    assert_eq!(ran.err, "warning: /config/x was ignored\n");
    let asked = broker.asked().remove(0);
    assert!(asked.starts_with("POST /v1/tenants HTTP"), "{asked}");
    let sent: serde_json::Value = serde_json::from_str(asked.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let wanted = serde_json::json!({
        "tenant": "enterprise-12345",
        "labels": {"team": "a"},
        "auth": "ccg",
        "config": {"enterpriseID": 12345, "boxAppSettings": {}},
    });
    assert_eq!(sent, wanted);
}

#[test]
fn a_shared_apps_tenant_needs_no_file_and_a_dry_run_says_so() {
    let answer = ("200 OK", r#"{"tenant":"acme","enterprise_id":"5"}"#);
    let broker = Canned::new(&[answer]);
    let args =
        ["tenants", "register", "--tenant", "acme", "--app", "portal", "--enterprise-id", "5", "--dry-run"];
    let ran = broker.run(&args);
    assert_eq!((ran.code, ran.out.as_str()), (0, "dry run, nothing was stored: acme, enterprise 5\n"));
    let asked = broker.asked().remove(0);
    assert!(asked.starts_with("POST /v1/tenants?dry_run=true HTTP"), "{asked}");
    assert!(asked.ends_with(r#"{"app":"portal","enterprise_id":"5","tenant":"acme"}"#), "{asked}");
}

#[test]
fn a_customer_who_is_not_ready_is_registered_for_later() {
    let answer = ("201 Created", r#"{"id":"ten_1","tenant":"acme","enterprise_id":"5","state":"pending"}"#);
    let broker = Canned::new(&[answer]);
    let args = [
        "tenants",
        "register",
        "--tenant",
        "acme",
        "--app",
        "portal",
        "--enterprise-id",
        "5",
        "--verify-later",
    ];
    let ran = broker.run(&args);
    let says = "registered, to come into service once Box gives a token: acme (ten_1), enterprise 5\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, says));
    let asked = broker.asked().remove(0);
    assert!(asked.starts_with("POST /v1/tenants?verify=later HTTP"), "{asked}");
}

#[test]
fn a_file_that_is_no_config_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, content, word) in [
        ("text", b"not json".to_vec(), "not JSON: line 1"),
        ("long", b"[".repeat(70_000), "more than the 65536 bytes"),
        ("deep", b"[".repeat(60_000), "more than 32 deep"),
        ("cut", b"{\"enterpriseID\": ".to_vec(), "cut off"),
        ("key", b"-----BEGIN PRIVATE KEY-----\n".to_vec(), "a PEM text alone"),
        ("utf16", utf16, "save it as UTF-8"),
        ("empty", Vec::new(), "the file is empty"),
        ("nameless", b"{}".to_vec(), "--tenant"),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let ran = run(&["tenants", "register", path.to_str().unwrap()], &[("BTB_KEY", "btb_a_b")]);
        assert!(matches!(ran.code, 1 | 2) && ran.err.contains(word), "{name}: {}", ran.err);
        if ran.code == 1 {
            // The demo reads its file in the same way.
            let demo = run(&["demo", "--key-json", path.to_str().unwrap(), "--listen", "127.0.0.1:0"], &[]);
            assert!(demo.code == 1 && demo.err.contains(word), "{name}: {}", demo.err);
        }
    }
}

#[test]
fn a_list_is_read_to_its_end() {
    let item = |name: &str| {
        format!(
            r#"{{"tenant":"{name}","state":"active","enterprise_id":"1","display_name":"N","service_account":null}}"#
        )
    };
    let pages = [
        format!(r#"{{"items":[{}],"next_cursor":"c&1"}}"#, item("a")),
        format!(r#"{{"items":[{}],"next_cursor":null}}"#, item("b")),
    ];
    let broker = Canned::new(&[("200 OK", &pages[0]), ("200 OK", &pages[1])]);
    let ran = broker.run(&["tenants", "list", "--label", "team=x"]);
    assert_eq!((ran.code, ran.out.lines().count()), (0, 2), "{}", ran.err);
    let asked = broker.asked();
    assert!(asked[0].starts_with("GET /v1/tenants?limit=200&label=team%3Ax HTTP"), "{}", asked[0]);
    assert!(asked[1].contains("&cursor=c%261 HTTP"), "{}", asked[1]);
}

#[test]
fn a_tenant_that_gets_no_token_ends_the_test_with_5() {
    let failing = |check: &str| {
        format!(r#"{{"diagnosis":[{{"check":"{check}","outcome":"fail","detail":"No.","fix":"Do."}}]}}"#)
    };
    let (user, assertion) = (failing("user_token"), failing("assertion"));
    let broker = Canned::new(&[("200 OK", &user), ("200 OK", &user), ("200 OK", &assertion)]);
    assert_eq!(broker.run(&["tenants", "test", "acme"]).code, 0, "nobody asked about users");
    assert_eq!(broker.run(&["tenants", "test", "acme", "--user", "1"]).code, 5);
    assert_eq!(broker.run(&["tenants", "test", "acme", "--json"]).code, 5);
    assert!(broker.asked()[1].ends_with(r#"{"user":"1"}"#));
}
