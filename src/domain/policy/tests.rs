//! [`decide`] rule by rule, and against a second formulation of the rules.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::strategies::{RandomRequest, folder, scopes, some_grant, some_policy, some_request};
use super::*;
use crate::domain::grant::{Grant, Permission, TenantSelector};
use crate::domain::id::{Name, TenantId};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::restriction::{Restriction, RestrictionTarget};
use crate::domain::subject::Subject;

const ALLOWED: Decision = Decision::Allowed(DecisionBasis { grant: 0, waived: None });

fn restricted(names: &[&str], target: RestrictionTarget) -> Restriction {
    Restriction { scopes: scopes(names), target, annotator: None }
}

fn grant(permission: Permission) -> Grant {
    Grant {
        tenants: TenantSelector::One { id: tenant(), name: Name::parse("acme").unwrap() },
        permissions: vec![permission],
        subjects: vec![SubjectPattern::Enterprise],
        scopes: None,
        resources: None,
    }
}

fn tenant() -> TenantId {
    TenantId::parse("ten_a").unwrap()
}

fn judge(grants: &[Grant], policy: &Policy, restriction: Option<&Restriction>) -> Decision {
    let request = AccessRequest::Token { subject: &Subject::ENTERPRISE, restriction, on_behalf_of: None };
    decide(grants, &tenant(), &BTreeMap::new(), policy, request)
}

#[test]
fn invariant_1_a_token_leaves_only_by_a_grant_and_the_policy_together() {
    let mint = [grant(Permission::TokensMint)];
    let open = Policy::default();
    assert_eq!(judge(&mint, &open, None), ALLOWED);
    assert_eq!(judge(&[], &open, None), Decision::TenantHidden);
    let closed = Policy { full_tokens: false, ..Policy::default() };
    assert_eq!(judge(&mint, &closed, None), Decision::Forbidden(DenialReason::PolicyFullTokens));
    let preview = restricted(&["item_preview"], RestrictionTarget::Anything);
    assert_eq!(judge(&mint, &closed, Some(&preview)), ALLOWED);
    let scoped = Policy { scopes: Some(scopes(&["item_read"])), ..Policy::default() };
    assert_eq!(judge(&mint, &scoped, Some(&preview)), Decision::Forbidden(DenialReason::PolicyScopes));
    assert_eq!(judge(&mint, &scoped, None), Decision::Forbidden(DenialReason::PolicyFullTokens));
    let users = Policy { subjects: vec![SubjectPattern::AnyUser], ..Policy::default() };
    assert_eq!(judge(&mint, &users, None), Decision::Forbidden(DenialReason::PolicySubject));
}

#[test]
fn oauth_scopes_need_what_a_full_token_needs() {
    let root = restricted(&["root_readwrite"], RestrictionTarget::Anything);
    let downscope = [grant(Permission::TokensDownscope)];
    assert_eq!(
        judge(&downscope, &Policy::default(), Some(&root)),
        Decision::Forbidden(DenialReason::Permission)
    );
    let closed = Policy { full_tokens: false, ..Policy::default() };
    let mint = [grant(Permission::TokensMint)];
    assert_eq!(judge(&mint, &closed, Some(&root)), Decision::Forbidden(DenialReason::PolicyFullTokens));
}

#[test]
fn a_grant_with_scopes_or_resources_never_yields_a_full_token() {
    let scoped = Grant { scopes: Some(scopes(&["item_preview"])), ..grant(Permission::TokensMint) };
    let bound = Grant { resources: Some(vec![folder("1")]), ..grant(Permission::TokensMint) };
    for grant in [scoped, bound] {
        assert_eq!(judge(&[grant], &Policy::default(), None), Decision::Forbidden(DenialReason::GrantScopes));
    }
}

#[test]
fn a_resource_matches_exactly_or_not_at_all() {
    let bound = [Grant { resources: Some(vec![folder("1")]), ..grant(Permission::TokensDownscope) }];
    let open = Policy::default();
    let on = |target| judge(&bound, &open, Some(&restricted(&["item_preview"], target)));
    assert_eq!(on(RestrictionTarget::Resource(folder("1"))), ALLOWED);
    assert_eq!(
        on(RestrictionTarget::Resource(folder("2"))),
        Decision::Forbidden(DenialReason::GrantResource)
    );
    assert_eq!(on(RestrictionTarget::Anything), Decision::Forbidden(DenialReason::GrantResource));
}

#[test]
fn two_grants_are_never_mixed_into_a_third() {
    let preview = Grant {
        scopes: Some(scopes(&["item_preview"])),
        resources: Some(vec![folder("1")]),
        ..grant(Permission::TokensDownscope)
    };
    let download = Grant {
        scopes: Some(scopes(&["item_download"])),
        resources: Some(vec![folder("2")]),
        ..grant(Permission::TokensDownscope)
    };
    let grants = [preview, download];
    let request = |names: &[&str], id| {
        judge(&grants, &Policy::default(), Some(&restricted(names, RestrictionTarget::Resource(folder(id)))))
    };
    assert_eq!(request(&["item_download"], "2"), Decision::Allowed(DecisionBasis { grant: 1, waived: None }));
    assert!(matches!(request(&["item_download"], "1"), Decision::Forbidden(_)));
    assert!(matches!(request(&["item_preview", "item_download"], "1"), Decision::Forbidden(_)));
}

#[test]
fn a_policy_may_want_to_know_on_whose_behalf() {
    let policy = Policy { require_on_behalf_of: true, ..Policy::default() };
    let mint = [grant(Permission::TokensMint)];
    let ada = OnBehalfOf::parse("ada").unwrap();
    let judge = |on_behalf_of| {
        let request = AccessRequest::Token { subject: &Subject::ENTERPRISE, restriction: None, on_behalf_of };
        decide(&mint, &tenant(), &BTreeMap::new(), &policy, request)
    };
    assert_eq!(judge(None), Decision::Forbidden(DenialReason::PolicyOnBehalfOf));
    assert_eq!(judge(Some(&ada)), ALLOWED);
    // What is no token needs nobody.
    let request = AccessRequest::Admin(Permission::TokensMint);
    assert_eq!(decide(&mint, &tenant(), &BTreeMap::new(), &policy, request), ALLOWED);
}

#[test]
fn a_policy_that_observes_lets_pass_and_tells_what_it_would_refuse() {
    let observe = |policy: Policy| Policy { mode: PolicyMode::Observe, ..policy };
    let mint = [grant(Permission::TokensMint)];
    let users = observe(Policy { subjects: vec![SubjectPattern::AnyUser], ..Policy::default() });
    let closed = observe(Policy { full_tokens: false, ..Policy::default() });
    let named = observe(Policy { require_on_behalf_of: true, ..Policy::default() });
    let scoped = observe(Policy { scopes: Some(scopes(&["item_read"])), ..Policy::default() });
    let preview = restricted(&["item_preview"], RestrictionTarget::Anything);
    for (policy, restriction, rule) in [
        (&users, None, Some(DenialReason::PolicySubject)),
        (&closed, None, Some(DenialReason::PolicyFullTokens)),
        (&named, None, Some(DenialReason::PolicyOnBehalfOf)),
        (&scoped, Some(&preview), Some(DenialReason::PolicyScopes)),
        (&closed, Some(&preview), None),
    ] {
        let expected = Decision::Allowed(DecisionBasis { grant: 0, waived: rule });
        assert_eq!(judge(&mint, policy, restriction), expected, "{rule:?}");
    }
    let narrow = [grant(Permission::TokensDownscope)];
    assert_eq!(
        judge(&narrow, &observe(Policy::default()), None),
        Decision::Forbidden(DenialReason::Permission)
    );
    assert_eq!(judge(&[], &observe(Policy::default()), None), Decision::TenantHidden);
    assert_eq!(DenialReason::PolicySubject.observed_name(), "observed: policy.subjects");
}

#[test]
fn what_a_policy_leaves_out_is_as_open_as_it_always_was() {
    let read = |text: &str| serde_json::from_str::<Policy>(text);
    assert_eq!(read("{}").unwrap(), Policy::default());
    let old = r#"{"subjects":["user:*"],"scopes":["item_read"],"full_tokens":false}"#;
    let expected = Policy {
        subjects: vec![SubjectPattern::AnyUser],
        scopes: Some(scopes(&["item_read"])),
        full_tokens: false,
        ..Policy::default()
    };
    assert_eq!(read(old).unwrap(), expected);
    let written = serde_json::to_value(Policy::default()).unwrap();
    let defaults = serde_json::json!({
        "subjects": ["enterprise", "user:*"], "scopes": null, "full_tokens": true, "browser_origins": [],
        "max_session_ttl": 28800, "require_on_behalf_of": false, "mode": "enforce",
    });
    assert_eq!(written, defaults);
    for (text, good) in [
        (r#"{"max_session_ttl":60}"#, true),
        (r#"{"max_session_ttl":86400}"#, true),
        (r#"{"max_session_ttl":59}"#, false),
        (r#"{"max_session_ttl":86401}"#, false),
        (r#"{"max_session_ttl":-1}"#, false),
        (r#"{"browser_origins":["https://a.example","https://b.example"]}"#, true),
        (r#"{"browser_origins":["https://a.example","https://a.example"]}"#, false),
        (r#"{"browser_origins":["https://a.example/"]}"#, false),
        (r#"{"mode":"observe"}"#, true),
        (r#"{"mode":"off"}"#, false),
        (r#"{"modes":"observe"}"#, false),
    ] {
        assert_eq!(read(text).is_ok(), good, "{text}");
    }
    let many: Vec<String> =
        (0..=Policy::MAX_ORIGINS).map(|number| format!("https://a{number}.example")).collect();
    let policy = |origins: &[String]| read(&serde_json::json!({ "browser_origins": origins }).to_string());
    assert!(policy(&many[1..]).is_ok() && policy(&many).is_err());
}

/// The rules of a grant once more, as a list of what has to hold.
fn would_give(grant: &Grant, asked: &RandomRequest) -> bool {
    let on_tenant = match &grant.tenants {
        TenantSelector::Every => true,
        TenantSelector::One { id, .. } => id.as_str() == "ten_a",
        TenantSelector::Labels(labels) => labels["team"] == "a",
    };
    let may = |permission| grant.permissions.contains(&permission);
    let for_subject = would_name(&grant.subjects, &asked.subject);
    let rest = match &asked.restriction {
        Some(restriction) if !restriction.scopes.contains("root_readwrite") => {
            let resource = restriction.target.resource();
            (may(Permission::TokensMint) || may(Permission::TokensDownscope))
                && grant.scopes.as_ref().is_none_or(|held| restriction.scopes.is_within(held))
                && grant.resources.as_ref().is_none_or(|held| resource.is_some_and(|one| held.contains(one)))
        }
        _ => may(Permission::TokensMint) && grant.scopes.is_none() && grant.resources.is_none(),
    };
    on_tenant && for_subject && rest
}

fn would_name(patterns: &[SubjectPattern], subject: &Subject) -> bool {
    let told: Vec<String> = patterns.iter().map(ToString::to_string).collect();
    let is_user = matches!(subject, Subject::User { .. });
    told.contains(&subject.to_string()) || (is_user && told.contains(&"user:*".to_owned()))
}

/// The rules of an enforced policy once more.
fn would_pass(policy: &Policy, asked: &RandomRequest) -> bool {
    let scopes = match &asked.restriction {
        Some(restriction) if !restriction.scopes.contains("root_readwrite") => {
            policy.scopes.as_ref().is_none_or(|allowed| restriction.scopes.is_within(allowed))
        }
        _ => policy.full_tokens && policy.scopes.is_none(),
    };
    let named = !policy.require_on_behalf_of || asked.on_behalf_of.is_some();
    would_name(&policy.subjects, &asked.subject) && scopes && named
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn invariant_1_the_decision_is_grant_and_policy_together(
        grants in proptest::collection::vec(some_grant(), 0..4),
        policy in some_policy(),
        asked in some_request(),
    ) {
        let labels = [("team".to_owned(), "a".to_owned())].into();
        let first = grants.iter().position(|grant| would_give(grant, &asked));
        let passes = would_pass(&policy, &asked);
        match (decide(&grants, &tenant(), &labels, &policy, asked.request()), first) {
            (Decision::Allowed(grounds), Some(first)) => {
                prop_assert_eq!(grounds.grant, first);
                prop_assert_eq!(grounds.waived.is_none(), passes);
                prop_assert!(passes || policy.mode == PolicyMode::Observe);
            }
            (Decision::Forbidden(rule), Some(_)) => {
                prop_assert!(!passes && policy.mode == PolicyMode::Enforce);
                prop_assert!(rule.as_str().starts_with("policy."));
            }
            (Decision::Forbidden(rule), None) => prop_assert!(rule.as_str().starts_with("grant.")),
            (Decision::TenantHidden, None) => prop_assert!(grants.iter().all(|grant| !grant.applies_to(&tenant(), &labels))),
            (decision, first) => prop_assert!(false, "{:?} where {:?} would give it", decision, first),
        }
    }

    #[test]
    fn observing_never_allows_what_the_grants_refuse(
        grants in proptest::collection::vec(some_grant(), 0..4),
        policy in some_policy(),
        asked in some_request(),
    ) {
        let labels = BTreeMap::new();
        let under = |policy: &Policy| decide(&grants, &tenant(), &labels, policy, asked.request());
        let observed = under(&Policy { mode: PolicyMode::Observe, ..policy.clone() });
        let free = under(&Policy::default());
        let grant_of = |decision| match decision {
            Decision::Allowed(DecisionBasis { grant, .. }) => Some(grant),
            Decision::Forbidden(_) | Decision::TenantHidden => None,
        };
        prop_assert_eq!(grant_of(observed), grant_of(free));
        if grant_of(free).is_none() {
            prop_assert_eq!(observed, free);
        }
        // What is waived is what enforcing refuses by.
        match (observed, under(&Policy { mode: PolicyMode::Enforce, ..policy })) {
            (Decision::Allowed(DecisionBasis { waived: Some(rule), .. }), enforced) => {
                prop_assert_eq!(enforced, Decision::Forbidden(rule));
            }
            (observed, enforced) => prop_assert_eq!(observed, enforced),
        }
    }
}

#[test]
fn a_session_needs_its_own_permission_and_all_else_that_a_token_needs() {
    let restriction = Restriction {
        scopes: scopes(&["item_preview"]),
        target: RestrictionTarget::Resource(folder("1")),
        annotator: None,
    };
    let request = AccessRequest::SessionToken {
        subject: &Subject::ENTERPRISE,
        restriction: &restriction,
        on_behalf_of: None,
    };
    let with =
        |permissions: &[Permission]| Grant { permissions: permissions.to_vec(), ..Grant::everything() };
    let found =
        |grant: Grant, policy: &Policy| decide(&[grant], &tenant(), &BTreeMap::new(), policy, request);
    let (free, all) = (Policy::default(), with(&[Permission::SessionsCreate]));
    assert!(matches!(found(all.clone(), &free), Decision::Allowed(_)));
    let others: Vec<_> =
        Permission::ALL.into_iter().filter(|one| *one != Permission::SessionsCreate).collect();
    assert_eq!(found(with(&others), &free), Decision::Forbidden(DenialReason::Permission));
    let elsewhere = Grant { resources: Some(vec![folder("2")]), ..all.clone() };
    assert_eq!(found(elsewhere, &free), Decision::Forbidden(DenialReason::GrantResource));
    let narrow = Policy { scopes: Some(scopes(&["item_download"])), ..Policy::default() };
    assert_eq!(found(all.clone(), &narrow), Decision::Forbidden(DenialReason::PolicyScopes));
    let named = Policy { require_on_behalf_of: true, ..Policy::default() };
    assert_eq!(found(all.clone(), &named), Decision::Forbidden(DenialReason::PolicyOnBehalfOf));
    // What a lockdown of its opener has to reach.
    let reached = |restriction| {
        grants_allow_token(
            std::slice::from_ref(&all),
            &tenant(),
            &BTreeMap::new(),
            (&Subject::ENTERPRISE, restriction),
        )
    };
    assert!(reached(Some(&restriction)) && !reached(None));
}
