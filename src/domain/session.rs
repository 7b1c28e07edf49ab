//! Browser sessions: what a page may have tokens for, and until when.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::audit_event::Credential;
use super::id::{CallerId, KeyId, SessionId, TenantId, TrustId};
use super::on_behalf_of::OnBehalfOf;
use super::origin::Origin;
use super::resource::{Resource, ResourceType};
use super::restriction::{Restriction, RestrictionTarget};
use super::scope::ScopeSet;
use super::subject::Subject;

/// A session that a caller opened for a page. What leaves by it is bounded by what the caller's grants
/// and the tenant's policy allow at that moment, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrowserSession {
    /// The immutable id.
    pub id: SessionId,
    /// Of which tenant.
    pub tenant: TenantId,
    /// For whom its tokens act.
    pub subject: Subject,
    /// On which files and folders, each once; 1 to [`BrowserSession::MAX_RESOURCES`] of them.
    pub resources: Vec<Resource>,
    /// What a token to read with may do; never empty.
    pub read: ScopeSet,
    /// What a token to write with may do, where the page gets one.
    pub write: Option<ScopeSet>,
    /// On whose pages it is good, each once; 1 to [`BrowserSession::MAX_ORIGINS`] of them.
    pub origins: Vec<Origin>,
    /// Who opened it.
    #[serde(rename = "opener")]
    pub owner: SessionOwner,
    /// For whom, as the opener claimed.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// How many seconds each of its tokens lives at least.
    pub min_ttl: Option<u64>,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was cancelled, where it was.
    pub cancelled_at: Option<Timestamp>,
    /// Counts the row's changes.
    pub version: i64,
}

/// Who opened a session, and with what. It ends with either.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionOwner {
    /// The caller.
    pub caller: CallerId,
    /// What it came with.
    #[serde(rename = "with")]
    pub credential: SessionCredential,
}

/// With what a caller opened a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionCredential {
    /// An API key.
    Key(KeyId),
    /// A token that this trust matched.
    Trust(TrustId),
}

impl SessionCredential {
    /// What a session that was opened by this credential hangs on; `None` where it opens none.
    #[must_use]
    pub fn of(credential: &Credential) -> Option<Self> {
        match credential {
            Credential::Key(id) => Some(Self::Key(id.clone())),
            Credential::Jwt { trust, .. } => Some(Self::Trust(trust.clone())),
            Credential::Session(_) => None,
        }
    }

    /// The id of the key or trust.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Key(id) => id.as_str(),
            Self::Trust(id) => id.as_str(),
        }
    }
}

/// By which of a session's resources an item is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemCoverage<'a> {
    /// By this one.
    CoveredBy(&'a Resource),
    /// By that of its folders that the item lies in, which Box has to be asked.
    DependsOnFolder,
    /// By none.
    NotCovered,
}

impl BrowserSession {
    /// How many resources it has at most.
    pub const MAX_RESOURCES: usize = 100;
    /// How many origins it has at most.
    pub const MAX_ORIGINS: usize = 100;

    /// By which resource an item is served: by the one that it is, else by the only folder.
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

    /// The folder by which an item is served that lies in these, the outermost first: the innermost of
    /// the session's.
    #[must_use]
    pub fn innermost_folder(&self, ancestors: &[super::id::BoxId]) -> Option<&Resource> {
        ancestors.iter().rev().find_map(|ancestor| self.folders().find(|folder| folder.id == *ancestor))
    }

    fn folders(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter().filter(|resource| resource.kind == ResourceType::Folder)
    }

    /// How a token of the session is restricted that may do this, there.
    #[must_use]
    pub fn restriction(scopes: &ScopeSet, resource: &Resource) -> Restriction {
        Restriction {
            scopes: scopes.clone(),
            target: RestrictionTarget::Resource(resource.clone()),
            annotator: None,
        }
    }

    /// Every restriction that a token of the session may have.
    pub fn restrictions(&self) -> impl Iterator<Item = Restriction> {
        let scopes = std::iter::once(&self.read).chain(&self.write);
        scopes.flat_map(|scopes| self.resources.iter().map(|resource| Self::restriction(scopes, resource)))
    }

    /// All that the session says, as bytes that its text is bound to: each field behind its length, so that
    /// no two sessions have the same. What comes about later is not among it: a session that is cancelled
    /// is the same session.
    #[must_use]
    pub fn encoding(&self) -> Vec<u8> {
        let Self { id, tenant, subject, resources, read, write, origins, owner, on_behalf_of, .. } = self;
        let mut fields = Fields(Vec::with_capacity(512));
        fields.texts([id.as_str(), tenant.as_str(), &subject.to_string()]);
        fields.list(resources.iter().map(ToString::to_string));
        fields.list(read.iter().map(|scope| scope.as_str().to_owned()));
        fields.number(i64::from(write.is_some()));
        fields.list(write.iter().flat_map(ScopeSet::iter).map(|scope| scope.as_str().to_owned()));
        fields.list(origins.iter().map(ToString::to_string));
        fields.texts([owner.caller.as_str(), owner.credential.as_str()]);
        fields.list(on_behalf_of.iter().map(ToString::to_string));
        fields.list(self.min_ttl.iter().map(ToString::to_string));
        fields.number(self.created_at.as_millisecond());
        fields.number(self.expires_at.as_millisecond());
        fields.0
    }
}

struct Fields(Vec<u8>);

impl Fields {
    fn push(&mut self, field: &[u8]) {
        self.0.extend_from_slice(&(field.len() as u64).to_be_bytes());
        self.0.extend_from_slice(field);
    }

    fn number(&mut self, number: i64) {
        self.push(&number.to_be_bytes());
    }

    fn texts<const N: usize>(&mut self, texts: [&str; N]) {
        texts.iter().for_each(|text| self.push(text.as_bytes()));
    }

    /// Texts behind their number.
    fn list(&mut self, texts: impl Iterator<Item = String>) {
        let texts: Vec<String> = texts.collect();
        self.push(&(texts.len() as u64).to_be_bytes());
        texts.iter().for_each(|text| self.push(text.as_bytes()));
    }
}

#[cfg(test)]
mod tests;
