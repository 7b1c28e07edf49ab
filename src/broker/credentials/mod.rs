//! The credentials of apps, opened and parsed at most once per generation.
//!
//! [`CredentialCache`] owns what it opened. It mints nothing, and hands secrets only to the modules that send
//! them to Box or check signatures with them.

mod webhook_keys;

use std::sync::Arc;

use tokio::sync::OnceCell;

pub(super) use self::webhook_keys::WebhookKeys;

use super::TokenError;
use super::cache::BoundedCache;
use crate::box_api::{AppAuthentication, BoxCredentials, LocalSigner};
use crate::crypto::Vault;
use crate::domain::app::{App, AppSecrets, AuthMethod};
use crate::domain::id::{AppId, Generation};
use crate::store::{Store, StoreError, credentials_aad};

/// The most apps whose credentials are in memory.
const MAX_APPS: u64 = 10_000;

/// The credentials of one app and one generation, each opened when they are first needed.
#[derive(Debug)]
struct CredentialSlot {
    generation: Generation,
    credentials: OnceCell<Arc<BoxCredentials>>,
    webhook_keys: OnceCell<Arc<WebhookKeys>>,
}

impl CredentialSlot {
    fn empty(generation: Generation) -> Arc<Self> {
        Arc::new(Self { generation, credentials: OnceCell::new(), webhook_keys: OnceCell::new() })
    }
}

/// The credentials of apps.
#[derive(Debug)]
pub struct CredentialCache {
    store: Arc<dyn Store>,
    vault: Arc<Vault>,
    slots: BoundedCache<AppId, Arc<CredentialSlot>>,
}

impl CredentialCache {
    /// Returns a cache with nothing opened yet.
    pub(super) fn new(store: Arc<dyn Store>, vault: Arc<Vault>) -> Self {
        Self { store, vault, slots: BoundedCache::new(MAX_APPS) }
    }

    /// Returns the app's credentials.
    ///
    /// # Errors
    /// If they cannot be read, opened or parsed.
    pub async fn of_app(&self, app: &App) -> Result<Arc<BoxCredentials>, TokenError> {
        let slot = self.slot(&app.id, app.generation);
        let opened = slot
            .credentials
            .get_or_try_init(async || box_credentials(app, self.secrets(app).await?).map(Arc::new));
        opened.await.cloned()
    }

    /// Returns the app's secrets themselves.
    ///
    /// # Errors
    /// If they cannot be read or opened.
    pub async fn secrets(&self, app: &App) -> Result<AppSecrets, TokenError> {
        let (generation, secrets) = self.secrets_until(&app.id, app.generation).await?;
        // Earlier ones are no substitute: somebody took the current ones away.
        if generation == app.generation { Ok(secrets) } else { Err(no_credentials(&app.id)) }
    }

    /// Returns the keys with which the app's webhooks are signed.
    pub(super) async fn webhook_keys(&self, app: &App) -> Result<Arc<WebhookKeys>, TokenError> {
        let slot = self.slot(&app.id, app.generation);
        let opened = slot
            .webhook_keys
            .get_or_try_init(async || self.secrets(app).await.map(|secrets| Arc::new(secrets.into())));
        opened.await.cloned()
    }

    /// Returns credentials that can revoke tokens of `generation`.
    pub(super) async fn for_revocation(
        &self,
        app: &App,
        generation: Generation,
    ) -> Result<Arc<BoxCredentials>, TokenError> {
        if generation >= app.generation {
            return self.of_app(app).await;
        }
        let secrets = match self.secrets_until(&app.id, generation).await {
            // A secret that was reset at Box revokes nothing any more; the new one does.
            Ok((_, secrets)) if secrets.client_id == app.client_id => return self.of_app(app).await,
            Ok((_, secrets)) => secrets,
            Err(error @ TokenError::Store(StoreError::Unavailable(_))) => return Err(error),
            // Most likely it is the same app at Box, and the current credentials do.
            Err(error) => {
                tracing::warn!(app = %app.id, %error, "old credentials are gone, new ones revoke for them");
                return self.of_app(app).await;
            }
        };
        let AppSecrets { client_id, client_secret, .. } = secrets;
        Ok(Arc::new(BoxCredentials { client_id, client_secret, proof: AppAuthentication::Ccg }))
    }

    /// Drops an app's credentials.
    pub(super) fn forget(&self, app: &AppId) {
        self.slots.remove(app);
    }

    /// Returns the secrets that were in use in `generation`, and the generation that began with them.
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

    /// Returns the slot of an app's credentials of `generation`, and drops those of an older one.
    fn slot(&self, app: &AppId, generation: Generation) -> Arc<CredentialSlot> {
        let slot = self.slots.get_or_insert_with(app, || CredentialSlot::empty(generation));
        if slot.generation == generation {
            return slot;
        }
        // A reader that still sees an older generation must not push the newer one out.
        let is_newer = slot.generation < generation;
        let slot = CredentialSlot::empty(generation);
        if is_newer {
            self.slots.insert(app.clone(), Arc::clone(&slot));
        }
        slot
    }
}

fn no_credentials(app: &AppId) -> TokenError {
    TokenError::Store(StoreError::Tampered { table: "credentials", id: app.as_str().to_owned() })
}

/// Returns the credentials that authenticate an app to Box, from its secrets.
///
/// # Errors
/// If the private key is missing or invalid.
pub fn box_credentials(app: &App, secrets: AppSecrets) -> Result<BoxCredentials, TokenError> {
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
