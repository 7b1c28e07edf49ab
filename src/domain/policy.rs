//! A tenant's policy, and the one decision whether a token may be released.
//!
//! The decision itself is in `decision`. It is pure, so that it can run on every request, cache hits too.

mod decision;

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::decision::{
    AccessRequest, Decision, DecisionBasis, DenialReason, allows_full_tokens_for_every_user, decide,
    grants_allow_token,
};
use super::grant::SubjectPattern;
use super::id::InvalidValue;
use super::origin::Origin;
use super::rate_limit::RateLimit;
use super::scope::ScopeSet;

/// The limits of one tenant, which apply to every caller whatever its grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The subjects whose tokens may be released.
    pub subjects: Vec<SubjectPattern>,
    /// The scopes allowed; if set, no full token is released.
    pub scopes: Option<ScopeSet>,
    /// Whether full tokens may be released.
    pub full_tokens: bool,
    /// The origins whose pages may have browser sessions; if empty, none may.
    #[serde(deserialize_with = "deserialize_origins")]
    pub browser_origins: Vec<Origin>,
    /// The maximum lifetime of a browser session.
    pub max_session_ttl: SessionTtl,
    /// Whether a token request must name the person or job that it is for.
    pub require_on_behalf_of: bool,
    /// Whether a token request against this policy is refused, or only recorded.
    pub mode: PolicyMode,
    /// The rate limit of this tenant, if it differs from the one in the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<RateLimit>,
}

impl Policy {
    /// The maximum number of origins.
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

/// The effect of a policy on a token request that a policy's `subjects`, `scopes`, `full_tokens` or `require_on_behalf_of`
/// do not allow. Grants, states and everything else are enforced in either mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyMode {
    /// It is refused.
    #[default]
    Enforce,
    /// The token is released, and the audit record names the rule that would have refused it.
    Observe,
}

/// The maximum lifetime of a browser session in whole seconds: a minute to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64")]
pub struct SessionTtl(u64);

impl SessionTtl {
    /// The smallest value that can be set, in seconds.
    pub const MIN_SECONDS: u64 = 60;
    /// The largest value that can be set, in seconds.
    pub const MAX_SECONDS: u64 = 86_400;

    /// Returns the number of seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.0
    }
}

impl Default for SessionTtl {
    /// Returns eight hours.
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

/// Reads a policy's origins, each of which may be listed once.
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

#[cfg(test)]
pub(crate) mod strategies;
#[cfg(test)]
mod tests;
