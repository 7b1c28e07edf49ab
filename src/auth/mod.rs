//! Authentication: credentials in, callers out. It owns the caches of callers, trusts, sessions and issuers'
//! keys. It decides who is calling, never what they may do.

pub mod api_key;
mod buckets;
mod jwks;
pub mod limits;
pub mod oidc;
mod request_context;
mod sessions;
mod trusts;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tokio_util::task::TaskTracker;

pub use self::jwks::IssuerSetupError;
use self::jwks::Issuers;
use self::oidc::OidcVerifier;
pub use self::request_context::{AuthenticatedCaller, RequestContext};
pub use self::sessions::AuthenticatedSession;
use self::sessions::SessionAuthenticator;
use self::trusts::TrustIndex;
use crate::clock::Clock;
use crate::config;
use crate::crypto::{CryptoError, Vault};
use crate::domain::audit_event::Credential;
use crate::domain::caller::{ApiKey, Caller, CallerState};
use crate::domain::id::KeyId;
use crate::domain::recipient::Recipient;
use crate::domain::trust::TokenClaims;
use crate::store::change_feed::{ChangeFeed, ChangeToken};
use crate::store::read_through_cache::{Cacheable, CachedValue, ReadThroughCache};
use crate::store::{CallerRef, Store, StoreError};

/// The maximum number of cached API keys, valid and unknown ones.
const REMEMBERED: u64 = 100_000;

/// The reason why a credential is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// The credential is missing, or authenticates nobody.
    #[error("the credential opens nothing")]
    Unauthenticated,
    /// The credential looks like an OIDC token and authenticates nobody; the reason is for the log only.
    #[error("the token opens nothing: {0}")]
    Token(#[from] TokenRejection),
    /// The credential is not a browser session, and nothing else is accepted here.
    #[error("the credential is no browser session")]
    NoSession,
    /// The browser session has expired.
    #[error("the browser session has expired")]
    SessionExpired,
    /// The browser session was cancelled, or its owner is gone.
    #[error("the browser session was cancelled, or who opened it opens nothing any more")]
    SessionCancelled,
    /// The issuer's keys are needed and cannot be fetched.
    #[error(transparent)]
    IssuerUnavailable(IssuerUnavailable),
    /// The row that decides cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pepper that decides is not in the key set.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// The reason why an OIDC token authenticates nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRejection {
    /// The token is too long to be parsed.
    #[error("it is 8 KiB long or longer")]
    TooLong,
    /// The token is not a signed JWT.
    #[error("it is not a signed JWT")]
    NotAJwt,
    /// The token brings its own key, or demands an unknown extension.
    #[error("its header has one of `jku`, `jwk`, `x5u`, `x5c` and `crit`")]
    Header,
    /// The token's algorithm is not accepted, or not for the key that it names.
    #[error("its `alg` is none of those that are accepted, or not one that its key is for")]
    Algorithm,
    /// The settings do not name the token's issuer.
    #[error("its `iss` is none of `auth.oidc`")]
    UnknownIssuer,
    /// The issuer has no such key.
    #[error("its issuer has no key of its `kid`")]
    UnknownKey,
    /// The token names no key, and its issuer has several.
    #[error("it has no `kid`, and its issuer has several keys")]
    KeyNotNamed,
    /// The signature is wrong, or a required claim is missing.
    #[error("its signature is not one of its key, or it lacks `exp`, `iss` or `aud`")]
    Signature,
    /// A claim is missing or malformed.
    #[error("its `{0}` is missing or not of its type")]
    Claim(&'static str),
    /// The token has expired.
    #[error("its `exp` has passed")]
    Expired,
    /// The token is not valid yet.
    #[error("its `nbf` or `iat` is more than 60 s ahead")]
    NotYet,
    /// The token is valid, but no caller trusts it.
    #[error("no caller's trust matches it")]
    Trust,
}

/// An issuer whose keys cannot be fetched and are not cached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of {issuer} cannot be fetched: {reason}")]
pub struct IssuerUnavailable {
    /// The issuer, as in the settings.
    pub issuer: Arc<str>,
    /// The cause, for the log.
    pub reason: String,
    /// The time until the issuer is asked again.
    pub retry_after: Duration,
}

/// Turns API keys, OIDC tokens and browser sessions into request contexts.
#[derive(Debug)]
pub struct Authenticator {
    store: Arc<dyn Store>,
    change_feed: Arc<ChangeFeed>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    known: ReadThroughCache<KeyId, KeyHolder>,
    verifier: OidcVerifier,
    trusts: TrustIndex,
    sessions: SessionAuthenticator,
}

/// The caller that a key belongs to.
#[derive(Debug)]
struct KeyHolder {
    caller: Option<Arc<Caller>>,
    /// The last use of the key in seconds of Unix time; zero if it was not used since it was read.
    used: AtomicI64,
}

impl Cacheable<KeyId> for KeyHolder {
    fn is_current(&self, _: &KeyId, since: &ChangeToken, change_feed: &ChangeFeed) -> bool {
        match &self.caller {
            Some(caller) => change_feed.unchanged_since(since, &[caller.id.as_str()]),
            None => change_feed.nothing_changed_since(since),
        }
    }
}

impl Authenticator {
    /// Creates an authenticator. Its background tasks run among `tasks` and outlive the request that started
    /// them.
    ///
    /// # Errors
    /// If no client for an issuer can be built on this machine.
    pub fn new(
        store: Arc<dyn Store>,
        change_feed: Arc<ChangeFeed>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        settings: &config::AuthSettings,
        tasks: &TaskTracker,
    ) -> Result<Self, IssuerSetupError> {
        let issuers = Issuers::new(&settings.oidc, &clock, tasks)?;
        let verifier = OidcVerifier::new(issuers, Arc::clone(&clock));
        let max_age = settings.max_policy_age;
        let trusting =
            ReadThroughCache::new(Arc::clone(&change_feed), max_age, settings.oidc.len() as u64, tasks);
        let trusts = TrustIndex::new(Arc::clone(&store), trusting, &settings.trusts);
        let opened = ReadThroughCache::new(Arc::clone(&change_feed), max_age, sessions::MEMORY, tasks);
        let sessions =
            SessionAuthenticator::new(Arc::clone(&store), opened, Arc::clone(&vault), Arc::clone(&clock));
        let known = ReadThroughCache::new(Arc::clone(&change_feed), max_age, REMEMBERED, tasks);
        Ok(Self { store, change_feed, vault, clock, known, verifier, trusts, sessions })
    }

    /// Returns the browser session of this text. An API key or a token is not a session.
    ///
    /// # Errors
    /// If the text is not a session, or this cannot be decided now.
    pub async fn session(&self, text: &str) -> Result<AuthenticatedSession, AuthError> {
        self.sessions.prove(text).await
    }

    /// Returns the context of the caller that owns a session.
    ///
    /// # Errors
    /// If the session has ended, for whatever reason.
    pub fn identify_opener(&self, proven: &AuthenticatedSession) -> Result<RequestContext, AuthError> {
        self.sessions.identify(proven, &self.trusts)
    }

    /// Returns the context of the caller with this API key, or of the callers whose trusts match this token.
    ///
    /// # Errors
    /// If the credential authenticates nobody, or this cannot be decided now.
    pub async fn authenticate(&self, text: &str) -> Result<RequestContext, AuthError> {
        if let Some(id) = api_key::id_of(text) {
            return self
                .identify(&id, |key| self.vault.verify_peppered(&key.pepper, &key.digest, text.as_bytes()))
                .await;
        }
        // An API key contains no dot, so a text without one that is not a key costs no more.
        if !text.contains('.') {
            return Err(AuthError::Unauthenticated);
        }
        let token = self.verifier.verify(text).await?;
        self.opened_by(token).await
    }

    /// Returns the same callers with their current grants. Callers that were excluded before stay excluded.
    ///
    /// # Errors
    /// If the key or token is no longer valid, or this cannot be decided now.
    pub async fn again(&self, context: &RequestContext) -> Result<RequestContext, AuthError> {
        let now = match (&context.token, &context.first().credential) {
            (Some(token), _) => {
                self.verifier.is_live(token)?;
                let now = self.opened_by(Arc::clone(token)).await?;
                let was_there = |caller: &Caller| context.any(|before| before.id == caller.id);
                now.those(was_there).ok_or(TokenRejection::Trust)?
            }
            (None, Credential::Key(id)) => self.identify(id, |_| Ok(true)).await?,
            (None, Credential::Session(id)) => {
                let proven = self.sessions.again(id).await?;
                self.identify_opener(&proven)?
            }
            // A recipient of a token comes without the credential that it had then.
            (None, Credential::Jwt { .. }) => {
                let AuthenticatedCaller { caller, credential } = context.first();
                self.receiver(&Recipient::new(&caller.id, credential)).await?
            }
        };
        Ok(RequestContext { peer: context.peer, request_id: Arc::clone(&context.request_id), ..now })
    }

    /// Returns the context of a caller that received a token: its API key must still be valid, or the trust
    /// that it came with must still exist.
    ///
    /// # Errors
    /// If it is not, or this cannot be decided now.
    pub async fn receiver(&self, receiver: &Recipient) -> Result<RequestContext, AuthError> {
        let Recipient { caller, credential } = receiver;
        let context = match credential {
            Credential::Key(id) => self.identify(id, |_| Ok(true)).await?,
            Credential::Jwt { issuer, trust, .. } => {
                self.verifier.knows(issuer)?;
                let caller = self.trusts.caller_with(issuer, trust).await?;
                let caller = caller.ok_or(AuthError::Unauthenticated)?;
                RequestContext::of_one(AuthenticatedCaller { caller, credential: credential.clone() }, None)
            }
            // No page ever receives a full token.
            Credential::Session(_) => return Err(AuthError::Unauthenticated),
        };
        let is_it = context.first().caller.id == *caller;
        is_it.then_some(context).ok_or(AuthError::Unauthenticated)
    }

    /// Returns the callers that a token with these claims would authenticate now, whoever signed it. A token
    /// without `exp` counts as valid.
    ///
    /// # Errors
    /// If such a token is refused whatever the trusts are, or the store does not answer.
    pub async fn opened_by_claims(
        &self,
        claims: Map<String, Value>,
    ) -> Result<Vec<AuthenticatedCaller>, AuthError> {
        let token = self.verifier.as_if_verified(claims)?;
        Ok(self.trusts.opened(&token).await?)
    }

    /// Returns the callers that a verified token authenticates by the current trusts.
    async fn opened_by(&self, token: Arc<TokenClaims>) -> Result<RequestContext, AuthError> {
        let opened = self.trusts.opened(&token).await?;
        RequestContext::of_token(token, opened).ok_or_else(|| TokenRejection::Trust.into())
    }

    /// Returns a change token from before anything that is read from now on.
    #[must_use]
    pub fn change_token(&self) -> ChangeToken {
        self.change_feed.change_token()
    }

    async fn identify(
        &self,
        id: &KeyId,
        is_proven: impl FnOnce(&ApiKey) -> Result<bool, CryptoError>,
    ) -> Result<RequestContext, AuthError> {
        let known = self.get_or_load(id).await?;
        let caller = known.value.caller.as_ref().ok_or(AuthError::Unauthenticated)?;
        let key = caller.keys.iter().find(|key| key.id == *id).ok_or(AuthError::Unauthenticated)?;
        let now = self.clock.wall();
        if !is_proven(key)? || !key.is_live(now) || caller.state == CallerState::Locked {
            return Err(AuthError::Unauthenticated);
        }
        known.value.used.store(now.as_second(), Ordering::Relaxed);
        let credential = Credential::Key(id.clone());
        let opened = AuthenticatedCaller { caller: Arc::clone(caller), credential };
        Ok(RequestContext::of_one(opened, key.expires_at))
    }

    async fn get_or_load(&self, id: &KeyId) -> Result<Arc<CachedValue<KeyHolder>>, StoreError> {
        let read = || {
            let (store, key) = (Arc::clone(&self.store), CallerRef::Key(id.clone()));
            async move {
                let caller = store.caller(&key).await?.map(Arc::new);
                Ok(KeyHolder { caller, used: AtomicI64::new(0) })
            }
        };
        self.known.get_or_load(id, read).await
    }

    /// Records the last uses of API keys in the store.
    ///
    /// # Errors
    /// If the store does not answer; the times are kept for the next attempt.
    pub async fn record_uses(&self) -> Result<(), StoreError> {
        let used: Vec<_> = self
            .known
            .iter()
            .filter_map(|(id, known)| {
                let second = known.value.used.load(Ordering::Relaxed);
                (second != 0).then_some((id, known, second))
            })
            .collect();
        let uses: Vec<(KeyId, Timestamp)> = used
            .iter()
            .filter_map(|(id, _, second)| Some(((**id).clone(), Timestamp::from_second(*second).ok()?)))
            .collect();
        if uses.is_empty() {
            return Ok(());
        }
        self.store.record_key_uses(&uses).await?;
        for (_, known, second) in used {
            // A use that arrived meanwhile is recorded next time.
            let _ = known.value.used.compare_exchange(second, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(())
    }
}
