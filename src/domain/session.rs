//! Browser sessions: the permission of a web page to get downscoped tokens for a while.
//!
//! It owns the encoding that a session's text is bound to. Grants and policy are checked by `policy` each time a
//! token is released.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audit_event::Credential;
use super::id::{CallerId, KeyId, SessionId, TenantId, TrustId};
use super::length_prefixed::LengthPrefixed;
use super::on_behalf_of::OnBehalfOf;
use super::origin::Origin;
use super::resource::{Resource, ResourceType};
use super::restriction::{Restriction, RestrictionTarget};
use super::scope::ScopeSet;
use super::subject::Subject;

/// A session that a caller opened for a web page. Its tokens are also limited by the caller's grants and the
/// tenant's policy at the time of each release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserSession {
    /// The immutable id.
    pub id: SessionId,
    /// The tenant.
    pub tenant: TenantId,
    /// The account that its tokens act for.
    pub subject: Subject,
    /// The files and folders that its tokens are restricted to, each once; 1 to [`BrowserSession::MAX_RESOURCES`].
    pub resources: Vec<Resource>,
    /// The scopes of a token for reading; never empty.
    pub read: ScopeSet,
    /// The scopes of a token for writing, if the page may have one.
    pub write: Option<ScopeSet>,
    /// The origins of the pages that may use it, each once; 1 to [`BrowserSession::MAX_ORIGINS`].
    pub origins: Vec<Origin>,
    /// The caller that opened it. It is stored as `opener`.
    #[serde(rename = "opener")]
    pub owner: SessionOwner,
    /// The person or job that the owner claimed to act for.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// The minimum lifetime of each of its tokens, in seconds.
    pub min_ttl: Option<u64>,
    /// The time at which it was opened.
    pub created_at: Timestamp,
    /// The time of expiry.
    pub expires_at: Timestamp,
    /// The time of cancellation, if it was cancelled.
    pub cancelled_at: Option<Timestamp>,
    /// The number of the row's version, one more with each change.
    pub version: i64,
}

/// The caller that opened a session, and its credential. The session ends when either of them does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOwner {
    /// The caller's id.
    pub caller: CallerId,
    /// The credential that it used. It is stored as `with`.
    #[serde(rename = "with")]
    pub credential: SessionCredential,
}

/// The credential with which a caller opened a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionCredential {
    /// An API key.
    Key(KeyId),
    /// An OIDC token that this trust matched.
    Trust(TrustId),
}

impl SessionCredential {
    /// Returns the part of a credential that a session depends on, or `None` for a session, which cannot open another.
    #[must_use]
    pub fn of(credential: &Credential) -> Option<Self> {
        match credential {
            Credential::Key(id) => Some(Self::Key(id.clone())),
            Credential::Jwt { trust, .. } => Some(Self::Trust(trust.clone())),
            Credential::Session(_) => None,
        }
    }

    /// Returns the id of the key or trust.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::Trust(id) => id.as_str(),
        }
    }
}

/// The resource of a session that covers an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemCoverage<'a> {
    /// This resource covers the item.
    CoveredBy(&'a Resource),
    /// One of several folders may cover it; Box has to be asked which of them it is in.
    DependsOnFolder,
    /// No resource covers the item.
    NotCovered,
}

impl BrowserSession {
    /// The maximum number of resources.
    pub const MAX_RESOURCES: usize = 100;
    /// The maximum number of origins.
    pub const MAX_ORIGINS: usize = 100;

    /// Returns the resource that covers an item: the item itself if it is one of them, else the only folder.
    #[must_use]
    pub fn coverage_of(&self, item: &Resource) -> ItemCoverage<'_> {
        if let Some(resource) = self.resources.iter().find(|resource| *resource == item) {
            return ItemCoverage::CoveredBy(resource);
        }
        let mut folders = self.folders();
        match (folders.next(), folders.next()) {
            (None, _) => ItemCoverage::NotCovered,
            (Some(only), None) => ItemCoverage::CoveredBy(only),
            (Some(_), Some(_)) => ItemCoverage::DependsOnFolder,
        }
    }

    /// Returns the innermost folder of the session among an item's ancestors, which are given from the outermost
    /// inwards.
    #[must_use]
    pub fn innermost_folder(&self, ancestors: &[super::id::BoxId]) -> Option<&Resource> {
        ancestors.iter().rev().find_map(|ancestor| self.folders().find(|folder| folder.id == *ancestor))
    }

    fn folders(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| resource.kind == ResourceType::Folder)
    }

    /// Returns the restriction of a token with these scopes on this resource.
    #[must_use]
    pub fn restriction(scopes: &ScopeSet, resource: &Resource) -> Restriction {
        Restriction {
            scopes: scopes.clone(),
            target: RestrictionTarget::Resource(resource.clone()),
            annotator: None,
        }
    }

    /// Returns every restriction that a token of the session may have.
    pub fn restrictions(&self) -> impl Iterator<Item = Restriction> {
        let scopes = std::iter::once(&self.read).chain(&self.write);
        scopes.flat_map(|scopes| self.resources.iter().map(|resource| Self::restriction(scopes, resource)))
    }

    /// Returns the session's fields as bytes, to which its text is bound. Each field is preceded by its length, so
    /// that no two sessions have the same encoding. Fields that change later are left out: a cancelled session keeps
    /// its encoding.
    #[must_use]
    pub fn encoding(&self) -> Vec<u8> {
        let Self { id, tenant, subject, resources, read, write, origins, owner, on_behalf_of, .. } = self;
        let mut fields = LengthPrefixed::with_capacity(512);
        fields.push_texts([id.as_str(), tenant.as_str(), &subject.to_string()]);
        fields.push_list(resources.iter().map(ToString::to_string));
        fields.push_list(read.iter().map(|scope| scope.as_str().to_owned()));
        fields.push_number(i64::from(write.is_some()));
        fields.push_list(write.iter().flat_map(ScopeSet::iter).map(|scope| scope.as_str().to_owned()));
        fields.push_list(origins.iter().map(ToString::to_string));
        fields.push_texts([owner.caller.as_str(), owner.credential.as_str()]);
        fields.push_list(on_behalf_of.iter().map(ToString::to_string));
        fields.push_list(self.min_ttl.iter().map(ToString::to_string));
        fields.push_number(self.created_at.as_millisecond());
        fields.push_number(self.expires_at.as_millisecond());
        fields.into_bytes()
    }
}

#[cfg(test)]
mod tests;
