//! From credentials to a token that is kept: the slow path.

use std::sync::Arc;

use crate::box_api::{
    AppAuthentication, BoxClient, BoxCredentials, BoxError, ExchangeOutcome, LocalSigner, MintedToken,
};
use crate::broker::cache::lifetime::TokenLifetime;
use crate::broker::cache::token::AccessToken;
use crate::broker::tenant_context::TenantContext;
use crate::broker::token_store::sealed_token::{self, SealedToken};
use crate::broker::upstream::concurrency_limiter::NoPermit;
use crate::broker::upstream::health::concerns_the_tenant;
use crate::broker::{Broker, TokenError, TtlRequirement};
use crate::crypto::sha256_hex;
use crate::domain::app::{App, AppSecrets, AuthMethod};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::id::{AppId, Generation, TokenId};
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;
use crate::store::{NewToken, SaveOutcome, StoreError, credentials_aad, token_aad};

impl Broker {
    /// The token under `key` that the store holds. A row that cannot be used is told to the operator
    /// and passed over: minting anew costs less than refusing.
    pub(in crate::broker) async fn stored(
        &self,
        key: &TokenKey,
    ) -> Result<Option<Arc<AccessToken>>, StoreError> {
        let Some(row) = self.store.live_token(key, self.clock.wall()).await? else { return Ok(None) };
        // What is in memory knows more than its row does: when it ends by the monotonic clock, and
        // when somebody last set out to renew it.
        if let Some(known) = self.memory.token(key).filter(|known| known.row == row.id) {
            return Ok(Some(known));
        }
        let opened = match self.vault.open(&token_aad(&row.id), &row.sealed).await {
            Ok(document) => SealedToken::read(&document),
            Err(error) => {
                tracing::error!(token = %row.id, tenant = %key.tenant, %error, "a stored token cannot be opened");
                return Ok(None);
            }
        };
        let Some(sealed) = opened.filter(|sealed| sealed.serves(key)) else {
            tracing::error!(token = %row.id, tenant = %key.tenant, "a stored token is not what its row says");
            return Ok(None);
        };
        let life = TokenLifetime::restored(sealed.given, sealed.began, self.clock.as_ref());
        let token = self.token_of(sealed.secret, life, sealed.restricted_to, (key.clone(), row.id));
        self.recall_receivers(&token).await;
        Ok(Some(token))
    }

    /// Mints or exchanges, and keeps what comes of it; `revocations` is how many there were when it began.
    pub(in crate::broker) async fn mint(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        key: &TokenKey,
        (need, revocations): (TtlRequirement, u64),
        cause: &AuditContext,
    ) -> Result<Arc<AccessToken>, TokenError> {
        self.can_record().await?;
        let credentials = self.credentials_for(view, key).await?;
        let Some(restriction) = &key.restriction else {
            let (enterprise, subject) = (&view.tenant.enterprise_id, &key.subject);
            let minted = self
                .ask(view, key, async |upstream| upstream.mint(&credentials, enterprise, subject).await)
                .await??;
            self.prove_enterprise(view, key, &credentials, &minted, cause).await?;
            return self.file(view, key, &credentials, (minted, revocations), cause).await;
        };
        let minted = self.exchange(view, key, restriction, &credentials, need, cause).await?;
        self.file(view, key, &credentials, (minted, revocations), cause).await
    }

    /// Exchanges the subject's full token for a restricted one. The full one is renewed first where
    /// it has little life left, and minted anew where Box finds it dead.
    async fn exchange(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        key: &TokenKey,
        restriction: &Restriction,
        credentials: &Arc<BoxCredentials>,
        need: TtlRequirement,
        cause: &AuditContext,
    ) -> Result<MintedToken, TokenError> {
        let promised = need.promised();
        let parent_key = key.parent();
        let began = self.clock.monotonic();
        loop {
            let by = || cause.clone();
            let parent =
                Box::pin(self.obtain(view, &parent_key, TtlRequirement::Last(promised), &by)).await?;
            let exchanged = self
                .ask(view, key, async |upstream| {
                    upstream.downscope(credentials, &parent.secret, restriction).await
                })
                .await?;
            match exchanged {
                // One that was minted since then is dead for a reason that another mint does not mend.
                Err(BoxError::ParentDead { .. })
                    if parent.life.age(self.clock.as_ref()) > self.clock.monotonic().since(began) =>
                {
                    // The row first: whoever misses it in memory must not find it in the store.
                    self.store.delete_tokens(std::slice::from_ref(&parent.row)).await?;
                    self.memory.forget_token(&parent_key, &parent);
                }
                Err(error) => return Err(error.into()),
                Ok(ExchangeOutcome::Restricted(child)) => return Ok(child),
                Ok(ExchangeOutcome::Overreaching(child, overreach)) => {
                    let refusal = overreach.into();
                    self.gate.settle(view, key, Some(&refusal));
                    self.note(key, Some(&refusal));
                    self.end(view, key, credentials, child, cause, MintDisposition::Discarded(&refusal))
                        .await?;
                    return Err(refusal);
                }
            }
        }
    }

    /// On a shared app a user's token is kept for use only after Box showed that the user belongs to
    /// the tenant's enterprise; the assertion itself names none.
    async fn prove_enterprise(
        self: &Arc<Self>,
        view: &TenantContext,
        key: &TokenKey,
        credentials: &Arc<BoxCredentials>,
        minted: &MintedToken,
        cause: &AuditContext,
    ) -> Result<(), TokenError> {
        let Subject::User { id: user } = &key.subject else { return Ok(()) };
        if !view.app.is_shared() || self.memory.is_member(key, user) {
            return Ok(());
        }
        let refusal = match self.upstream.enterprise_of(&minted.token).await {
            Ok(Some(enterprise)) if enterprise == view.tenant.enterprise_id => {
                self.memory.keep_member(key, user);
                return Ok(());
            }
            Ok(_) => TokenError::ForeignUser,
            Err(error) => error.into(),
        };
        self.gate.settle(view, key, Some(&refusal));
        self.end(view, key, credentials, minted.clone(), cause, MintDisposition::Discarded(&refusal)).await?;
        Err(refusal)
    }

    /// Keeps a minted token, in the store before anywhere else; `revocations` is how many there were
    /// when its mint began.
    pub(in crate::broker) async fn file(
        self: &Arc<Self>,
        view: &TenantContext,
        key: &TokenKey,
        credentials: &Arc<BoxCredentials>,
        (minted, revocations): (MintedToken, u64),
        cause: &AuditContext,
    ) -> Result<Arc<AccessToken>, TokenError> {
        if self.memory.was_revoked_after(view, key, revocations) {
            let fate = MintDisposition::Discarded(&TokenError::Superseded);
            self.end(view, key, credentials, minted, cause, fate).await?;
            return Err(TokenError::Superseded);
        }
        let saved = self.save(view, key, &minted, cause, MintDisposition::Kept).await;
        let (row, filed) = match saved {
            Ok(saved) => saved,
            Err(error) => {
                // It is in nobody's hands and on no list: as good as never minted once it is dead.
                self.revoke_later(credentials, minted.token);
                return Err(error);
            }
        };
        if filed == SaveOutcome::Fenced {
            self.retire(credentials, row, minted.token);
            return Err(TokenError::Superseded);
        }
        let life = TokenLifetime::new(minted.life, minted.asked_at);
        let secret = minted.token.clone();
        let token = self.token_of(minted.token, life, minted.restricted_to, (key.clone(), row.clone()));
        // Whoever revoked the subject's tokens in this moment may have looked for them before this one
        // was there to be found. The row first: nobody may find it now.
        if !self.keep_unless_revoked(view, key, &token, revocations) {
            let discarded = self.store.discard_tokens(std::slice::from_ref(&row)).await;
            self.retire(credentials, row, secret);
            discarded?;
            return Err(TokenError::Superseded);
        }
        Ok(token)
    }

    /// Writes a minted token and its event down, in one transaction.
    pub(in crate::broker) async fn save(
        &self,
        view: &TenantContext,
        key: &TokenKey,
        minted: &MintedToken,
        cause: &AuditContext,
        fate: MintDisposition<'_>,
    ) -> Result<(TokenId, SaveOutcome), TokenError> {
        let id = TokenId::generate(self.entropy.as_ref());
        let discarded = !matches!(fate, MintDisposition::Kept);
        let document = sealed_token::document(key, minted, discarded);
        let sealed = self
            .vault
            .seal(&token_aad(&id), &document)
            .await
            .map_err(|error| TokenError::Sealed { what: "a fresh token", error })?;
        let fingerprint = sha256_hex(minted.token.expose().as_bytes());
        let action = match (&fate, &key.restriction) {
            (MintDisposition::Discarded(_), _) => AuditAction::TokenDiscard,
            (_, None) => AuditAction::TokenMint,
            (_, Some(_)) => AuditAction::TokenDownscope,
        };
        let restriction = key.restriction.as_ref();
        let event = AuditEvent {
            tenant: Some(key.tenant.clone()),
            app: Some(view.app.id.clone()),
            subject: Some(key.subject.clone()),
            scopes: restriction.map(|restriction| restriction.scopes.clone()),
            resource: restriction.and_then(|restriction| restriction.target.resource().cloned()),
            fingerprint: Some(fingerprint.clone()),
            generation: Some(key.generation),
            detail: match fate {
                MintDisposition::Kept => None,
                MintDisposition::Probe => Some("to test the credentials; revoked at once".to_owned()),
                MintDisposition::Discarded(reason) => Some(reason.to_string()),
            },
            ..cause.event(self.clock.wall(), action)
        };
        let life = TokenLifetime::new(minted.life, minted.asked_at);
        let token = NewToken {
            id: &id,
            key,
            app: &view.app.id,
            fingerprint: &fingerprint,
            minted_at: life.began,
            expires_at: life.ends_at(),
            sealed: &sealed,
            discarded,
        };
        let saved = self.store.save_token(&token, &event).await;
        self.note_recording(saved.as_ref().err().cloned());
        Ok((id, saved?))
    }

    /// The app's credentials, opened and parsed once per generation.
    ///
    /// # Errors
    /// Where they cannot be read, opened or used.
    pub async fn credentials(&self, app: &App) -> Result<Arc<BoxCredentials>, TokenError> {
        let slot = self.memory.credentials(&app.id, app.generation);
        let opened =
            slot.opened.get_or_try_init(async || credentials_of(app, self.secrets(app).await?).map(Arc::new));
        opened.await.cloned()
    }

    /// The app's secrets themselves.
    ///
    /// # Errors
    /// Where they cannot be read or opened.
    pub async fn secrets(&self, app: &App) -> Result<AppSecrets, TokenError> {
        let (generation, secrets) = self.secrets_until(&app.id, app.generation).await?;
        // Earlier ones are no substitute: somebody took the current ones away.
        if generation == app.generation { Ok(secrets) } else { Err(no_credentials(&app.id)) }
    }

    /// The secrets that tokens of `generation` were minted with, and since when they were in use.
    async fn secrets_until(
        &self,
        app: &AppId,
        generation: Generation,
    ) -> Result<(Generation, AppSecrets), TokenError> {
        let stored = self.store.credentials(app, generation).await?.ok_or_else(|| no_credentials(app))?;
        let place = credentials_aad(app, stored.generation);
        let document = self
            .vault
            .open(&place, &stored.sealed)
            .await
            .map_err(|error| TokenError::Sealed { what: "the app's credentials", error })?;
        let secrets = AppSecrets::from_document(&document).map_err(|_| no_credentials(app))?;
        Ok((stored.generation, secrets))
    }

    /// What can revoke the tokens of `generation`.
    pub(in crate::broker) async fn revoker(
        &self,
        app: &App,
        generation: Generation,
    ) -> Result<Arc<BoxCredentials>, TokenError> {
        if generation >= app.generation {
            return self.credentials(app).await;
        }
        let secrets = match self.secrets_until(&app.id, generation).await {
            // A secret that was reset at Box revokes nothing any more; the new one does.
            Ok((_, secrets)) if secrets.client_id == app.client_id => return self.credentials(app).await,
            Ok((_, secrets)) => secrets,
            Err(error @ TokenError::Store(StoreError::Unavailable(_))) => return Err(error),
            // Most likely it is the same app at Box, and the credentials of now do.
            Err(error) => {
                tracing::warn!(app = %app.id, %error, "old credentials are gone, new ones revoke for them");
                return self.credentials(app).await;
            }
        };
        let AppSecrets { client_id, client_secret, .. } = secrets;
        Ok(Arc::new(BoxCredentials { client_id, client_secret, proof: AppAuthentication::Ccg }))
    }

    /// Asks Box, where it may be asked now and when it is this tenant's turn.
    pub(in crate::broker) async fn ask<T>(
        &self,
        view: &TenantContext,
        key: &TokenKey,
        question: impl AsyncFnOnce(&BoxClient) -> Result<T, BoxError>,
    ) -> Result<Result<T, BoxError>, TokenError> {
        let noted = |error: &TokenError| self.note(key, Some(error));
        self.gate.check(view, key).inspect_err(noted)?;
        let _turn = self.turns.take(view).await.map_err(|NoPermit| TokenError::Overloaded)?;
        // While one waits for a turn, those who had theirs may have found that a line is down.
        let is_probe = self.gate.admit(view, key).inspect_err(noted)?;
        let answer = match is_probe {
            true => question(&self.upstream.for_probes()).await,
            false => question(&self.upstream).await,
        };
        Ok(self.settle(view, key, answer))
    }

    /// Takes note of Box's answer, for the next who ask and for the tenant's health.
    pub(in crate::broker) fn settle<T>(
        &self,
        view: &TenantContext,
        key: &TokenKey,
        answer: Result<T, BoxError>,
    ) -> Result<T, BoxError> {
        let failed = answer.as_ref().err().map(|error| TokenError::from(error.clone()));
        self.gate.settle(view, key, failed.as_ref());
        self.note(key, failed.as_ref());
        answer
    }

    fn note(&self, key: &TokenKey, failed: Option<&TokenError>) {
        match failed {
            None => self.healths.note_success(&key.tenant),
            Some(error) if concerns_the_tenant(&self.gate, key, error) => {
                self.healths.note_failure(&key.tenant, error);
            }
            Some(_) => {}
        }
    }

    /// The app's credentials, for a token under `key`.
    pub(in crate::broker) async fn credentials_for(
        &self,
        view: &TenantContext,
        key: &TokenKey,
    ) -> Result<Arc<BoxCredentials>, TokenError> {
        self.credentials(&view.app).await.inspect_err(|error| self.note(key, Some(error)))
    }

    fn token_of(
        &self,
        secret: crate::secret::SecretString,
        life: TokenLifetime,
        restricted_to: Option<Vec<crate::box_api::RestrictedObject>>,
        of: (TokenKey, TokenId),
    ) -> Arc<AccessToken> {
        let mut jitter = [0];
        self.entropy.fill(&mut jitter);
        let margin = life.margin(self.settings.refresh_margin, self.settings.min_ttl);
        let renewal = life.renewal(margin, jitter[0]);
        Arc::new(AccessToken::new(secret, life, (margin, renewal), restricted_to, of))
    }
}

fn no_credentials(app: &AppId) -> TokenError {
    TokenError::Store(StoreError::Tampered { table: "credentials", id: app.as_str().to_owned() })
}

/// What becomes of a minted token.
pub(in crate::broker) enum MintDisposition<'a> {
    /// It is served.
    Kept,
    /// It only shows whether minting works.
    Probe,
    /// It must not be served.
    Discarded(&'a TokenError),
}

/// What Box is shown, from what was sealed.
///
/// # Errors
/// Where the private key is missing or not one.
pub fn credentials_of(app: &App, secrets: AppSecrets) -> Result<BoxCredentials, TokenError> {
    let proof = match app.auth {
        AuthMethod::Ccg => AppAuthentication::Ccg,
        AuthMethod::Jwt => {
            let (Some(info), Some(key)) = (&app.key, &secrets.private_key) else {
                return Err(TokenError::Corrupt("the app's stored credentials hold no private key"));
            };
            let signer = LocalSigner::from_pkcs8(key)
                .map_err(|_| TokenError::Corrupt("the app's stored private key cannot sign"))?;
            AppAuthentication::Jwt { public_key_id: info.public_key_id.clone(), signer: Arc::new(signer) }
        }
    };
    Ok(BoxCredentials { client_id: secrets.client_id, client_secret: secrets.client_secret, proof })
}
