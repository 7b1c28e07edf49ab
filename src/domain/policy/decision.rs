//! The decision whether a caller's grants and a tenant's policy allow a request.
//!
//! It is pure: it reads no clock and no store, and records nothing.

use std::collections::BTreeMap;

use super::{Policy, PolicyMode};
use crate::domain::grant::{Grant, Permission, SubjectPattern};
use crate::domain::id::TenantId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::restriction::{Restriction, RestrictionTarget};
use crate::domain::subject::Subject;

/// The access that a caller requests to a tenant.
#[derive(Clone, Copy, Debug)]
pub enum AccessRequest<'a> {
    /// A full or downscoped token.
    Token {
        /// The account that the token acts for.
        subject: &'a Subject,
        /// The restriction of the token.
        restriction: Option<&'a Restriction>,
        /// The person or job that the caller claims to act for.
        on_behalf_of: Option<&'a OnBehalfOf>,
    },
    /// A token that is released through a browser session.
    SessionToken {
        /// The account that the token acts for.
        subject: &'a Subject,
        /// The restriction of the token.
        restriction: &'a Restriction,
        /// The person or job that the owner of the session claimed to act for.
        on_behalf_of: Option<&'a OnBehalfOf>,
    },
    /// The revocation of tokens for all who hold them; of every subject if none is named.
    TokenRevocation(Option<&'a Subject>),
    /// Listing or cancelling browser sessions; of every subject if none is named.
    SessionCancellation(Option<&'a Subject>),
    /// An admin operation on the tenant.
    Admin(Permission),
}

/// The rule that refused a request, for the audit and never for the caller. The variants are in the order in which
/// the rules are checked, so a later one was nearer to allowing the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DenialReason {
    /// No grant on the tenant gives the permission.
    Permission,
    /// No grant with the permission allows the subject.
    GrantSubject,
    /// No grant with the permission allows the scopes, or a full token.
    GrantScopes,
    /// No grant with the permission allows the resource.
    GrantResource,
    /// The tenant's policy does not allow the subject.
    PolicySubject,
    /// The tenant's policy does not allow the scopes.
    PolicyScopes,
    /// The tenant's policy allows no full token.
    PolicyFullTokens,
    /// The tenant's policy requires `on_behalf_of`.
    PolicyOnBehalfOf,
}

impl DenialReason {
    /// Returns the rule's name in the audit.
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
            Self::PolicyOnBehalfOf => "policy.on_behalf_of",
        }
    }

    /// Returns the reason for the audit if a policy in observe mode waived the rule. Only policy rules are waived.
    #[must_use]
    pub fn observed_name(self) -> &'static str {
        match self {
            Self::PolicySubject => "observed: policy.subjects",
            Self::PolicyScopes => "observed: policy.scopes",
            Self::PolicyFullTokens => "observed: policy.full_tokens",
            Self::PolicyOnBehalfOf => "observed: policy.on_behalf_of",
            Self::Permission | Self::GrantSubject | Self::GrantScopes | Self::GrantResource => self.as_str(),
        }
    }
}

/// The grant that allowed a request, and the policy rule that was waived for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionBasis {
    /// The grant's index in the caller's list.
    pub grant: usize,
    /// The policy rule that would have refused the request in enforce mode.
    pub waived: Option<DenialReason>,
}

/// The result of [`decide`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// One of the caller's grants and the policy allow it.
    Allowed(DecisionBasis),
    /// The caller has a grant on the tenant, but this request is not allowed.
    Forbidden(DenialReason),
    /// The caller has no grant on the tenant, so the tenant's existence is not revealed.
    TenantHidden,
}

/// Decides on one request: by each grant alone, then by the tenant's policy.
#[must_use]
pub fn decide(
    grants: &[Grant],
    tenant: &TenantId,
    labels: &BTreeMap<String, String>,
    policy: &Policy,
    request: AccessRequest<'_>,
) -> Decision {
    let mut nearest: Option<DenialReason> = None;
    for (place, grant) in grants.iter().enumerate() {
        if !grant.applies_to(tenant, labels) {
            continue;
        }
        match denial_by_grant(grant, request) {
            None => {
                return match (denial_by_policy(policy, request), policy.mode) {
                    (Some(rule), PolicyMode::Enforce) => Decision::Forbidden(rule),
                    (waived, _) => Decision::Allowed(DecisionBasis { grant: place, waived }),
                };
            }
            // The rule checked last says most to a reader of the audit.
            Some(rule) => nearest = nearest.max(Some(rule)),
        }
    }
    nearest.map_or(Decision::TenantHidden, Decision::Forbidden)
}

/// Returns true if one of the grants, regardless of the policy, allows such a token of the tenant.
#[must_use]
pub fn grants_allow_token(
    grants: &[Grant],
    tenant: &TenantId,
    labels: &BTreeMap<String, String>,
    (subject, restriction): (&Subject, Option<&Restriction>),
) -> bool {
    let direct = AccessRequest::Token { subject, restriction, on_behalf_of: None };
    let by_session = restriction.map(|restriction| AccessRequest::SessionToken {
        subject,
        restriction,
        on_behalf_of: None,
    });
    let allows = |grant: &Grant, request: AccessRequest<'_>| denial_by_grant(grant, request).is_none();
    grants
        .iter()
        .filter(|grant| grant.applies_to(tenant, labels))
        .any(|grant| allows(grant, direct) || by_session.is_some_and(|by_session| allows(grant, by_session)))
}

/// Returns true if the grants and the policy allow full tokens for every user of the tenant.
#[must_use]
pub fn allows_full_tokens_for_every_user(
    grants: &[Grant],
    tenant: &TenantId,
    labels: &BTreeMap<String, String>,
    policy: &Policy,
) -> bool {
    let policy_allows = policy.mode == PolicyMode::Observe
        || (policy.subjects.contains(&SubjectPattern::AnyUser)
            && policy.full_tokens
            && policy.scopes.is_none());
    let allows = |grant: &Grant| {
        grant.applies_to(tenant, labels)
            && grant.permits(Permission::TokensMint)
            && grant.subjects.contains(&SubjectPattern::AnyUser)
            && grant.scopes.is_none()
            && grant.resources.is_none()
    };
    policy_allows && grants.iter().any(allows)
}

fn denial_by_grant(grant: &Grant, request: AccessRequest<'_>) -> Option<DenialReason> {
    let (subject, restriction) = match request {
        AccessRequest::Admin(permission) => {
            return (!grant.permits(permission)).then_some(DenialReason::Permission);
        }
        AccessRequest::TokenRevocation(subject) => {
            return denial_of_revocation(grant, Permission::TokensRevoke, subject);
        }
        AccessRequest::SessionCancellation(subject) => {
            return denial_of_revocation(grant, Permission::SessionsCancel, subject);
        }
        AccessRequest::Token { subject, restriction, .. } => (subject, restriction),
        AccessRequest::SessionToken { subject, restriction, .. } => (subject, Some(restriction)),
    };
    let is_full = restriction.is_none_or(Restriction::is_full_access);
    let permission = match request {
        AccessRequest::SessionToken { .. } => Permission::SessionsCreate,
        _ if is_full => Permission::TokensMint,
        _ => Permission::TokensDownscope,
    };
    if !grant.permits(permission) {
        return Some(DenialReason::Permission);
    }
    if !grant.subjects.iter().any(|pattern| pattern.allows(subject)) {
        return Some(DenialReason::GrantSubject);
    }
    if is_full && (grant.scopes.is_some() || grant.resources.is_some()) {
        return Some(DenialReason::GrantScopes);
    }
    let restriction = restriction?;
    if grant.scopes.as_ref().is_some_and(|allowed| !restriction.scopes.is_within(allowed)) {
        return Some(DenialReason::GrantScopes);
    }
    let fits = match (&grant.resources, &restriction.target) {
        (None, _) => true,
        (Some(allowed), RestrictionTarget::Resource(resource)) => allowed.contains(resource),
        (Some(_), RestrictionTarget::Anything | RestrictionTarget::SharedLink(_)) => false,
    };
    (!fits).then_some(DenialReason::GrantResource)
}

/// Returns the reason why a grant does not allow revoking tokens or cancelling sessions of a subject.
fn denial_of_revocation(
    grant: &Grant,
    permission: Permission,
    subject: Option<&Subject>,
) -> Option<DenialReason> {
    let allows = |pattern: &SubjectPattern| subject.is_none_or(|subject| pattern.allows(subject));
    match grant.permits(permission) {
        false => Some(DenialReason::Permission),
        true => (!grant.subjects.iter().any(allows)).then_some(DenialReason::GrantSubject),
    }
}

fn denial_by_policy(policy: &Policy, request: AccessRequest<'_>) -> Option<DenialReason> {
    let (subject, restriction, on_behalf_of) = match request {
        AccessRequest::Token { subject, restriction, on_behalf_of } => (subject, restriction, on_behalf_of),
        AccessRequest::SessionToken { subject, restriction, on_behalf_of } => {
            (subject, Some(restriction), on_behalf_of)
        }
        AccessRequest::TokenRevocation(_)
        | AccessRequest::SessionCancellation(_)
        | AccessRequest::Admin(_) => {
            return None;
        }
    };
    if !policy.subjects.iter().any(|pattern| pattern.allows(subject)) {
        return Some(DenialReason::PolicySubject);
    }
    let is_full = restriction.is_none_or(Restriction::is_full_access);
    if is_full && (policy.scopes.is_some() || !policy.full_tokens) {
        return Some(DenialReason::PolicyFullTokens);
    }
    let within = match (&policy.scopes, restriction) {
        (Some(allowed), Some(restriction)) => restriction.scopes.is_within(allowed),
        _ => true,
    };
    if !within {
        return Some(DenialReason::PolicyScopes);
    }
    // Checked last, because the caller learns of this rule: it then knows that everything else is allowed.
    (policy.require_on_behalf_of && on_behalf_of.is_none()).then_some(DenialReason::PolicyOnBehalfOf)
}
