//! The one place that says whether a token may leave: a caller's grants and the tenant's policy.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize};

use super::grant::{Grant, Permission, SubjectPattern};
use super::id::{InvalidValue, TenantId};
use super::on_behalf_of::OnBehalfOf;
use super::origin::Origin;
use super::rate_limit::RateLimit;
use super::restriction::{Restriction, RestrictionTarget};
use super::scope::ScopeSet;
use super::subject::Subject;

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
    /// Whose pages may have browser sessions; none, where it is empty.
    #[serde(deserialize_with = "deserialize_origins")]
    pub browser_origins: Vec<Origin>,
    /// How long a browser session lives at most.
    pub max_session_ttl: SessionTtl,
    /// Whether whoever asks for a token has to say for whom.
    pub require_on_behalf_of: bool,
    /// Whether what the fields on tokens refuse is refused, or only written down.
    pub mode: PolicyMode,
    /// How often the tenant may be asked about, instead of what the settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

impl Policy {
    /// How many origins it names at most.
    pub const MAX_ORIGINS: usize = 100;
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            subjects: vec![SubjectPattern::Enterprise, SubjectPattern::AnyUser],
            scopes: None,
            full_tokens: true,
            browser_origins: Vec::new(),
            max_session_ttl: SessionTtl::default(),
            require_on_behalf_of: false,
            mode: PolicyMode::Enforce,
            rate_limit: None,
        }
    }
}

/// What becomes of tokens that a policy's `subjects`, `scopes`, `full_tokens` or
/// `require_on_behalf_of` are against. Grants, states and all else are enforced in either mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyMode {
    /// They are refused.
    #[default]
    Enforce,
    /// They leave, and the record names the rule that would have refused them.
    Observe,
}

/// How long a browser session lives at most, in whole seconds: a minute to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct SessionTtl(u64);

impl SessionTtl {
    /// The shortest that can be set, in seconds.
    pub const MIN_SECONDS: u64 = 60;
    /// The longest that can be set, in seconds.
    pub const MAX_SECONDS: u64 = 86_400;

    /// The seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for SessionTtl {
    /// Eight hours.
    fn default() -> Self {
        Self(28_800)
    }
}

impl TryFrom<u64> for SessionTtl {
    type Error = InvalidValue;

    fn try_from(seconds: u64) -> Result<Self, InvalidValue> {
        match seconds {
            Self::MIN_SECONDS..=Self::MAX_SECONDS => Ok(Self(seconds)),
            _ => Err(InvalidValue("`max_session_ttl` is 60 to 86400 seconds")),
        }
    }
}

/// Reads a policy's origins, each of which stands there once.
fn deserialize_origins<'de, D: Deserializer<'de>>(field: D) -> Result<Vec<Origin>, D::Error> {
    let origins = Vec::<Origin>::deserialize(field)?;
    if origins.len() > Policy::MAX_ORIGINS {
        return Err(serde::de::Error::custom("`browser_origins` names at most 100 origins"));
    }
    if origins.iter().collect::<BTreeSet<_>>().len() < origins.len() {
        return Err(serde::de::Error::custom("`browser_origins` names an origin twice"));
    }
    Ok(origins)
}

/// What a caller asks to have done for a tenant's subject.
#[derive(Clone, Copy, Debug)]
pub enum AccessRequest<'a> {
    /// A token: full, or under a restriction.
    Token {
        /// For whom.
        subject: &'a Subject,
        /// How restricted.
        restriction: Option<&'a Restriction>,
        /// On whose behalf, as the caller claims.
        on_behalf_of: Option<&'a OnBehalfOf>,
    },
    /// A token that leaves through a browser session.
    SessionToken {
        /// For whom.
        subject: &'a Subject,
        /// How restricted.
        restriction: &'a Restriction,
        /// On whose behalf, as whoever opened the session claimed.
        on_behalf_of: Option<&'a OnBehalfOf>,
    },
    /// The end of tokens, for everybody who has them; of any subject, where none is named.
    TokenRevocation(Option<&'a Subject>),
    /// The end of browser sessions, or a look at them; of any subject, where none is named.
    SessionCancellation(Option<&'a Subject>),
    /// An admin's call on the tenant.
    Admin(Permission),
}

/// Why an request was refused; for the audit, never for the caller who asked. In the order in which they
/// are looked at: the one that comes later came nearer to allowing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DenialReason {
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
    /// The tenant's policy wants to know on whose behalf.
    PolicyOnBehalfOf,
}

impl DenialReason {
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
            Self::PolicyOnBehalfOf => "policy.on_behalf_of",
        }
    }

    /// What the record says of what a policy in observe mode let pass. Only a policy's rules are waived.
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

/// By what something is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecisionBasis {
    /// The grant's place in the caller's list.
    pub grant: usize,
    /// The policy's rule that would have refused it, were the policy enforced.
    pub waived: Option<DenialReason>,
}

/// What [`decide`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The caller may, by one of their grants.
    Allowed(DecisionBasis),
    /// The caller has a grant on the tenant, but may not do this.
    Forbidden(DenialReason),
    /// The caller has no grant on the tenant: to them it does not exist.
    TenantHidden,
}

/// Judges one request by each grant alone, then by the tenant's policy. Pure, so that it can run on
/// every request, cache hits too.
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
            // The rule that came furthest tells the reader of the audit most.
            Some(rule) => nearest = nearest.max(Some(rule)),
        }
    }
    nearest.map_or(Decision::TenantHidden, Decision::Forbidden)
}

/// True where one of the grants, whatever the policy says, gives such a token of the tenant.
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
    let gives = |grant: &Grant, request: AccessRequest<'_>| denial_by_grant(grant, request).is_none();
    grants
        .iter()
        .filter(|grant| grant.applies_to(tenant, labels))
        .any(|grant| gives(grant, direct) || by_session.is_some_and(|by_session| gives(grant, by_session)))
}

/// True where full tokens for every user of the tenant may leave, whatever else may.
#[must_use]
pub fn allows_full_tokens_for_every_user(
    grants: &[Grant],
    tenant: &TenantId,
    labels: &BTreeMap<String, String>,
    policy: &Policy,
) -> bool {
    let is_free = policy.mode == PolicyMode::Observe
        || (policy.subjects.contains(&SubjectPattern::AnyUser)
            && policy.full_tokens
            && policy.scopes.is_none());
    let reaches = |grant: &Grant| {
        grant.applies_to(tenant, labels)
            && grant.permits(Permission::TokensMint)
            && grant.subjects.contains(&SubjectPattern::AnyUser)
            && grant.scopes.is_none()
            && grant.resources.is_none()
    };
    is_free && grants.iter().any(reaches)
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

/// Why a grant does not allow to end what is a subject's.
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
    // Last: whoever is told of this rule knows that all else fits.
    (policy.require_on_behalf_of && on_behalf_of.is_none()).then_some(DenialReason::PolicyOnBehalfOf)
}

#[cfg(test)]
pub(crate) mod strategies;
#[cfg(test)]
mod tests;
