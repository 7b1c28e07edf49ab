//! How tokens end before their time: revoked at Box, then erased here.

use std::sync::Arc;

use super::cache::View;
use super::mint::Fate;
use super::sealed_token::SealedToken;
use super::{Broker, TokenError};
use crate::box_api::{Credentials, Minted};
use crate::domain::event::Cause;
use crate::domain::id::TokenId;
use crate::domain::subject::{Restriction, Subject};
use crate::domain::token_key::TokenKey;
use crate::secret::SecretString;
use crate::store::place_of_token;

impl Broker {
    /// Revokes a token at Box and erases its row, in a task of its own. Where Box does not answer
    /// the row stays, so that the token is still known until it expires.
    pub(super) fn retire(
        self: &Arc<Self>,
        credentials: &Arc<Credentials>,
        row: TokenId,
        token: SecretString,
    ) {
        let (broker, credentials) = (Arc::clone(self), Arc::clone(credentials));
        self.tasks.spawn(async move {
            let revoked = broker.upstream.revoke(&credentials, &token).await;
            match revoked {
                Ok(()) => {
                    if let Err(error) = broker.store.forget_tokens(std::slice::from_ref(&row)).await {
                        tracing::warn!(token = %row, %error, "a revoked token's row is left to expire");
                    }
                }
                Err(error) => tracing::warn!(token = %row, %error, "a discarded token could not be revoked"),
            }
        });
    }

    /// Revokes a token that has no row, in a task of its own.
    pub fn revoke_later(self: &Arc<Self>, credentials: &Arc<Credentials>, token: SecretString) {
        let (broker, credentials) = (Arc::clone(self), Arc::clone(credentials));
        self.tasks.spawn(async move {
            if let Err(error) = broker.upstream.revoke(&credentials, &token).await {
                tracing::warn!(%error, "an unused token could not be revoked");
            }
        });
    }

    /// Revokes every live token of a tenant at Box and erases what is revoked. Answers how many are
    /// left, because Box did not answer or their rows cannot be opened.
    ///
    /// # Errors
    /// Where the store does not answer, or the credentials cannot be opened.
    pub async fn revoke_all(&self, view: &View) -> Result<usize, TokenError> {
        let rows = self.store.live_tokens_of(&view.tenant.id, self.clock.wall()).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let credentials = self.credentials(&view.app).await?;
        let mut left = 0;
        for batch in rows.chunks(16) {
            let revocations = batch.iter().map(|row| async {
                let document = self.vault.open(&place_of_token(&row.id), &row.sealed).await.ok()?;
                let token = SealedToken::read(&document)?.secret;
                self.upstream.revoke(&credentials, &token).await.ok()?;
                Some(row.id.clone())
            });
            let revoked: Vec<TokenId> =
                futures::future::join_all(revocations).await.into_iter().flatten().collect();
            left += batch.len() - revoked.len();
            self.store.forget_tokens(&revoked).await?;
        }
        Ok(left)
    }

    /// Mints a token only to see whether Box gives one. [`Broker::write_off`] must be told of it.
    ///
    /// # Errors
    /// As a mint's.
    pub async fn probe(
        &self,
        view: &View,
        subject: &Subject,
    ) -> Result<(Minted, Arc<Credentials>), TokenError> {
        let credentials = self.credentials(&view.app).await?;
        let minted = self.upstream.mint(&credentials, &view.tenant.enterprise_id, subject).await?;
        Ok((minted, credentials))
    }

    /// Writes a token down that was minted only to see whether Box gives one, and has it revoked.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn write_off(
        self: &Arc<Self>,
        view: &View,
        subject: &Subject,
        restriction: Option<Restriction>,
        credentials: &Arc<Credentials>,
        minted: Minted,
        cause: &Cause,
    ) -> Result<(), TokenError> {
        let key = key_of(view, subject, restriction);
        match self.save(view, &key, &minted, cause, Fate::Probe).await {
            Ok((row, _)) => {
                self.retire(credentials, row, minted.token);
                Ok(())
            }
            Err(error) => {
                self.revoke_later(credentials, minted.token);
                Err(error)
            }
        }
    }

    /// Keeps the token by which a registration was tested: the tenant's first.
    ///
    /// # Errors
    /// Where the store does not keep it.
    pub async fn adopt(
        self: &Arc<Self>,
        view: &View,
        minted: Minted,
        cause: &Cause,
    ) -> Result<(), TokenError> {
        let credentials = self.credentials(&view.app).await?;
        let key = key_of(view, &Subject::ENTERPRISE, None);
        self.file(view, &key, &credentials, minted, cause).await.map(drop)
    }
}

fn key_of(view: &View, subject: &Subject, restriction: Option<Restriction>) -> TokenKey {
    TokenKey {
        tenant: view.tenant.id.clone(),
        generation: view.generation(),
        subject: subject.clone(),
        restriction,
    }
}
