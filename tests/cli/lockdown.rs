use crate::harness::{Canned, run};

#[test]
fn a_lockdown_says_what_it_came_to() {
    for (what, name, place) in
        [("tenant", "acme", "tenants"), ("app", "portal", "apps"), ("caller", "cal_7", "callers")]
    {
        let broker = Canned::new(&[("200 OK", r#"{"tokens":3,"revoked":2,"queued":1,"sessions":0}"#)]);
        let ran = broker.run(&["lockdown", what, name]);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let says = "is locked: 3 live tokens, 2 dead at Box, 1 waiting for Box, 0 sessions ended\n";
        assert_eq!(ran.out, format!("{name} {says}"));
        assert!(ran.err.contains("goes on revoking by itself"), "{}", ran.err);
        let asked = broker.asked().remove(0);
        assert!(asked.starts_with(&format!("POST /v1/{place}/{name}/lockdown HTTP")), "{asked}");
    }
}

#[test]
fn a_lockdown_that_left_nothing_alive_adds_no_remark_and_json_is_the_answer() {
    let body = r#"{"tokens":3,"revoked":3,"queued":0,"sessions":0}"#;
    let ran = Canned::new(&[("200 OK", body)]).run(&["lockdown", "tenant", "acme"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let ran = Canned::new(&[("200 OK", body)]).run(&["lockdown", "tenant", "acme", "--json"]);
    assert_eq!(ran.out, format!("{body}\n"));
}

#[test]
fn what_cannot_be_locked_is_wrong_usage() {
    let env = [("BTB_KEY", "btb_a_b"), ("BTB_URL", "http://127.0.0.1:1")];
    for args in [
        &["lockdown"][..],
        &["lockdown", "tenant"],
        &["lockdown", "broker", "acme"],
        &["lockdown", "tenant", "../acme"],
        &["lockdown", "app", "Portal"],
        &["lockdown", "caller", "a/b"],
    ] {
        assert_eq!(run(args, &env).code, 2, "{args:?}");
    }
}
