use crate::harness::Canned;

#[test]
fn an_explanation_is_told_in_words_and_by_the_exit_code() {
    let allowed = r#"{"allowed":true,"reason":"Grant 0 gives it.","caller":"portal","grant":{},"grant_index":0,
        "rule":"policy.subjects","warnings":[{"code":"observed","detail":"It only\u001b[31m observes."}]}"#;
    let refused = r#"{"allowed":false,"reason":"No grant.","caller":null,"grant":null,"grant_index":null,
        "rule":"grant.tenant","warnings":[]}"#;
    let broker = Canned::new(&[("200 OK", allowed), ("200 OK", refused), ("200 OK", refused)]);
    let args = ["policy", "explain", "portal", "acme"];
    let ran = broker.run(
        &[&args[..], &["--user", "7", "--scope", "a,b", "--folder", "0", "--on-behalf-of", "ada"]].concat(),
    );
    let told = "allowed: Grant 0 gives it.\n  ! It only\u{fffd}[31m observes. (observed)\n";
    assert_eq!((ran.code, ran.out.as_str(), ran.err.as_str()), (0, told, ""));
    let ran = broker.run(&args);
    assert_eq!((ran.code, ran.out.as_str()), (1, "refused: No grant.\n"));
    assert_eq!(ran.err, "error: portal would get no such token (grant.tenant)\n");
    let ran = broker.run(&[&args[..], &["--json"]].concat());
    assert_eq!((ran.code, ran.out), (1, format!("{refused}\n")));
    let asked = broker.asked();
    assert!(asked[0].starts_with("POST /v1/policy/explain HTTP/1.1\r\n"), "{}", asked[0]);
    assert!(
        asked[0].ends_with(
            r#"{"caller":"portal","on_behalf_of":"ada","resource":{"id":"0","type":"folder"},"scopes":["a","b"],"subject":{"id":"7","type":"user"},"tenant":"acme"}"#
        ),
        "{}",
        asked[0]
    );
    assert!(asked[1].ends_with(r#"{"caller":"portal","tenant":"acme"}"#), "{}", asked[1]);
}
