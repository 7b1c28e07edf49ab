//! Callers: the services and admins that may call the broker, with their API keys and trusts.
//!
//! It says what a caller may do to other callers. Whether a caller may have a token is decided by `policy`;
//! verifying credentials is done by the module `auth`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::grant::{Grant, Permission, TenantSelector};
use super::id::{CallerId, KeyId, Name, TenantId};
use super::rate_limit::RateLimit;
use super::trust::Trust;

/// The kind of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// An internal service that needs tokens.
    Service,
    /// An admin, who manages tenants and callers.
    Admin,
}

/// The state of a caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerState {
    /// Its credentials are accepted.
    #[default]
    Active,
    /// Its credentials are refused because of an incident, until a caller with `lockdown` lifts the lock.
    Locked,
}

/// An API key as the broker stores it: not the key itself, but its HMAC under a pepper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The key's id, whose public part is also part of the key's text.
    pub id: KeyId,
    /// The HMAC-SHA-256 of the whole key.
    #[serde(with = "base64_bytes")]
    pub digest: Vec<u8>,
    /// The id of the pepper.
    pub pepper: String,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The time of expiry, if it has one.
    pub expires_at: Option<Timestamp>,
}

impl ApiKey {
    /// Returns true until the key expires.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// A service or admin that may call the broker. Only a key in `keys` or a token that a trust matches
/// authenticates as the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The immutable id.
    pub id: CallerId,
    /// The name, unique among callers.
    pub name: Name,
    /// The kind: service or admin.
    pub kind: CallerKind,
    /// The state: active or locked.
    #[serde(default)]
    pub state: CallerState,
    /// The time of the current lock, if the caller is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<Timestamp>,
    /// The permissions of the caller; each grant is judged alone.
    pub grants: Vec<Grant>,
    /// The API keys of this caller, at most [`Caller::MAX_KEYS`] of them live.
    pub keys: Vec<ApiKey>,
    /// The rate limit of this caller, if it differs from the one in the settings.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// The OIDC tokens that authenticate as this caller, at most [`Caller::MAX_TRUSTS`] trusts.
    #[serde(default)]
    pub trusts: Vec<Trust>,
    /// The time of creation.
    pub created_at: Timestamp,
    /// The number of the row's version, one more with each change.
    pub version: i64,
}

impl Caller {
    /// The maximum number of live keys: the old and the new one of a rotation.
    pub const MAX_KEYS: usize = 2;
    /// The maximum number of trusts.
    pub const MAX_TRUSTS: usize = 32;

    /// Returns true if each of `grants` fits inside a grant of this caller that includes `callers:write`: the right
    /// to manage callers of one tenant passes on nothing of another. An empty list can be filled later, so only a
    /// caller that manages the callers of every tenant may grant it.
    #[must_use]
    pub fn may_grant(&self, grants: &[Grant]) -> bool {
        self.covers(grants, Permission::CallersWrite)
    }

    /// Returns true if this caller may lock and unlock a caller that holds `grants`: each of them must fit inside a
    /// grant of its own that includes `lockdown`. So nobody can lock a caller with more permissions.
    #[must_use]
    pub fn may_lock(&self, grants: &[Grant]) -> bool {
        self.covers(grants, Permission::Lockdown)
    }

    fn covers(&self, grants: &[Grant], permission: Permission) -> bool {
        if grants.is_empty() {
            return self.holds_everywhere(permission);
        }
        let permits = |held: &&Grant| held.permits(permission);
        grants.iter().all(|asked| self.grants.iter().filter(permits).any(|held| asked.fits_inside(held)))
    }

    /// Returns true if some grant names the tenant by this id or name, or covers every tenant. Grants by label are
    /// not considered, because the tenant's labels are not known here.
    #[must_use]
    pub fn names(&self, tenant: Option<&TenantId>, called: Option<&Name>) -> bool {
        self.grants.iter().any(|grant| match &grant.tenants {
            TenantSelector::Every => true,
            TenantSelector::One { id, name } => Some(id) == tenant || Some(name) == called,
            TenantSelector::Labels(_) => false,
        })
    }

    /// Returns true if some grant, on any tenant, gives `permission`.
    #[must_use]
    pub fn holds(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.permits(permission))
    }

    /// Returns true if a grant on every tenant gives `permission`.
    #[must_use]
    pub fn holds_everywhere(&self, permission: Permission) -> bool {
        self.grants
            .iter()
            .any(|grant| matches!(grant.tenants, TenantSelector::Every) && grant.permits(permission))
    }
}

mod base64_bytes {
    use data_encoding::BASE64;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map_err(|_| serde::de::Error::custom("not base64"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_stored_without_trusts_is_read() {
        let caller = Caller {
            id: CallerId::parse("cal_a").unwrap(),
            name: Name::parse("job").unwrap(),
            kind: CallerKind::Service,
            state: CallerState::Active,
            locked_at: None,
            grants: vec![Grant::everything()],
            keys: Vec::new(),
            rate_limit: None,
            trusts: Vec::new(),
            created_at: Timestamp::UNIX_EPOCH,
            version: 1,
        };
        let mut document = serde_json::to_value(&caller).unwrap();
        assert!(document.as_object_mut().unwrap().remove("trusts").is_some());
        assert_eq!(serde_json::from_value::<Caller>(document).unwrap(), caller);
    }
}
