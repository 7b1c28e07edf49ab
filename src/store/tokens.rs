//! What is asked of the store about tokens.

use jiff::Timestamp;

use crate::crypto::AadContext;
use crate::domain::id::{AppId, Generation, TenantId, TokenId};
use crate::domain::recipient::Recipient;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// A token to be kept, sealed at [`token_aad`].
#[derive(Clone, Copy, Debug)]
pub struct NewToken<'a> {
    /// The row's id.
    pub id: &'a TokenId,
    /// What it was minted for.
    pub key: &'a TokenKey,
    /// The app it came through.
    pub app: &'a AppId,
    /// SHA-256 of the token, in lower-case hex.
    pub fingerprint: &'a str,
    /// When it was minted.
    pub minted_at: Timestamp,
    /// When Box lets it die.
    pub expires_at: Timestamp,
    /// The sealed document.
    pub sealed: &'a [u8],
    /// True where it must never be found again, only revoked.
    pub discarded: bool,
}

/// That a token was given to somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRecipient {
    /// The token's row.
    pub token: TokenId,
    /// When Box lets the token die.
    pub expires_at: Timestamp,
    /// To whom.
    pub recipient: Recipient,
}

/// Which of a tenant's tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSelector {
    /// All of them.
    All,
    /// A subject's, full and restricted ones.
    Subject(Subject),
    /// The one whose SHA-256 this is, in lower-case hex.
    Fingerprint(String),
}

/// Among which tokens one looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFilter {
    /// All of them.
    All,
    /// A tenant's.
    Tenant(TenantId),
    /// Those that came through an app.
    App(AppId),
    /// Those that wait to be revoked.
    Discarded,
}

/// Behind what a stretch of tokens begins, in the order of their ends: a moment, in milliseconds of
/// Unix time, and a row's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenCursor(pub(in crate::store) i64, pub(in crate::store) String);

impl TokenCursor {
    /// Behind all that end at `moment` or before it.
    #[must_use]
    pub fn after(moment: Timestamp) -> Self {
        // Sorts behind every id.
        Self(moment.as_millisecond(), "~".to_owned())
    }
}

/// A token as it was kept. Nothing in it is trusted but what the sealed document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredToken {
    /// The row's id.
    pub id: TokenId,
    /// Whose it is.
    pub tenant: TenantId,
    /// The app it came through.
    pub app: AppId,
    /// Under which state of the credentials.
    pub generation: Generation,
    /// Whom it acts for: `enterprise`, or `user:` and an id.
    pub subject: String,
    /// When it was minted.
    pub minted_at: Timestamp,
    /// When Box lets it die.
    pub expires_at: Timestamp,
    /// True where it waits to be revoked.
    pub discarded: bool,
    /// The sealed document, to be opened at [`token_aad`].
    pub sealed: Vec<u8>,
}

/// Under what a minted token was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaveOutcome {
    /// It may leave.
    Current,
    /// Tenant or app changed since the mint began: it must not leave, and be revoked.
    Fenced,
}

/// Where a token is sealed.
#[must_use]
pub fn token_aad(token: &TokenId) -> AadContext<'_> {
    AadContext { table: "tokens", row: token.as_str(), column: "sealed", version: 1 }
}
