//! Full tokens that somebody presents to have them exchanged.

use std::sync::Arc;
use std::time::Duration;

use super::{Broker, TokenError};
use crate::broker::cache::lifetime::TokenLifetime;
use crate::broker::cache::token::AccessToken;
use crate::broker::tenant_context::TenantContext;
use crate::broker::token_store::sealed_token::SealedToken;
use crate::clock::Clock;
use crate::crypto::sha256_hex;
use crate::domain::id::TokenId;
use crate::domain::recipient::Recipient;
use crate::domain::token_key::TokenKey;
use crate::secret::SecretString;
use crate::store::{StoredToken, TenantRef};

/// A live full token of this broker's that somebody presents.
#[derive(Debug)]
pub struct SubjectToken {
    /// What it was minted for.
    pub key: TokenKey,
    /// Its row in the store.
    pub row: TokenId,
    life: TokenLifetime,
    /// What is in memory of it.
    kept: Option<Arc<AccessToken>>,
}

impl SubjectToken {
    /// How long it still lives.
    #[must_use]
    pub fn left(&self, clock: &dyn Clock) -> Duration {
        self.life.left(clock)
    }

    /// To whom this process gave it, as far as it is in memory.
    #[must_use]
    pub fn receivers(&self) -> Vec<Recipient> {
        self.kept.as_ref().map(|token| token.receivers.all()).unwrap_or_default()
    }
}

impl Broker {
    /// The live full token that this is, where it is in memory.
    #[must_use]
    pub fn presented_in_memory(&self, token: &SecretString) -> Option<SubjectToken> {
        let kept = self.memory.full_token_with(&sha256_hex(token.expose().as_bytes()))?;
        let lives = kept.secret == *token && !kept.life.left(self.clock.as_ref()).is_zero();
        lives.then(|| SubjectToken {
            key: kept.key.clone(),
            row: kept.row.clone(),
            life: kept.life,
            kept: Some(kept),
        })
    }

    /// The live full token that this is, where the store has it.
    ///
    /// # Errors
    /// Where the store does not answer, or where what it has cannot be opened.
    pub async fn presented(&self, token: &SecretString) -> Result<Option<SubjectToken>, TokenError> {
        let fingerprint = sha256_hex(token.expose().as_bytes());
        let Some(row) = self.store.live_token_by_fingerprint(&fingerprint, self.clock.wall()).await? else {
            return Ok(None);
        };
        let sealed = self.opened(&row).await?;
        Ok(self.full(row, &sealed, token))
    }

    fn full(&self, row: StoredToken, sealed: &SealedToken, token: &SecretString) -> Option<SubjectToken> {
        let key = sealed.key()?;
        let is_it = sealed.secret == *token && sealed.serves(&key) && key.restriction.is_none();
        let life = TokenLifetime::restored(sealed.given, sealed.began, self.clock.as_ref());
        let lives = is_it && !life.left(self.clock.as_ref()).is_zero();
        lives.then_some(SubjectToken { key, row: row.id, life, kept: None })
    }

    /// To whom a token was given by what is written down, and by what is about to be.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn receivers_of(&self, token: &SubjectToken) -> Result<Vec<Recipient>, TokenError> {
        // First what waits: it may be written down meanwhile.
        let mut all = self.givings.of(&token.row);
        for receiver in self.store.recipients(&token.row).await? {
            if !all.contains(&receiver) {
                all.push(receiver);
            }
        }
        Ok(all)
    }

    /// The tenant of a token, as it stands.
    ///
    /// # Errors
    /// As those of [`Broker::view`].
    pub async fn view_of(&self, key: &TokenKey) -> Result<Option<Arc<TenantContext>>, TokenError> {
        Ok(self.view(&TenantRef::Id(key.tenant.clone())).await?)
    }
}
