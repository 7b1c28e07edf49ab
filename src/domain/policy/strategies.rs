//! Random grants, policies and requests for property tests, made of so few parts that they often match.

use proptest::prelude::*;

use super::*;
use crate::domain::grant::{Grant, Permission, TenantSelector};
use crate::domain::id::{BoxId, Name, TenantId};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::resource::{Resource, ResourceType};
use crate::domain::restriction::{Restriction, RestrictionTarget, SharedLink};
use crate::domain::scope::Scope;
use crate::domain::subject::Subject;

pub(crate) fn scopes(names: &[&str]) -> ScopeSet {
    names.iter().map(|name| Scope::parse(name).unwrap()).collect()
}

pub(crate) fn folder(id: &str) -> Resource {
    Resource { kind: ResourceType::Folder, id: BoxId::parse(id).unwrap() }
}

/// A random token request.
#[derive(Clone, Debug)]
pub(crate) struct RandomRequest {
    pub(crate) subject: Subject,
    pub(crate) restriction: Option<Restriction>,
    pub(crate) on_behalf_of: Option<OnBehalfOf>,
}

impl RandomRequest {
    pub(crate) fn request(&self) -> AccessRequest<'_> {
        AccessRequest::Token {
            subject: &self.subject,
            restriction: self.restriction.as_ref(),
            on_behalf_of: self.on_behalf_of.as_ref(),
        }
    }
}

const SCOPES: [&str; 3] = ["item_preview", "item_download", "root_readwrite"];

fn some_scopes() -> impl Strategy<Value = ScopeSet> {
    proptest::sample::subsequence(SCOPES.to_vec(), 1..=2).prop_map(|names| scopes(&names))
}

fn some_patterns() -> impl Strategy<Value = Vec<SubjectPattern>> {
    let one = BoxId::parse("1").unwrap();
    let all = vec![SubjectPattern::Enterprise, SubjectPattern::AnyUser, SubjectPattern::User(one)];
    proptest::sample::subsequence(all, 1..=2)
}

fn some_selector() -> impl Strategy<Value = TenantSelector> {
    let one = |id: &str| TenantSelector::One {
        id: TenantId::parse(id).unwrap(),
        name: Name::parse("acme").unwrap(),
    };
    let labels = |value: &str| TenantSelector::Labels([("team".to_owned(), value.to_owned())].into());
    proptest::sample::select(vec![
        TenantSelector::Every,
        one("ten_a"),
        one("ten_b"),
        labels("a"),
        labels("b"),
    ])
}

pub(crate) fn some_grant() -> impl Strategy<Value = Grant> {
    let permissions = vec![Permission::TokensMint, Permission::TokensDownscope, Permission::TokensRevoke];
    (
        some_selector(),
        proptest::sample::subsequence(permissions, 1..=2),
        some_patterns(),
        proptest::option::weighted(0.3, some_scopes()),
        proptest::option::weighted(0.3, Just(vec![folder("1")])),
    )
        .prop_map(|(tenants, permissions, subjects, scopes, resources)| Grant {
            tenants,
            permissions,
            subjects,
            scopes,
            resources,
        })
}

pub(crate) fn some_policy() -> impl Strategy<Value = Policy> {
    let mode = proptest::sample::select(vec![PolicyMode::Enforce, PolicyMode::Observe]);
    let scopes = proptest::option::weighted(0.3, some_scopes());
    (some_patterns(), scopes, any::<bool>(), any::<bool>(), mode).prop_map(
        |(subjects, scopes, full_tokens, require_on_behalf_of, mode)| Policy {
            subjects,
            scopes,
            full_tokens,
            require_on_behalf_of,
            mode,
            ..Policy::default()
        },
    )
}

pub(crate) fn some_request() -> impl Strategy<Value = RandomRequest> {
    let user = |id: &str| Subject::User { id: BoxId::parse(id).unwrap() };
    let link = SharedLink::parse("https://app.box.com/s/x").unwrap();
    let targets = vec![
        RestrictionTarget::Anything,
        RestrictionTarget::Resource(folder("1")),
        RestrictionTarget::Resource(folder("2")),
        RestrictionTarget::SharedLink(link),
    ];
    let restriction = (some_scopes(), proptest::sample::select(targets))
        .prop_map(|(scopes, target)| Restriction { scopes, target, annotator: None });
    (
        proptest::sample::select(vec![Subject::ENTERPRISE, user("1"), user("2")]),
        proptest::option::of(restriction),
        proptest::option::of(Just(OnBehalfOf::parse("ada").unwrap())),
    )
        .prop_map(|(subject, restriction, on_behalf_of)| RandomRequest {
            subject,
            restriction,
            on_behalf_of,
        })
}
