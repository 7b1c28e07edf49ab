//! The tokens in the store, each sealed under the vault.
//!
//! [`SealedTokenStore`] reads, writes and erases them. A row is not trusted: a token is served only under the key that
//! stands inside its seal. It never asks Box and decides nothing about access.

mod sealed_token;

use std::sync::Arc;

pub(super) use self::sealed_token::SealedToken;

use super::TokenError;
use super::cache::{AccessToken, TokenCache, TokenLifetime, TtlPolicy};
use super::recipients::TokenRecipients;
use super::tenant_context::TenantContext;
use crate::box_api::{MintedToken, RestrictedObject};
use crate::clock::Clock;
use crate::crypto::{Vault, sha256_hex};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::id::TokenId;
use crate::domain::token_key::TokenKey;
use crate::entropy::Entropy;
use crate::secret::SecretString;
use crate::store::{NewToken, SaveOutcome, Store, StoreError, StoredToken, token_aad};

/// The use of a minted token.
#[derive(Clone, Copy, Debug)]
pub(super) enum MintDisposition<'a> {
    /// It is served.
    Kept,
    /// It only shows whether Box gives one.
    Test,
    /// It must not be served, for this reason.
    Discarded(&'a TokenError),
}

/// The stored tokens.
#[derive(Debug)]
pub(super) struct SealedTokenStore {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    cache: Arc<TokenCache>,
    recipients: Arc<TokenRecipients>,
    ttl: Arc<TtlPolicy>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

/// The parts that a [`SealedTokenStore`] works with.
#[derive(Debug)]
pub(super) struct SealedTokenStoreParts {
    pub(super) store: Arc<dyn Store>,
    pub(super) vault: Arc<Vault>,
    pub(super) cache: Arc<TokenCache>,
    pub(super) recipients: Arc<TokenRecipients>,
    pub(super) ttl: Arc<TtlPolicy>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

impl SealedTokenStore {
    /// Returns the tokens of a store.
    pub(super) fn new(parts: SealedTokenStoreParts) -> Self {
        let SealedTokenStoreParts { store, vault, cache, recipients, ttl, clock, entropy } = parts;
        Self { store, vault, cache, recipients, ttl, clock, entropy }
    }

    /// Returns the stored token of a key. A row that cannot be used is logged and skipped: another mint costs
    /// less than a refusal.
    pub(super) async fn find(&self, key: &TokenKey) -> Result<Option<Arc<AccessToken>>, StoreError> {
        let Some(row) = self.store.live_token(key, self.clock.wall()).await? else { return Ok(None) };
        // The token in memory knows more than its row: its end by the monotonic clock, and when its last
        // renewal began.
        if let Some(cached) = self.cache.get(key).filter(|cached| cached.row == row.id) {
            return Ok(Some(cached));
        }
        let opened = match self.vault.open(&token_aad(&row.id), &row.sealed).await {
            Ok(document) => SealedToken::parse(&document),
            Err(error) => {
                tracing::error!(token = %row.id, tenant = %key.tenant, %error, "a stored token cannot be opened");
                return Ok(None);
            }
        };
        let Some(sealed) = opened.filter(|sealed| sealed.serves(key)) else {
            tracing::error!(token = %row.id, tenant = %key.tenant, "a stored token is not what its row says");
            return Ok(None);
        };
        let lifetime = TokenLifetime::restored(sealed.given, sealed.began, self.clock.as_ref());
        let token = self.access_token(sealed.secret, lifetime, sealed.restricted_to, (key.clone(), row.id));
        self.recipients.restore(&token).await;
        Ok(Some(token))
    }

    /// Opens a stored token.
    pub(super) async fn open(&self, row: &StoredToken) -> Result<SealedToken, TokenError> {
        let document = self
            .vault
            .open(&token_aad(&row.id), &row.sealed)
            .await
            .map_err(|error| TokenError::Sealed { what: "a stored token", error })?;
        SealedToken::parse(&document).ok_or(TokenError::Corrupt("a stored token is not one"))
    }

    /// Saves a minted token and its audit record, in one transaction.
    pub(super) async fn save(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        minted: &MintedToken,
        cause: &AuditContext,
        disposition: MintDisposition<'_>,
    ) -> Result<(TokenId, Result<SaveOutcome, StoreError>), TokenError> {
        let id = TokenId::generate(self.entropy.as_ref());
        let discarded = !matches!(disposition, MintDisposition::Kept);
        let document = sealed_token::document(key, minted, discarded);
        let sealed = self
            .vault
            .seal(&token_aad(&id), &document)
            .await
            .map_err(|error| TokenError::Sealed { what: "a fresh token", error })?;
        let fingerprint = sha256_hex(minted.token.expose().as_bytes());
        let action = match (disposition, &key.restriction) {
            (MintDisposition::Discarded(_), _) => AuditAction::TokenDiscard,
            (_, None) => AuditAction::TokenMint,
            (_, Some(_)) => AuditAction::TokenDownscope,
        };
        let restriction = key.restriction.as_ref();
        let event = AuditEvent {
            tenant: Some(key.tenant.clone()),
            app: Some(tenant.app.id.clone()),
            subject: Some(key.subject.clone()),
            scopes: restriction.map(|restriction| restriction.scopes.clone()),
            resource: restriction.and_then(|restriction| restriction.target.resource().cloned()),
            fingerprint: Some(fingerprint.clone()),
            generation: Some(key.generation),
            detail: match disposition {
                MintDisposition::Kept => None,
                MintDisposition::Test => Some("to test the credentials; revoked at once".to_owned()),
                MintDisposition::Discarded(reason) => Some(reason.to_string()),
            },
            ..cause.event(self.clock.wall(), action)
        };
        let lifetime = TokenLifetime::new(minted.life, minted.asked_at);
        let token = NewToken {
            id: &id,
            key,
            app: &tenant.app.id,
            fingerprint: &fingerprint,
            minted_at: lifetime.began,
            expires_at: lifetime.ends_at(),
            sealed: &sealed,
            discarded,
        };
        let saved = self.store.save_token(&token, &event).await;
        Ok((id, saved))
    }

    /// Marks a row as discarded: nobody may find it, and its token waits to be revoked.
    pub(super) async fn discard(&self, row: &TokenId) -> Result<(), StoreError> {
        self.store.discard_tokens(std::slice::from_ref(row)).await
    }

    /// Forgets a dead token.
    pub(super) async fn forget(&self, token: &Arc<AccessToken>) -> Result<(), StoreError> {
        // The row first: a request that misses it in memory must not find it in the store.
        self.store.delete_tokens(std::slice::from_ref(&token.row)).await?;
        self.cache.remove(token);
        Ok(())
    }

    /// Returns a minted token as it is served.
    pub(super) fn token_of(&self, minted: MintedToken, key: &TokenKey, row: TokenId) -> Arc<AccessToken> {
        let lifetime = TokenLifetime::new(minted.life, minted.asked_at);
        self.access_token(minted.token, lifetime, minted.restricted_to, (key.clone(), row))
    }

    fn access_token(
        &self,
        secret: SecretString,
        lifetime: TokenLifetime,
        restricted_to: Option<Vec<RestrictedObject>>,
        of: (TokenKey, TokenId),
    ) -> Arc<AccessToken> {
        let renewal = self.ttl.renewal_times(lifetime);
        Arc::new(AccessToken::new(secret, lifetime, renewal, restricted_to, of))
    }
}
