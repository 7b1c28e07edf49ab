use proptest::prelude::*;
use serde_json::json;

use super::*;

fn pattern(text: &str) -> ClaimPattern {
    ClaimPattern::parse(text).unwrap()
}

/// The rule as it is told, and as slow as it likes.
fn naive(pattern: &[char], value: &[char]) -> bool {
    match (pattern, value) {
        ([], []) => true,
        (['*', rest @ ..], _) if naive(rest, value) => true,
        (['*', ..], [first, behind @ ..]) if !['/', ':'].contains(first) => naive(pattern, behind),
        ([wanted, rest @ ..], [first, behind @ ..]) => {
            *wanted != '*' && wanted == first && naive(rest, behind)
        }
        _ => false,
    }
}

proptest! {
    #[test]
    fn a_pattern_matches_what_the_naive_rule_matches(wanted in "[ab*/:]{1,12}", value in "[ab*/:]{0,14}") {
        let (letters, of_value): (Vec<char>, Vec<char>) = (wanted.chars().collect(), value.chars().collect());
        prop_assert_eq!(pattern(&wanted).matches(&value), naive(&letters, &of_value), "{} {}", wanted, value);
    }

    #[test]
    fn a_value_that_a_pattern_was_made_of_matches(value in "[a-c/:]{1,20}", stars in "[01]{20}") {
        // Each letter that is no separator may have become a star.
        let wanted: String = value.chars().zip(stars.chars())
            .map(|(letter, star)| if star == '1' && !"/:".contains(letter) { '*' } else { letter }).collect();
        prop_assert!(pattern(&wanted).matches(&value), "{} {}", wanted, value);
    }
}

#[test]
fn a_pattern_is_anchored_and_a_star_stays_within_its_part() {
    for (wanted, value, matches) in [
        ("repo:acme/web:ref:refs/heads/main", "repo:acme/web:ref:refs/heads/main", true),
        ("repo:acme/web:ref:refs/heads/main", "repo:acme/web:ref:refs/heads/main2", false),
        ("repo:acme/web:ref:refs/heads/main", "xrepo:acme/web:ref:refs/heads/main", false),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/web:ref:refs/heads/main", true),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/:ref:refs/heads/main", true),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/web/evil:ref:refs/heads/main", false),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/x:pull_request:ref:refs/heads/main", false),
        ("repo:acme/*", "repo:acme/web:pull_request", false),
        ("repo:acme*/web", "repo:acme-evil/web", true),
        ("system:serviceaccount:*:invoices", "system:serviceaccount:prod:invoices", true),
        ("system:serviceaccount:*:invoices", "system:serviceaccount:a:b:invoices", false),
        ("*", "anything at all", true),
        ("*", "", true),
        ("*", "a/b", false),
        ("*:*", "a:b", true),
        ("*:*", "a/b", false),
        ("a*b*c", "a-b-b-c", true),
        ("ab*ba", "aba", false),
        ("a.c", "abc", false),
        ("[a]", "a", false),
        ("É*", "École", true),
        ("É*", "E", false),
        ("A", "a", false),
    ] {
        assert_eq!(pattern(wanted).matches(value), matches, "{wanted} {value}");
    }
}

#[test]
fn a_pattern_that_would_be_tried_over_and_over_ends() {
    let value = "a".repeat(100_000);
    assert!(!pattern(&format!("{}b", "a*".repeat(250))).matches(&value));
    assert!(pattern(&"a*".repeat(250)).matches(&value));
}

#[test]
fn what_is_no_pattern_audience_or_claim_is_refused() {
    let long = "x".repeat(MAX_LENGTH + 1);
    for text in ["", "a\nb", "\u{202e}a", &long] {
        assert!(ClaimPattern::parse(text).is_err() && Audience::parse(text).is_err(), "{text:?}");
    }
    let named = |name: &str| ClaimPatterns::new([(name.to_owned(), pattern("x"))].into());
    for good in ["a", "kubernetes.io", "a~", "/", "/a~0b~1c", "/a/0"] {
        assert!(named(good).is_ok(), "{good}");
    }
    for bad in ["", "a\0", "/a~", "/a~2", &long] {
        assert!(named(bad).is_err(), "{bad}");
    }
    let many = (0..=MAX_CLAIMS).map(|number| (number.to_string(), pattern("x"))).collect();
    assert!(ClaimPatterns::new(many).is_err());
}

fn token(claims: Value) -> TokenClaims {
    let Value::Object(all) = claims else { panic!("an object") };
    TokenClaims {
        issuer: "https://issuer.example".to_owned(),
        subject: "job".to_owned(),
        audiences: vec!["other".to_owned(), "broker".to_owned()],
        token_id: None,
        expires_at: Timestamp::UNIX_EPOCH,
        all,
    }
}

fn conditions(claims: &[(&str, &str)]) -> TrustConditions {
    let claims = claims.iter().map(|(name, wanted)| ((*name).to_owned(), pattern(wanted)));
    TrustConditions {
        issuer: "https://issuer.example".to_owned(),
        audience: Audience::parse("broker").unwrap(),
        subject: pattern("job"),
        claims: ClaimPatterns::new(claims.collect()).unwrap(),
    }
}

#[test]
fn claims_are_compared_by_their_texts_and_arrays_by_any_element() {
    let token = token(json!({
        "env": "prod", "groups": ["a", "b/c"], "run": 7, "admin": true, "none": null, "in": [["x"]],
        "kubernetes.io": { "namespace": "prod", "pod/name": "p", "list": ["l"] },
        "a.b": "dotted", "a": { "b": "nested" },
    }));
    for (name, wanted, matches) in [
        ("env", "prod", true),
        ("env", "test", false),
        ("absent", "*", false),
        ("none", "*", false),
        ("groups", "a", true),
        ("groups", "b/*", true),
        ("groups", "c", false),
        ("run", "7", true),
        ("run", "07", false),
        ("admin", "true", true),
        ("in", "x", false),
        ("kubernetes.io", "*", false),
        ("/kubernetes.io/namespace", "prod", true),
        ("/kubernetes.io/pod~1name", "p", true),
        ("/kubernetes.io/list", "l", true),
        ("/kubernetes.io/absent", "*", false),
        ("a.b", "dotted", true),
        ("/a/b", "nested", true),
    ] {
        assert_eq!(conditions(&[(name, wanted)]).matches(&token), matches, "{name} {wanted}");
    }
    assert!(conditions(&[("env", "prod"), ("run", "*")]).matches(&token));
    assert!(!conditions(&[("env", "prod"), ("run", "8")]).matches(&token));
}

#[test]
fn every_term_has_to_be_met() {
    let token = token(json!({}));
    let good = conditions(&[]);
    assert!(good.matches(&token));
    for wrong in [
        TrustConditions { issuer: "https://issuer.example/".to_owned(), ..good.clone() },
        TrustConditions { audience: Audience::parse("brok").unwrap(), ..good.clone() },
        TrustConditions { audience: Audience::parse("*").unwrap(), ..good.clone() },
        TrustConditions { subject: pattern("jo"), ..good.clone() },
    ] {
        assert!(!wrong.matches(&token), "{wrong:?}");
    }
}

#[test]
fn a_trust_is_read_back_as_it_was_written() {
    let trust = Trust {
        id: TrustId::parse("tru_1").unwrap(),
        conditions: conditions(&[("/a/b", "c*")]),
        created_at: Timestamp::UNIX_EPOCH,
    };
    let text = serde_json::to_string(&trust).unwrap();
    assert_eq!(serde_json::from_str::<Trust>(&text).unwrap(), trust);
    assert!(serde_json::from_str::<Trust>(&text.replace("c*", "c\\u0000")).is_err());
}
