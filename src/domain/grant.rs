//! Grants: the permissions of a caller on tenants, limited by subject, scope and resource.
//!
//! It owns the rule by which one grant fits inside another. Judging a request by grants is done by `policy`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::id::{BoxId, InvalidValue, Name, TenantId};
use super::resource::Resource;
use super::scope::ScopeSet;
use super::subject::Subject;

/// A permission that a grant can give.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
pub enum Permission {
    /// Getting full tokens, and downscoped tokens too.
    #[serde(rename = "tokens:mint")]
    TokensMint,
    /// Getting downscoped tokens alone.
    #[serde(rename = "tokens:downscope")]
    TokensDownscope,
    /// Revoking a token at Box, for everyone.
    #[serde(rename = "tokens:revoke")]
    TokensRevoke,
    /// Opening a browser session.
    #[serde(rename = "sessions:create")]
    SessionsCreate,
    /// Ending browser sessions.
    #[serde(rename = "sessions:cancel")]
    SessionsCancel,
    /// Having a webhook's signature checked.
    #[serde(rename = "webhooks:verify")]
    WebhooksVerify,
    /// Reading a tenant.
    #[serde(rename = "tenants:read")]
    TenantsRead,
    /// Registering a tenant.
    #[serde(rename = "tenants:create")]
    TenantsCreate,
    /// Changing a tenant's display name, policy or state.
    #[serde(rename = "tenants:write")]
    TenantsWrite,
    /// Replacing a tenant's credentials.
    #[serde(rename = "tenants:credentials")]
    TenantsCredentials,
    /// Running a tenant's diagnosis.
    #[serde(rename = "tenants:test")]
    TenantsTest,
    /// Taking a tenant out of service.
    #[serde(rename = "tenants:delete")]
    TenantsDelete,
    /// Erasing a tenant at once.
    #[serde(rename = "tenants:purge")]
    TenantsPurge,
    /// Registering tenants on a shared app.
    #[serde(rename = "apps:use")]
    AppsUse,
    /// Managing shared apps.
    #[serde(rename = "apps:write")]
    AppsWrite,
    /// Managing callers whose grants fit inside one's own.
    #[serde(rename = "callers:write")]
    CallersWrite,
    /// Reading the audit.
    #[serde(rename = "audit:read")]
    AuditRead,
    /// Asking why a caller would or would not get a token.
    #[serde(rename = "policy:explain")]
    PolicyExplain,
    /// Locking a tenant, app or caller in an incident.
    #[serde(rename = "lockdown")]
    Lockdown,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 19] = [
        Self::TokensMint,
        Self::TokensDownscope,
        Self::TokensRevoke,
        Self::SessionsCreate,
        Self::SessionsCancel,
        Self::WebhooksVerify,
        Self::TenantsRead,
        Self::TenantsCreate,
        Self::TenantsWrite,
        Self::TenantsCredentials,
        Self::TenantsTest,
        Self::TenantsDelete,
        Self::TenantsPurge,
        Self::AppsUse,
        Self::AppsWrite,
        Self::CallersWrite,
        Self::AuditRead,
        Self::PolicyExplain,
        Self::Lockdown,
    ];

    /// Returns true if a caller of kind `service` may hold this permission.
    #[must_use]
    pub fn is_allowed_for_services(self) -> bool {
        matches!(
            self,
            Self::TokensMint
                | Self::TokensDownscope
                | Self::TokensRevoke
                | Self::SessionsCreate
                | Self::SessionsCancel
                | Self::WebhooksVerify
        )
    }

    /// Returns true if the permission concerns the whole broker, so that only a grant on `*` can give it.
    #[must_use]
    pub fn requires_all_tenants(self) -> bool {
        matches!(self, Self::TenantsCreate | Self::TenantsPurge | Self::AppsUse | Self::AppsWrite)
    }

    fn implied_by(self, held: Self) -> bool {
        self == held || (self == Self::TokensDownscope && held == Self::TokensMint)
    }
}

/// The tenants that a grant covers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TenantSelector {
    /// Every tenant, including future ones.
    Every,
    /// One tenant, by its id; the name is for readers.
    One {
        /// The immutable id, which decides.
        id: TenantId,
        /// The name of the tenant when the grant was made.
        name: Name,
    },
    /// Every tenant with all of these labels.
    Labels(BTreeMap<String, String>),
}

/// The subjects that a grant or policy allows: `enterprise`, `user:*` or `user:123`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SubjectPattern {
    /// The service account.
    Enterprise,
    /// Any user.
    AnyUser,
    /// One user.
    User(BoxId),
}

impl SubjectPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidValue`] if it has none of the three forms.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        match text.strip_prefix("user:") {
            Some("*") => Ok(Self::AnyUser),
            Some(id) => BoxId::parse(id).map(Self::User),
            None if text == "enterprise" => Ok(Self::Enterprise),
            None => Err(InvalidValue("a subject is `enterprise`, `user:*` or `user:` and a Box user id")),
        }
    }

    /// Returns true if the pattern allows `subject`.
    #[must_use]
    pub fn allows(&self, subject: &Subject) -> bool {
        match (self, subject) {
            (Self::Enterprise, Subject::Enterprise {}) | (Self::AnyUser, Subject::User { .. }) => true,
            (Self::User(allowed), Subject::User { id }) => allowed == id,
            _ => false,
        }
    }

    fn covers(&self, inner: &Self) -> bool {
        self == inner || matches!((self, inner), (Self::AnyUser, Self::User(_)))
    }
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enterprise => f.write_str("enterprise"),
            Self::AnyUser => f.write_str("user:*"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

impl Serialize for SubjectPattern {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SubjectPattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One grant of a caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The tenants that it covers.
    pub tenants: TenantSelector,
    /// The permissions that it gives.
    pub permissions: Vec<Permission>,
    /// The subjects that it allows.
    pub subjects: Vec<SubjectPattern>,
    /// The scopes that it allows; `None` allows any, and only then full tokens too.
    pub scopes: Option<ScopeSet>,
    /// The exact resources that it allows; `None` allows any, and only then full tokens too.
    pub resources: Option<Vec<Resource>>,
}

impl Grant {
    /// Returns the grant that `callers create --admin` gives: every permission on every tenant.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            tenants: TenantSelector::Every,
            permissions: Permission::ALL.to_vec(),
            subjects: vec![SubjectPattern::Enterprise, SubjectPattern::AnyUser],
            scopes: None,
            resources: None,
        }
    }

    /// Returns true if the grant covers this tenant, whatever it permits there.
    #[must_use]
    pub fn applies_to(&self, tenant: &TenantId, labels: &BTreeMap<String, String>) -> bool {
        match &self.tenants {
            TenantSelector::Every => true,
            TenantSelector::One { id, .. } => id == tenant,
            // A selector without labels would match every tenant by mistake.
            TenantSelector::Labels(wanted) => {
                !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
            }
        }
    }

    /// Returns true if the grant gives `permission`, directly or by one that implies it.
    #[must_use]
    pub fn permits(&self, permission: Permission) -> bool {
        self.permissions.iter().any(|held| permission.implied_by(*held))
    }

    /// Returns true if `outer` allows everything that this grant allows. A caller may pass on only grants that fit
    /// inside its own.
    #[must_use]
    pub fn fits_inside(&self, outer: &Self) -> bool {
        let tenants = match (&self.tenants, &outer.tenants) {
            (_, TenantSelector::Every) => true,
            (TenantSelector::One { id, .. }, TenantSelector::One { id: held, .. }) => id == held,
            (TenantSelector::Labels(asked), TenantSelector::Labels(held)) => {
                !held.is_empty() && held.iter().all(|(key, value)| asked.get(key) == Some(value))
            }
            // A tenant with these labels today may lose them tomorrow: the inner grant would outlive the outer one.
            _ => false,
        };
        let scopes = match (&self.scopes, &outer.scopes) {
            (_, None) => true,
            (Some(asked), Some(held)) => asked.is_within(held),
            (None, Some(_)) => false,
        };
        let resources = match (&self.resources, &outer.resources) {
            (_, None) => true,
            (Some(asked), Some(held)) => asked.iter().all(|resource| held.contains(resource)),
            (None, Some(_)) => false,
        };
        tenants
            && scopes
            && resources
            && self.permissions.iter().all(|permission| outer.permits(*permission))
            && self.subjects.iter().all(|asked| outer.subjects.iter().any(|held| held.covers(asked)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::scope::Scope;

    fn on(selector: TenantSelector) -> Grant {
        Grant { tenants: selector, ..Grant::everything() }
    }

    fn one(id: &str) -> TenantSelector {
        TenantSelector::One { id: TenantId::parse(id).unwrap(), name: Name::parse("acme").unwrap() }
    }

    fn labels(pairs: &[(&str, &str)]) -> TenantSelector {
        TenantSelector::Labels(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    #[test]
    fn a_grant_fits_only_inside_what_covers_it_in_every_field() {
        let all = Grant::everything();
        let narrow = Grant {
            tenants: one("ten_a"),
            permissions: vec![Permission::TokensMint],
            subjects: vec![SubjectPattern::User(BoxId::parse("1").unwrap())],
            scopes: Some([Scope::parse("item_preview").unwrap()].into_iter().collect()),
            resources: Some(vec![]),
        };
        assert!(narrow.fits_inside(&all) && narrow.fits_inside(&narrow));
        assert!(!all.fits_inside(&narrow));
        let wider = [
            Grant { tenants: one("ten_b"), ..narrow.clone() },
            Grant { permissions: vec![Permission::TokensRevoke], ..narrow.clone() },
            Grant { subjects: vec![SubjectPattern::AnyUser], ..narrow.clone() },
            Grant { scopes: None, ..narrow.clone() },
            Grant { resources: None, ..narrow.clone() },
        ];
        for grant in wider {
            assert!(!grant.fits_inside(&narrow), "{grant:?}");
        }
        let downscope = Grant { permissions: vec![Permission::TokensDownscope], ..narrow.clone() };
        assert!(downscope.fits_inside(&narrow) && !narrow.fits_inside(&downscope));
    }

    #[test]
    fn a_grant_by_label_fits_only_inside_the_same_labels() {
        let held = on(labels(&[("team", "a")]));
        assert!(on(labels(&[("team", "a"), ("env", "prod")])).fits_inside(&held));
        assert!(!on(labels(&[("env", "prod")])).fits_inside(&held));
        assert!(!on(one("ten_a")).fits_inside(&held));
        assert!(!on(labels(&[])).applies_to(&TenantId::parse("ten_a").unwrap(), &BTreeMap::new()));
    }
}
