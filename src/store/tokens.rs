//! Minted tokens and who received them: how the broker saves, finds and discards them. Tokens come here
//! sealed and leave sealed.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, Result};
use crate::crypto::AadContext;
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, Generation, TenantId, TokenId};
use crate::domain::recipient::Recipient;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// A token to be saved, sealed for [`token_aad`].
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// The id of its row.
    pub id: &'a TokenId,
    /// The key that it was minted for.
    pub key: &'a TokenKey,
    /// The app that it was minted through.
    pub app: &'a AppId,
    /// SHA-256 of the token, in lower-case hex.
    pub fingerprint: &'a str,
    /// When it was minted.
    pub minted_at: Timestamp,
    /// When it expires at Box.
    pub expires_at: Timestamp,
    /// The sealed document.
    pub sealed: &'a [u8],
    /// True if the token must never be found again, only revoked.
    pub discarded: bool,
}

/// A token as it is stored. Nothing in it is trusted except the content of the sealed document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// The id of its row.
    pub id: TokenId,
    /// The tenant.
    pub tenant: TenantId,
    /// The app that it was minted through.
    pub app: AppId,
    /// The generation of the credentials that it was minted with.
    pub generation: Generation,
    /// The subject that it acts as: `enterprise`, or `user:` and an id.
    pub subject: String,
    /// When it was minted.
    pub minted_at: Timestamp,
    /// When it expires at Box.
    pub expires_at: Timestamp,
    /// True if it waits to be revoked.
    pub discarded: bool,
    /// The sealed document, to be opened with [`token_aad`].
    pub sealed: Vec<u8>,
}

/// A recipient of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecipient {
    /// The row of the token.
    pub token: TokenId,
    /// When the token expires at Box.
    pub expires_at: Timestamp,
    /// The recipient.
    pub recipient: Recipient,
}

/// A selection of one tenant's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSelector {
    /// All tokens.
    All,
    /// The tokens of a subject, full and restricted ones.
    Subject(Subject),
    /// The token with this SHA-256, in lower-case hex.
    Fingerprint(String),
}

/// The tokens that a list contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFilter {
    /// All tokens.
    All,
    /// The tokens of a tenant.
    Tenant(TenantId),
    /// The tokens that were minted through an app.
    App(AppId),
    /// The tokens that wait to be revoked.
    Discarded,
}

/// A position in the list of tokens, which is in the order of their expiry: a time in milliseconds of Unix
/// time, and the id of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCursor {
    pub(super) expires_at: i64,
    pub(super) id: String,
}

impl TokenCursor {
    /// Returns the position behind all tokens that expire at `moment` or earlier.
    #[must_use]
    pub fn after(moment: Timestamp) -> Self {
        // "~" sorts behind every id.
        Self { expires_at: moment.as_millisecond(), id: "~".to_owned() }
    }
}

/// The status under which a minted token was saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// The token is current and may be released.
    Current,
    /// Tenant or app changed since the mint began: the token must not be released, and must be revoked.
    Fenced,
}

/// Returns the context that a token is sealed for.
#[must_use]
pub fn token_aad(token: &TokenId) -> AadContext<'_> {
    AadContext { table: "tokens", row: token.as_str(), column: "sealed", version: 1 }
}

/// The minted tokens in the database.
#[async_trait]
pub trait TokenStore {
    /// Saves a minted token and its event. Within the same transaction the token is compared with the
    /// current tenant and app: it is [`SaveOutcome::Current`] only if both are active and at the token's
    /// generation. Otherwise it is saved as discarded, so that it can still be revoked but is never returned
    /// by [`TokenStore::live_token`], and its event becomes `token.discard`.
    async fn save_token(&self, token: &NewToken<'_>, event: &AuditEvent) -> Result<SaveOutcome>;
    /// Returns the token under this key that expires last, after `now`, and is not discarded.
    async fn live_token(&self, key: &TokenKey, now: Timestamp) -> Result<Option<StoredToken>>;
    /// Returns the token with this SHA-256, in lower-case hex, if it expires after `now` and is not
    /// discarded.
    async fn live_token_by_fingerprint(
        &self,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<Option<StoredToken>>;
    /// Returns the selected tokens of a tenant that expire after `now`, including superseded and discarded
    /// ones.
    async fn live_tokens_of_tenant(
        &self,
        tenant: &TenantId,
        selector: &TokenSelector,
        now: Timestamp,
    ) -> Result<Vec<StoredToken>>;
    /// Lists tokens in the order of their expiry.
    async fn live_tokens(
        &self,
        filter: &TokenFilter,
        page: &PageRequest<TokenCursor>,
    ) -> Result<Page<StoredToken, TokenCursor>>;
    /// Marks tokens as discarded, so that [`TokenStore::live_token`] never returns them again and they only
    /// wait to be revoked. Tokens that no longer exist are skipped.
    async fn discard_tokens(&self, tokens: &[TokenId]) -> Result<()>;
    /// Erases tokens, after they were revoked.
    async fn delete_tokens(&self, tokens: &[TokenId]) -> Result<()>;
    /// Saves who received tokens, until the tokens expire.
    async fn save_recipients(&self, recipients: &[TokenRecipient]) -> Result<()>;
    /// Returns the recipients of a token. A row that fails verification is left out and logged.
    async fn recipients(&self, token: &TokenId) -> Result<Vec<Recipient>>;
}
