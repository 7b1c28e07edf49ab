//! From credentials to a token that is kept: the slow path.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::SemaphorePermit;

use super::cache::{Token, View};
use super::life::Life;
use super::sealed_token::{self, SealedToken};
use super::{Broker, Need, TokenError, promised};
use crate::box_api::{BoxError, Credentials, LocalSigner, Minted, Proof};
use crate::crypto::sha256_hex;
use crate::domain::app::{App, AppSecrets, AuthMethod};
use crate::domain::event::{Action, Cause, Event};
use crate::domain::id::TokenId;
use crate::domain::subject::{Restriction, Subject};
use crate::domain::token_key::TokenKey;
use crate::store::{Filed, NewToken, StoreError, place_of_credentials, place_of_token};

/// How long a mint waits for its turn: with a try at Box it stays within what a request may take.
const PATIENCE: Duration = Duration::from_secs(4);

impl Broker {
    /// The token under `key` that the store holds. A row that cannot be used is told to the operator
    /// and passed over: minting anew costs less than refusing.
    pub(super) async fn stored(&self, key: &TokenKey) -> Result<Option<Arc<Token>>, StoreError> {
        let Some(row) = self.store.live_token(key, self.clock.wall()).await? else { return Ok(None) };
        // What is in memory knows more than its row does: when it ends by the monotonic clock, and
        // when somebody last set out to renew it.
        if let Some(known) = self.memory.token(key).filter(|known| known.row == row.id) {
            return Ok(Some(known));
        }
        let opened = match self.vault.open(&place_of_token(&row.id), &row.sealed).await {
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
        let life = Life::restored(sealed.given, sealed.began, self.clock.as_ref());
        Ok(Some(self.token_of(sealed.secret, life, sealed.restricted_to, row.id)))
    }

    /// Mints or exchanges, and keeps what comes of it.
    pub(super) async fn mint(
        self: &Arc<Self>,
        view: &Arc<View>,
        key: &TokenKey,
        need: Need,
        cause: &Cause,
    ) -> Result<Arc<Token>, TokenError> {
        let credentials = self.credentials(&view.app).await?;
        let Some(restriction) = &key.restriction else {
            let minted = {
                let _turn = self.turn().await?;
                self.upstream.mint(&credentials, &view.tenant.enterprise_id, &key.subject).await?
            };
            self.prove_enterprise(view, key, &credentials, &minted, cause).await?;
            return self.file(view, key, &credentials, minted, cause).await;
        };
        let minted = self.exchange(view, key, restriction, &credentials, need, cause).await?;
        self.file(view, key, &credentials, minted, cause).await
    }

    /// Exchanges the subject's full token for a restricted one. The full one is renewed first where
    /// it has little life left, and minted anew where Box finds it dead.
    async fn exchange(
        self: &Arc<Self>,
        view: &Arc<View>,
        key: &TokenKey,
        restriction: &Restriction,
        credentials: &Credentials,
        need: Need,
        cause: &Cause,
    ) -> Result<Minted, TokenError> {
        let promised = promised(need);
        let parent_key = key.parent();
        let began = self.clock.monotonic();
        loop {
            let cause = || cause.clone();
            let parent = Box::pin(self.obtain(view, &parent_key, Need::Last(promised), &cause)).await?;
            let exchanged = {
                let _turn = self.turn().await?;
                self.upstream.downscope(credentials, &parent.secret, restriction).await
            };
            match exchanged {
                // One that was minted since then is dead for a reason that another mint does not mend.
                Err(BoxError::ParentDead { .. })
                    if parent.life.age(self.clock.as_ref()) > self.clock.monotonic().since(began) =>
                {
                    // The row first: whoever misses it in memory must not find it in the store.
                    self.store.forget_tokens(std::slice::from_ref(&parent.row)).await?;
                    self.memory.forget_token(&parent_key, &parent);
                }
                exchanged => return Ok(exchanged?),
            }
        }
    }

    /// On a shared app a user's token is kept for use only after Box showed that the user belongs to
    /// the tenant's enterprise; the assertion itself names none.
    async fn prove_enterprise(
        self: &Arc<Self>,
        view: &View,
        key: &TokenKey,
        credentials: &Arc<Credentials>,
        minted: &Minted,
        cause: &Cause,
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
        let row = self.save(view, key, minted, cause, Fate::Discarded(&refusal)).await?.0;
        self.retire(credentials, row, minted.token.clone());
        Err(refusal)
    }

    /// Keeps a minted token, in the store before anywhere else.
    pub(super) async fn file(
        self: &Arc<Self>,
        view: &View,
        key: &TokenKey,
        credentials: &Arc<Credentials>,
        minted: Minted,
        cause: &Cause,
    ) -> Result<Arc<Token>, TokenError> {
        let saved = self.save(view, key, &minted, cause, Fate::Kept).await;
        let (row, filed) = match saved {
            Ok(saved) => saved,
            Err(error) => {
                // It is in nobody's hands and on no list: as good as never minted once it is dead.
                self.revoke_later(credentials, minted.token);
                return Err(error);
            }
        };
        if filed == Filed::Fenced {
            self.retire(credentials, row, minted.token);
            return Err(TokenError::Superseded);
        }
        let life = Life::new(minted.life, minted.asked_at);
        let token = self.token_of(minted.token, life, minted.restricted_to, row);
        self.memory.keep_token(key, &token, self.clock.as_ref());
        Ok(token)
    }

    /// Writes a minted token and its event down, in one transaction.
    pub(super) async fn save(
        &self,
        view: &View,
        key: &TokenKey,
        minted: &Minted,
        cause: &Cause,
        fate: Fate<'_>,
    ) -> Result<(TokenId, Filed), TokenError> {
        let id = TokenId::generate(self.entropy.as_ref());
        let discarded = !matches!(fate, Fate::Kept);
        let document = sealed_token::document(key, minted, discarded);
        let sealed = self
            .vault
            .seal(&place_of_token(&id), &document)
            .await
            .map_err(|error| TokenError::Sealed { what: "a fresh token", error })?;
        let fingerprint = sha256_hex(minted.token.expose().as_bytes());
        let action = match (&fate, &key.restriction) {
            (Fate::Discarded(_), _) => Action::TokenDiscard,
            (_, None) => Action::TokenMint,
            (_, Some(_)) => Action::TokenDownscope,
        };
        let restriction = key.restriction.as_ref();
        let event = Event {
            tenant: Some(key.tenant.clone()),
            app: Some(view.app.id.clone()),
            subject: Some(key.subject.clone()),
            scopes: restriction.map(|restriction| restriction.scopes.clone()),
            resource: restriction.and_then(|restriction| restriction.target.resource().cloned()),
            fingerprint: Some(fingerprint.clone()),
            generation: Some(key.generation),
            detail: match fate {
                Fate::Kept => None,
                Fate::Probe => Some("to test the credentials; revoked at once".to_owned()),
                Fate::Discarded(reason) => Some(reason.to_string()),
            },
            ..cause.event(self.clock.wall(), action)
        };
        let life = Life::new(minted.life, minted.asked_at);
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
        let filed = self.store.save_token(&token, &event).await?;
        Ok((id, filed))
    }

    /// The app's credentials, opened and parsed once per generation.
    ///
    /// # Errors
    /// Where they cannot be read, opened or used.
    pub async fn credentials(&self, app: &App) -> Result<Arc<Credentials>, TokenError> {
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
        let refused = || StoreError::Refused { table: "credentials", id: app.id.as_str().to_owned() };
        let sealed = self.store.credentials(&app.id, app.generation).await?.ok_or_else(refused)?;
        let place = place_of_credentials(&app.id, app.generation);
        let document = self
            .vault
            .open(&place, &sealed)
            .await
            .map_err(|error| TokenError::Sealed { what: "the app's credentials", error })?;
        AppSecrets::from_document(&document).map_err(|_| TokenError::Store(refused()))
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>, TokenError> {
        let turn = tokio::time::timeout(PATIENCE, self.slots.acquire()).await;
        turn.ok().and_then(Result::ok).ok_or(TokenError::Overloaded)
    }

    fn token_of(
        &self,
        secret: crate::secret::SecretString,
        life: Life,
        restricted_to: Option<Vec<crate::box_api::RestrictedObject>>,
        row: TokenId,
    ) -> Arc<Token> {
        let mut jitter = [0];
        self.entropy.fill(&mut jitter);
        let margin = life.margin(self.settings.refresh_margin, jitter[0]);
        Arc::new(Token::new(secret, life, margin, restricted_to, row))
    }
}

/// What becomes of a minted token.
pub(super) enum Fate<'a> {
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
pub fn credentials_of(app: &App, secrets: AppSecrets) -> Result<Credentials, TokenError> {
    let proof = match app.auth {
        AuthMethod::Ccg => Proof::Ccg,
        AuthMethod::Jwt => {
            let (Some(info), Some(key)) = (&app.key, &secrets.private_key) else {
                return Err(TokenError::Corrupt("the app's stored credentials hold no private key"));
            };
            let signer = LocalSigner::from_pkcs8(key)
                .map_err(|_| TokenError::Corrupt("the app's stored private key cannot sign"))?;
            Proof::Jwt { public_key_id: info.public_key_id.clone(), signer: Arc::new(signer) }
        }
    };
    Ok(Credentials { client_id: app.client_id.clone(), client_secret: secrets.client_secret, proof })
}
