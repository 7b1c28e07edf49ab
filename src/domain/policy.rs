//! The one place that says whether a token may leave: a caller's grants and the tenant's policy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::caller::{Grant, Permission, SubjectPattern};
use super::id::TenantId;
use super::rate_limit::RateLimit;
use super::subject::{Restriction, ScopeSet, Subject, Target};

/// What a tenant allows anyone to have, whatever their grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// For which subjects tokens may leave.
    pub subjects: Vec<SubjectPattern>,
    /// Within which scopes; where set, no full token leaves.
    pub scopes: Option<ScopeSet>,
    /// Whether full tokens may leave.
    pub full_tokens: bool,
    /// How often the tenant may be asked about, instead of what the settings say.
    pub rate_limit: Option<RateLimit>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            subjects: vec![SubjectPattern::Enterprise, SubjectPattern::AnyUser],
            scopes: None,
            full_tokens: true,
            rate_limit: None,
        }
    }
}

/// What a caller asks to have done for a tenant's subject.
#[derive(Clone, Copy, Debug)]
pub enum Ask<'a> {
    /// A token: full, or under a restriction.
    Token {
        /// For whom.
        subject: &'a Subject,
        /// How restricted.
        restriction: Option<&'a Restriction>,
    },
    /// The end of tokens, for everybody who has them; of any subject, where none is named.
    Revocation(Option<&'a Subject>),
    /// An admin's call on the tenant.
    Admin(Permission),
}

/// Why an ask was refused; for the audit, never for the caller who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// No grant on the tenant gives the permission.
    Permission,
    /// No such grant allows the subject.
    GrantSubject,
    /// No such grant allows the scopes, or a full token.
    GrantScopes,
    /// No such grant allows the resource.
    GrantResource,
    /// The tenant's policy does not allow the subject.
    PolicySubject,
    /// The tenant's policy does not allow the scopes.
    PolicyScopes,
    /// The tenant's policy allows no full token.
    PolicyFullTokens,
}

impl Rule {
    /// The rule's name in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Permission => "grant.permission",
            Self::GrantSubject => "grant.subjects",
            Self::GrantScopes => "grant.scopes",
            Self::GrantResource => "grant.resources",
            Self::PolicySubject => "policy.subjects",
            Self::PolicyScopes => "policy.scopes",
            Self::PolicyFullTokens => "policy.full_tokens",
        }
    }

    /// Of two rules the one that an ask came to later.
    #[must_use]
    pub fn further(a: Self, b: Self) -> Self {
        let rank = |rule| match rule {
            Self::Permission => 0,
            Self::GrantSubject => 1,
            Self::GrantScopes => 2,
            _ => 3,
        };
        if rank(b) > rank(a) { b } else { a }
    }
}

/// What [`decide`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller may; by the grant at this place in their list.
    Allowed(usize),
    /// The caller has a grant on the tenant, but may not do this.
    Forbidden(Rule),
    /// The caller has no grant on the tenant: to them it does not exist.
    Absent,
}

/// Judges one ask by each grant alone, then by the tenant's policy. Pure, so that it can run on
/// every request, cache hits too.
#[must_use]
pub fn decide(
    grants: &[Grant],
    tenant: &TenantId,
    labels: &BTreeMap<String, String>,
    policy: &Policy,
    ask: Ask<'_>,
) -> Decision {
    let mut nearest: Option<Rule> = None;
    for (place, grant) in grants.iter().enumerate() {
        if !grant.is_on(tenant, labels) {
            continue;
        }
        match refusal_by_grant(grant, ask) {
            None => {
                return match refusal_by_policy(policy, ask) {
                    None => Decision::Allowed(place),
                    Some(rule) => Decision::Forbidden(rule),
                };
            }
            // The rule that came furthest tells the reader of the audit most.
            Some(rule) => nearest = Some(nearest.map_or(rule, |other| Rule::further(other, rule))),
        }
    }
    nearest.map_or(Decision::Absent, Decision::Forbidden)
}

/// True where one of the grants, whatever the policy says, gives such a token of the tenant.
#[must_use]
pub fn reaches(
    grants: &[Grant],
    tenant: &TenantId,
    labels: &BTreeMap<String, String>,
    (subject, restriction): (&Subject, Option<&Restriction>),
) -> bool {
    let ask = Ask::Token { subject, restriction };
    grants.iter().any(|grant| grant.is_on(tenant, labels) && refusal_by_grant(grant, ask).is_none())
}

fn refusal_by_grant(grant: &Grant, ask: Ask<'_>) -> Option<Rule> {
    let (subject, restriction) = match ask {
        Ask::Admin(permission) => return (!grant.permits(permission)).then_some(Rule::Permission),
        Ask::Revocation(subject) => {
            let allows = |pattern: &SubjectPattern| subject.is_none_or(|subject| pattern.allows(subject));
            return match grant.permits(Permission::TokensRevoke) {
                false => Some(Rule::Permission),
                true => (!grant.subjects.iter().any(allows)).then_some(Rule::GrantSubject),
            };
        }
        Ask::Token { subject, restriction } => (subject, restriction),
    };
    let full = restriction.is_none_or(Restriction::reaches_like_a_full_token);
    let permission = if full { Permission::TokensMint } else { Permission::TokensDownscope };
    if !grant.permits(permission) {
        return Some(Rule::Permission);
    }
    if !grant.subjects.iter().any(|pattern| pattern.allows(subject)) {
        return Some(Rule::GrantSubject);
    }
    if full && (grant.scopes.is_some() || grant.resources.is_some()) {
        return Some(Rule::GrantScopes);
    }
    let restriction = restriction?;
    if grant.scopes.as_ref().is_some_and(|allowed| !restriction.scopes.is_within(allowed)) {
        return Some(Rule::GrantScopes);
    }
    let fits = match (&grant.resources, &restriction.target) {
        (None, _) => true,
        (Some(allowed), Target::Resource(resource)) => allowed.contains(resource),
        (Some(_), Target::Anything | Target::SharedLink(_)) => false,
    };
    (!fits).then_some(Rule::GrantResource)
}

fn refusal_by_policy(policy: &Policy, ask: Ask<'_>) -> Option<Rule> {
    let Ask::Token { subject, restriction } = ask else { return None };
    if !policy.subjects.iter().any(|pattern| pattern.allows(subject)) {
        return Some(Rule::PolicySubject);
    }
    let full = restriction.is_none_or(Restriction::reaches_like_a_full_token);
    if full && (policy.scopes.is_some() || !policy.full_tokens) {
        return Some(Rule::PolicyFullTokens);
    }
    let within = match (&policy.scopes, restriction) {
        (Some(allowed), Some(restriction)) => restriction.scopes.is_within(allowed),
        _ => true,
    };
    (!within).then_some(Rule::PolicyScopes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::caller::TenantSelector;
    use crate::domain::id::{BoxId, Name};
    use crate::domain::subject::{Resource, ResourceType, Scope};

    fn scopes(names: &[&str]) -> ScopeSet {
        names.iter().map(|name| Scope::parse(name).unwrap()).collect()
    }

    fn folder(id: &str) -> Resource {
        Resource { kind: ResourceType::Folder, id: BoxId::parse(id).unwrap() }
    }

    fn restricted(names: &[&str], target: Target) -> Restriction {
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
        let ask = Ask::Token { subject: &Subject::ENTERPRISE, restriction };
        decide(grants, &tenant(), &BTreeMap::new(), policy, ask)
    }

    #[test]
    fn invariant_1_a_token_leaves_only_by_a_grant_and_the_policy_together() {
        let mint = [grant(Permission::TokensMint)];
        let open = Policy::default();
        assert_eq!(judge(&mint, &open, None), Decision::Allowed(0));
        assert_eq!(judge(&[], &open, None), Decision::Absent);
        let closed = Policy { full_tokens: false, ..Policy::default() };
        assert_eq!(judge(&mint, &closed, None), Decision::Forbidden(Rule::PolicyFullTokens));
        let preview = restricted(&["item_preview"], Target::Anything);
        assert_eq!(judge(&mint, &closed, Some(&preview)), Decision::Allowed(0));
        let scoped = Policy { scopes: Some(scopes(&["item_read"])), ..Policy::default() };
        assert_eq!(judge(&mint, &scoped, Some(&preview)), Decision::Forbidden(Rule::PolicyScopes));
        assert_eq!(judge(&mint, &scoped, None), Decision::Forbidden(Rule::PolicyFullTokens));
        let users = Policy { subjects: vec![SubjectPattern::AnyUser], ..Policy::default() };
        assert_eq!(judge(&mint, &users, None), Decision::Forbidden(Rule::PolicySubject));
    }

    #[test]
    fn oauth_scopes_need_what_a_full_token_needs() {
        let root = restricted(&["root_readwrite"], Target::Anything);
        let downscope = [grant(Permission::TokensDownscope)];
        assert_eq!(judge(&downscope, &Policy::default(), Some(&root)), Decision::Forbidden(Rule::Permission));
        let closed = Policy { full_tokens: false, ..Policy::default() };
        let mint = [grant(Permission::TokensMint)];
        assert_eq!(judge(&mint, &closed, Some(&root)), Decision::Forbidden(Rule::PolicyFullTokens));
    }

    #[test]
    fn a_grant_with_scopes_or_resources_never_yields_a_full_token() {
        let scoped = Grant { scopes: Some(scopes(&["item_preview"])), ..grant(Permission::TokensMint) };
        let bound = Grant { resources: Some(vec![folder("1")]), ..grant(Permission::TokensMint) };
        for grant in [scoped, bound] {
            assert_eq!(judge(&[grant], &Policy::default(), None), Decision::Forbidden(Rule::GrantScopes));
        }
    }

    #[test]
    fn a_resource_matches_exactly_or_not_at_all() {
        let bound = [Grant { resources: Some(vec![folder("1")]), ..grant(Permission::TokensDownscope) }];
        let open = Policy::default();
        let on = |target| judge(&bound, &open, Some(&restricted(&["item_preview"], target)));
        assert_eq!(on(Target::Resource(folder("1"))), Decision::Allowed(0));
        assert_eq!(on(Target::Resource(folder("2"))), Decision::Forbidden(Rule::GrantResource));
        assert_eq!(on(Target::Anything), Decision::Forbidden(Rule::GrantResource));
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
        let ask = |names: &[&str], id| {
            judge(&grants, &Policy::default(), Some(&restricted(names, Target::Resource(folder(id)))))
        };
        assert_eq!(ask(&["item_download"], "2"), Decision::Allowed(1));
        assert!(matches!(ask(&["item_download"], "1"), Decision::Forbidden(_)));
        assert!(matches!(ask(&["item_preview", "item_download"], "1"), Decision::Forbidden(_)));
    }
}
