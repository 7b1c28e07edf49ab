//! Subject tokens: full tokens of this broker that a caller presents to exchange them.
//!
//! [`SubjectTokens`] finds them in memory or in the store. Who may exchange one is decided by its caller.

use std::sync::Arc;
use std::time::Duration;

use super::TokenError;
use super::cache::{AccessToken, TokenCache, TokenLifetime};
use super::recipients::TokenRecipients;
use super::token_store::{SealedToken, SealedTokenStore};
use crate::clock::Clock;
use crate::crypto::sha256_hex;
use crate::domain::id::TokenId;
use crate::domain::recipient::Recipient;
use crate::domain::token_key::TokenKey;
use crate::secret::SecretString;
use crate::store::{Store, StoredToken};

/// A live full token of this broker that a caller presents.
#[derive(Debug)]
pub struct SubjectToken {
    /// The key under which it was minted.
    pub key: TokenKey,
    /// The id of its row in the store.
    pub row: TokenId,
    lifetime: TokenLifetime,
    /// The token in memory, if it was found there.
    cached: Option<Arc<AccessToken>>,
}

impl SubjectToken {
    /// Returns its remaining lifetime.
    #[must_use]
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        self.lifetime.left(clock)
    }

    /// Returns its recipients, as far as they are in memory.
    #[must_use]
    pub fn cached_recipients(&self) -> Vec<Recipient> {
        self.cached.as_ref().map(|token| token.recipients.all()).unwrap_or_default()
    }
}

/// The look-up of subject tokens.
#[derive(Debug)]
pub struct SubjectTokens {
    store: Arc<dyn Store>,
    cache: Arc<TokenCache>,
    tokens: Arc<SealedTokenStore>,
    recipients: Arc<TokenRecipients>,
    clock: Arc<dyn Clock>,
}

impl SubjectTokens {
    /// Returns a look-up in this cache and this store.
    pub(super) fn new(
        store: Arc<dyn Store>,
        cache: Arc<TokenCache>,
        tokens: Arc<SealedTokenStore>,
        recipients: Arc<TokenRecipients>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, cache, tokens, recipients, clock }
    }

    /// Returns the live full token with this text, if it is in memory.
    #[must_use]
    pub fn find_cached(&self, token: &SecretString) -> Option<SubjectToken> {
        let cached = self.cache.find_full_by_hash(&sha256_hex(token.expose().as_bytes()))?;
        let is_live = cached.secret == *token && !cached.lifetime.left(self.clock.as_ref()).is_zero();
        is_live.then(|| SubjectToken {
            key: cached.key.clone(),
            row: cached.row.clone(),
            lifetime: cached.lifetime,
            cached: Some(cached),
        })
    }

    /// Returns the live full token with this text, if it is in the store.
    ///
    /// # Errors
    /// If the store does not answer, or the stored token cannot be opened.
    pub async fn find_stored(&self, token: &SecretString) -> Result<Option<SubjectToken>, TokenError> {
        let fingerprint = sha256_hex(token.expose().as_bytes());
        let Some(row) = self.store.live_token_by_fingerprint(&fingerprint, self.clock.wall()).await? else {
            return Ok(None);
        };
        let sealed = self.tokens.open(&row).await?;
        Ok(self.full_token(row, &sealed, token))
    }

    /// Returns the recipients of a token: those that are stored, and those that wait to be.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn recipients_of(&self, token: &SubjectToken) -> Result<Vec<Recipient>, TokenError> {
        Ok(self.recipients.of(&token.row).await?)
    }

    fn full_token(
        &self,
        row: StoredToken,
        sealed: &SealedToken,
        token: &SecretString,
    ) -> Option<SubjectToken> {
        let key = sealed.key()?;
        let is_it = sealed.secret == *token && sealed.serves(&key) && key.restriction.is_none();
        let lifetime = TokenLifetime::restored(sealed.given, sealed.began, self.clock.as_ref());
        let is_live = is_it && !lifetime.left(self.clock.as_ref()).is_zero();
        is_live.then_some(SubjectToken { key, row: row.id, lifetime, cached: None })
    }
}
