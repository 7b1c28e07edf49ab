//! Who is calling: credentials in, callers out.

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

/// How many keys are remembered, known and unknown ones.
const REMEMBERED: u64 = 100_000;

/// Why a credential is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It is none, or not one that opens anything.
    #[error("the credential opens nothing")]
    Unauthenticated,
    /// It looks like a token of an OIDC issuer, and opens nothing; why is for the log alone.
    #[error("the token opens nothing: {0}")]
    Token(#[from] TokenRejection),
    /// It is no browser session, and nothing else counts here.
    #[error("the credential is no browser session")]
    NoSession,
    /// It is a browser session whose time is over.
    #[error("the browser session has expired")]
    SessionExpired,
    /// It is a browser session that was cancelled, or whose opener is gone.
    #[error("the browser session was cancelled, or who opened it opens nothing any more")]
    SessionCancelled,
    /// It cannot be judged without the keys of an issuer that cannot be had.
    #[error(transparent)]
    IssuerUnavailable(IssuerUnavailable),
    /// It cannot be judged, because its row cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be judged without a pepper that is not in the key set.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Why a token of an OIDC issuer opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRejection {
    /// It is not looked at.
    #[error("it is 8 KiB long or longer")]
    TooLong,
    /// It is no signed JWT.
    #[error("it is not a signed JWT")]
    NotAJwt,
    /// It brings a key of its own along, or asks for what nobody here understands.
    #[error("its header has one of `jku`, `jwk`, `x5u`, `x5c` and `crit`")]
    Header,
    /// Nobody here verifies what is signed so, or not with the key that it names.
    #[error("its `alg` is none of those that are accepted, or not one that its key is for")]
    Algorithm,
    /// The settings do not name its issuer.
    #[error("its `iss` is none of `auth.oidc`")]
    UnknownIssuer,
    /// Its issuer has no such key.
    #[error("its issuer has no key of its `kid`")]
    UnknownKey,
    /// It could be signed with several keys.
    #[error("it has no `kid`, and its issuer has several keys")]
    KeyNotNamed,
    /// The issuer did not sign this.
    #[error("its signature is not one of its key, or it lacks `exp`, `iss` or `aud`")]
    Signature,
    /// A claim is missing, or not what it should be.
    #[error("its `{0}` is missing or not of its type")]
    Claim(&'static str),
    /// Its time is over.
    #[error("its `exp` has passed")]
    Expired,
    /// Its time has not come.
    #[error("its `nbf` or `iat` is more than 60 s ahead")]
    NotYet,
    /// It is good, and opens nobody.
    #[error("no caller's trust matches it")]
    Trust,
}

/// An issuer whose keys cannot be fetched, and none are known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of {issuer} cannot be fetched: {reason}")]
pub struct IssuerUnavailable {
    /// The issuer, as the settings name it.
    pub issuer: Arc<str>,
    /// Why, for the log.
    pub reason: String,
    /// After how long it is asked again.
    pub retry_after: Duration,
}

/// Turns API keys, tokens of OIDC issuers and browser sessions into callers.
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

/// Whose key it is.
#[derive(Debug)]
struct KeyHolder {
    caller: Option<Arc<Caller>>,
    /// When the key was last used, in seconds of Unix time; zero for not since it was looked up.
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
    /// An authenticator by these settings. What it fetches outlives whoever asked, among `tasks`.
    ///
    /// # Errors
    /// Where an issuer cannot be asked from this machine.
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

    /// The browser session whose text this is; an API key or a token is none.
    ///
    /// # Errors
    /// Where it is none's, or where that cannot be said at the moment.
    pub async fn session(&self, text: &str) -> Result<AuthenticatedSession, AuthError> {
        self.sessions.prove(text).await
    }

    /// The caller who opened a session, as the one who acts by it.
    ///
    /// # Errors
    /// Where the session is over, whatever ended it.
    pub fn identify_opener(&self, proven: &AuthenticatedSession) -> Result<RequestContext, AuthError> {
        self.sessions.identify(proven, &self.trusts)
    }

    /// The caller whose key this is, or the callers whose trusts match this token.
    ///
    /// # Errors
    /// Where it is nobody's, or where that cannot be said at the moment.
    pub async fn authenticate(&self, text: &str) -> Result<RequestContext, AuthError> {
        if let Some(id) = api_key::id_of(text) {
            return self
                .identify(&id, |key| self.vault.verify_peppered(&key.pepper, &key.digest, text.as_bytes()))
                .await;
        }
        // A key has no dot in it: what looks like one and is none costs nothing more.
        if !text.contains('.') {
            return Err(AuthError::Unauthenticated);
        }
        let token = self.verifier.verify(text).await?;
        self.opened_by(token).await
    }

    /// Callers that were authenticated before, as they stand now: with the grants of this moment. Those
    /// who were left out before stay out.
    ///
    /// # Errors
    /// Where key or token open nothing any more, or where that cannot be said at the moment.
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
            // Whoever was given a token once comes without what it had then.
            (None, Credential::Jwt { .. }) => {
                let AuthenticatedCaller { caller, credential } = context.first();
                self.receiver(&Recipient::new(&caller.id, credential)).await?
            }
        };
        Ok(RequestContext { peer: context.peer, request_id: Arc::clone(&context.request_id), ..now })
    }

    /// A caller who was given something once, as it stands now: its API key still opens it, or the trust by which
    /// it came still stands.
    ///
    /// # Errors
    /// Where it does not, or where that cannot be said at the moment.
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
            // No page is given a full token.
            Credential::Session(_) => return Err(AuthError::Unauthenticated),
        };
        let is_it = context.first().caller.id == *caller;
        is_it.then_some(context).ok_or(AuthError::Unauthenticated)
    }

    /// The callers whom a token that says this would open at this moment, whoever signed it. One that does
    /// not say when it ends is taken for one that lives.
    ///
    /// # Errors
    /// Where such a token is refused whatever the trusts are, or where the store does not answer.
    pub async fn opened_by_claims(
        &self,
        claims: Map<String, Value>,
    ) -> Result<Vec<AuthenticatedCaller>, AuthError> {
        let token = self.verifier.as_if_verified(claims)?;
        Ok(self.trusts.opened(&token).await?)
    }

    /// The callers whom a verified token opens by the trusts of this moment.
    async fn opened_by(&self, token: Arc<TokenClaims>) -> Result<RequestContext, AuthError> {
        let opened = self.trusts.opened(&token).await?;
        RequestContext::of_token(token, opened).ok_or_else(|| TokenRejection::Trust.into())
    }

    /// From before whatever is read from now on.
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

    /// Writes down when keys were last used.
    ///
    /// # Errors
    /// Where the store does not answer; the times are kept for the next attempt.
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
            // A use that came meanwhile is left for the next time.
            let _ = known.value.used.compare_exchange(second, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(())
    }
}
