//! The settings of OIDC issuers and trusts.

use super::*;

#[test]
fn an_invalid_issuer_or_trust_is_reported_with_its_place() {
    let issuers = |text: &str| problems("", &[("BTB_AUTH__OIDC", text)]);
    let list = "BTB_AUTH__OIDC: auth.oidc must be a list of tables: in the file each behind a `[[…]]` line of its own, \
                in the environment a JSON array of objects";
    for text in ["x", "{}", "[", "7", "[1979-05-27]"] {
        assert_eq!(issuers(text), [list], "{text}");
    }
    assert_eq!(problems("[auth]\noidc = 7", &[]), [list.replace("BTB_AUTH__OIDC", "line 2")]);
    for (text, told) in [
        (r#"[{"isuer":"https://a.example"}]"#, "at [0].isuer: unknown field `isuer`"),
        (r#"["https://a.example"]"#, "at [0]: invalid type"),
        (r#"[{"issuer":"a.example"}]"#, "at [0].issuer: is no URL"),
        (r#"[{"issuer":"https://a.example"},{"issuer":"http://a.example"}]"#, "at [1].issuer: must be https"),
        (r#"[{"issuer":"http://127.0.0.1:1"}]"#, "at [0].issuer: must be https"),
        (r#"[{"issuer":"https://u:p@a.example"}]"#, "at [0].issuer: must not hold a user name"),
        (r#"[{"issuer":"https://a.example?x"}]"#, "at [0].issuer: must not hold a query"),
        (r#"[{"issuer":"https://10.0.0.1"}]"#, "at [0].issuer: names an address that is not public"),
        (r#"[{"issuer":"https://169.254.169.254","allow_private":true}]"#, "at [0].issuer: names an address"),
        (
            r#"[{"issuer":"https://a.example","jwks_url":"http://a.example"}]"#,
            "at [0].jwks_url: must be https",
        ),
        (
            r#"[{"issuer":"https://a.example"},{"issuer":"https://a.example"}]"#,
            "names https://a.example twice",
        ),
    ] {
        let problems = issuers(text);
        assert!(problems.len() == 1 && problems[0].contains(told), "{text}: {problems:?}");
    }
    assert!(
        load("", &[("BTB_AUTH__OIDC", r#"[{"issuer":"http://127.0.0.1:1","allow_private":true}]"#)]).is_ok()
    );

    let issuer = ("BTB_AUTH__OIDC", r#"[{issuer = "https://a.example"}]"#);
    let trust = |issuer: &str, more: &str| {
        format!(r#"[{{caller = "job", issuer = "{issuer}", audience = "b", subject = "s"{more}}}]"#)
    };
    assert!(load("", &[issuer, ("BTB_AUTH__TRUSTS", &trust("https://a.example", ""))]).is_ok());
    for (text, told) in [
        (
            trust("https://b.example", ""),
            "auth.trusts[0] names the issuer https://b.example, which is not in",
        ),
        (trust("https://a.example", ", claims = {\"/~\" = \"x\"}"), "a claim's name is"),
        (trust("https://a.example", ", more = 1"), "unknown field `more`"),
    ] {
        let problems = problems("", &[issuer, ("BTB_AUTH__TRUSTS", &text)]);
        assert!(problems.len() == 1 && problems[0].contains(told), "{text}: {problems:?}");
    }
}
