//! Who calls the broker.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::grant::{Grant, Permission, TenantSelector};
use super::id::{CallerId, KeyId, Name, TenantId};
use super::rate_limit::RateLimit;
use super::trust::Trust;

/// What sort of work a caller does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerKind {
    /// An internal service that needs tokens.
    Service,
    /// Somebody who manages tenants and callers.
    Admin,
}

/// Whether a caller may call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CallerState {
    /// Its keys open it.
    #[default]
    Active,
    /// They open nothing because of an incident, until somebody with `lockdown` lifts it.
    Locked,
}

/// An API key as the broker keeps it: never the key, only its HMAC under a pepper.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The key's id, whose public part stands in the key.
    pub id: KeyId,
    /// HMAC-SHA-256 of the whole key.
    #[serde(with = "base64_bytes")]
    pub digest: Vec<u8>,
    /// Under which pepper.
    pub pepper: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl ApiKey {
    /// True until the key's end.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
}

/// Somebody who may call the broker. A key that is not in `keys` opens nothing, and neither does a token
/// that no trust matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The immutable id.
    pub id: CallerId,
    /// The name, unique among callers.
    pub name: Name,
    /// Service or admin.
    pub kind: CallerKind,
    /// Whether its keys open it.
    #[serde(default)]
    pub state: CallerState,
    /// When it was locked last, while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locked_at: Option<Timestamp>,
    /// What the caller may do; each grant is judged alone.
    pub grants: Vec<Grant>,
    /// The keys that open this caller, at most [`Caller::MAX_KEYS`] of them live.
    pub keys: Vec<ApiKey>,
    /// How often the caller may ask, instead of what the settings say.
    #[serde(default)]
    pub rate_limit: Option<RateLimit>,
    /// The tokens of OIDC issuers that open it, at most [`Caller::MAX_TRUSTS`] sorts of them.
    #[serde(default)]
    pub trusts: Vec<Trust>,
    /// When the caller was made.
    pub created_at: Timestamp,
    /// Counts the row's changes.
    pub version: i64,
}

impl Caller {
    /// How many keys may live at once: the old and the new one of a rotation.
    pub const MAX_KEYS: usize = 2;
    /// How many trusts a caller may have.
    pub const MAX_TRUSTS: usize = 32;

    /// True where each of `grants` fits inside one that this caller holds, and that one lets it
    /// manage callers: the right to do so for one tenant hands on nothing of another. No grants at all
    /// may become any: they are for those who manage every tenant's callers.
    #[must_use]
    pub fn may_grant(&self, grants: &[Grant]) -> bool {
        self.covers(grants, Permission::CallersWrite)
    }

    /// True where this caller may lock one that holds `grants`, or lift its lock: each of them fits
    /// inside one of its own that gives `lockdown`. Nobody locks somebody stronger.
    #[must_use]
    pub fn may_lock(&self, grants: &[Grant]) -> bool {
        self.covers(grants, Permission::Lockdown)
    }

    fn covers(&self, grants: &[Grant], permission: Permission) -> bool {
        if grants.is_empty() {
            return self.holds_everywhere(permission);
        }
        let gives = |held: &&Grant| held.permits(permission);
        grants.iter().all(|asked| self.grants.iter().filter(gives).any(|held| asked.fits_inside(held)))
    }

    /// True where some grant is on the tenant of this id or name, or on every tenant, as far as that can
    /// be said without knowing the tenant.
    #[must_use]
    pub fn names(&self, tenant: Option<&TenantId>, called: Option<&Name>) -> bool {
        self.grants.iter().any(|grant| match &grant.tenants {
            TenantSelector::Every => true,
            TenantSelector::One { id, name } => Some(id) == tenant || Some(name) == called,
            TenantSelector::Labels(_) => false,
        })
    }

    /// True where some grant on any tenant at all gives `permission`.
    #[must_use]
    pub fn holds(&self, permission: Permission) -> bool {
        self.grants.iter().any(|grant| grant.permits(permission))
    }

    /// True where a grant on every tenant gives `permission`.
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
    fn a_caller_that_was_written_before_there_were_trusts_is_read() {
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
