//! Authentication of browser sessions. Sessions are cached, cancelled ones too, so that replaying a text again
//! and again costs the store nothing.

use std::sync::{Arc, OnceLock};

use super::trusts::TrustIndex;
use super::{AuthError, AuthenticatedCaller, RequestContext};
use crate::clock::Clock;
use crate::crypto::{SessionSigner, Vault, sha256};
use crate::domain::audit_event::Credential;
use crate::domain::caller::{Caller, CallerState};
use crate::domain::id::SessionId;
use crate::domain::session::{BrowserSession, SessionCredential};
use crate::store::change_feed::{ChangeFeed, ChangeToken};
use crate::store::read_through_cache::{Cacheable, CachedValue, ReadThroughCache};
use crate::store::{CallerRef, Store, StoreError};

/// The size of the cache of sessions in bytes; each counts as one kilobyte at least.
pub(super) const MEMORY: u64 = 64 * 1024 * 1024;

/// Authenticates browser sessions.
#[derive(Debug)]
pub(super) struct SessionAuthenticator {
    store: Arc<dyn Store>,
    known: ReadThroughCache<SessionId, Option<SessionWithOwner>>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
}

/// A session with its owner.
#[derive(Debug)]
pub(super) struct SessionWithOwner {
    session: Arc<BrowserSession>,
    /// SHA-256 of everything that the session says.
    content: [u8; 32],
    /// SHA-256 of its text once it was verified: the same text is recognised by this.
    text: OnceLock<[u8; 32]>,
    opener: Option<Arc<Caller>>,
}

/// A session whose text was verified. Whether it is valid now is a separate question.
#[derive(Clone, Debug)]
pub struct AuthenticatedSession {
    /// The session.
    pub session: Arc<BrowserSession>,
    /// Its owner, if that caller still exists.
    opener: Option<Arc<Caller>>,
}

impl SessionAuthenticator {
    pub(super) fn new(
        store: Arc<dyn Store>,
        known: ReadThroughCache<SessionId, Option<SessionWithOwner>>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, known, vault, clock }
    }

    /// Verifies the text of a session.
    ///
    /// # Errors
    /// [`AuthError::NoSession`] if it is not one, [`AuthError::Store`] if this cannot be decided.
    pub(super) async fn prove(&self, text: &str) -> Result<AuthenticatedSession, AuthError> {
        let id = SessionSigner::claimed_id(text).and_then(|id| SessionId::from_public_part(id).ok());
        let id = id.ok_or(AuthError::NoSession)?;
        let digest = sha256(text.as_bytes());
        let was_shown = |known: &CachedValue<Option<SessionWithOwner>>| {
            known.value.as_ref().is_some_and(|found| found.text.get() == Some(&digest))
        };
        let read = || self.vault.session_signer().parse(text).ok_or(AuthError::NoSession);
        // A text that none of our keys made costs no lookup.
        if !self.known.peek(&id).is_some_and(|known| was_shown(&known)) {
            read()?;
        }
        let known = self.get_or_load(&id).await?;
        let found = known.value.as_ref().ok_or(AuthError::NoSession)?;
        if !was_shown(&known) {
            let claims = read()?.verify(&found.content);
            claims.then_some(()).ok_or(AuthError::NoSession)?;
            // It is the only text with this content under that key.
            let _ = found.text.set(digest);
        }
        Ok(found.proven())
    }

    /// Returns the context of the session's owner if the session is valid now.
    ///
    /// # Errors
    /// [`AuthError::SessionExpired`], or [`AuthError::SessionCancelled`], also if the owner or its credential
    /// is no longer valid.
    pub(super) fn identify(
        &self,
        proven: &AuthenticatedSession,
        trusts: &TrustIndex,
    ) -> Result<RequestContext, AuthError> {
        let AuthenticatedSession { session, opener } = proven;
        let now = self.clock.wall();
        if session.cancelled_at.is_some() {
            return Err(AuthError::SessionCancelled);
        }
        if session.expires_at <= now {
            return Err(AuthError::SessionExpired);
        }
        let stands = |caller: &&Arc<Caller>| match &session.owner.credential {
            _ if caller.state != CallerState::Active => false,
            SessionCredential::Key(id) => caller.keys.iter().any(|key| key.id == *id && key.is_live(now)),
            SessionCredential::Trust(id) => trusts.has_trust(caller, id),
        };
        let caller = Arc::clone(opener.as_ref().filter(stands).ok_or(AuthError::SessionCancelled)?);
        let opened = AuthenticatedCaller { caller, credential: Credential::Session(session.id.clone()) };
        Ok(RequestContext::of_one(opened, Some(session.expires_at)))
    }

    /// Returns the current state of a session that was verified before.
    pub(super) async fn again(&self, id: &SessionId) -> Result<AuthenticatedSession, AuthError> {
        let known = self.get_or_load(id).await?;
        known.value.as_ref().map(SessionWithOwner::proven).ok_or(AuthError::SessionCancelled)
    }

    async fn get_or_load(
        &self,
        id: &SessionId,
    ) -> Result<Arc<CachedValue<Option<SessionWithOwner>>>, StoreError> {
        self.known.get_or_load(id, || SessionWithOwner::read(Arc::clone(&self.store), id.clone())).await
    }
}

impl SessionWithOwner {
    async fn read(store: Arc<dyn Store>, id: SessionId) -> Result<Option<Self>, StoreError> {
        let Some(session) = store.browser_session(&id).await? else { return Ok(None) };
        let opener = store.caller(&CallerRef::Id(session.owner.caller.clone())).await?.map(Arc::new);
        let content = sha256(&session.encoding());
        Ok(Some(Self { content, text: OnceLock::new(), session: Arc::new(session), opener }))
    }

    fn proven(&self) -> AuthenticatedSession {
        AuthenticatedSession { session: Arc::clone(&self.session), opener: self.opener.clone() }
    }
}

impl Cacheable<SessionId> for Option<SessionWithOwner> {
    /// A text leaves the broker only after its session is in the store, so a session that is not there never
    /// appears later.
    fn is_current(&self, id: &SessionId, since: &ChangeToken, change_feed: &ChangeFeed) -> bool {
        match self {
            Some(found) => {
                change_feed.unchanged_since(since, &[id.as_str(), found.session.owner.caller.as_str()])
            }
            None => change_feed.unchanged_since(since, &[id.as_str()]),
        }
    }

    fn weight(&self) -> u32 {
        let texts = self.as_ref().map_or(0, |found| {
            let BrowserSession { resources, origins, read, write, .. } = &*found.session;
            let scopes = read.len() + write.as_ref().map_or(0, |write| write.len());
            128 * (resources.len() + origins.len() + scopes)
        });
        u32::try_from(1024 + texts).unwrap_or(u32::MAX)
    }
}
