//! An app as it would be stored: made from an admin's input, compared with the stored one, sealed.

use super::credential_input::ParsedCredentials;
use super::deps::Deps;
use super::error::RegistryError;
use crate::broker::TokenError;
use crate::domain::app::{App, AppOwner, AppSecrets, AppState, SigningKeyInfo};
use crate::domain::id::{AppId, Generation};
use crate::domain::signing_key::SigningKey;
use crate::store::{StoreError, credentials_aad};

/// An app and its secrets, made from an admin's input and not stored yet.
pub(super) struct CandidateApp {
    pub app: App,
    pub secrets: AppSecrets,
}

impl CandidateApp {
    /// Makes an app from parsed credentials and decodes the private key on a blocking thread.
    ///
    /// # Errors
    /// [`RegistryError::Key`] if the key cannot be used.
    pub(super) async fn new(
        deps: &Deps,
        id: AppId,
        owner: AppOwner,
        parsed: &ParsedCredentials,
    ) -> Result<Self, RegistryError> {
        let key = decode_key(deps, parsed).await?;
        let now = deps.now();
        let public_key_id = parsed.config.key.as_ref().map(|key| key.public_key_id.clone());
        let key_info = key.as_ref().zip(public_key_id).map(|(key, public_key_id)| SigningKeyInfo {
            public_key_id,
            sha256: key.public_sha256().to_owned(),
            bits: key.bits(),
            since: now,
        });
        let app = App {
            id,
            owner,
            client_id: parsed.config.client_id.clone(),
            auth: parsed.auth,
            key: key_info,
            generation: Generation(0),
            fence: Generation::default(),
            state: AppState::Active,
            created_at: now,
            updated_at: now,
            version: 1,
        };
        Ok(Self { app, secrets: parsed.secrets(key.as_ref()) })
    }

    /// Returns true if the stored app has exactly these credentials.
    ///
    /// # Errors
    /// If the stored credentials cannot be opened.
    pub(super) async fn matches(&self, deps: &Deps, stored: &App) -> Result<bool, RegistryError> {
        let key = |app: &App| app.key.as_ref().map(|key| (key.public_key_id.clone(), key.sha256.clone()));
        let same_public_part = stored.client_id == self.app.client_id
            && stored.auth == self.app.auth
            && key(stored) == key(&self.app);
        let held = deps.broker.credentials().secrets(stored).await?;
        Ok(same_public_part && held == self.secrets.clone().with_webhook_keys_from(&held))
    }

    /// Returns true if the stored app has exactly these credentials; false if the stored ones cannot be opened,
    /// because then replacing them is the remedy.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(super) async fn matches_if_readable(&self, deps: &Deps, stored: &App) -> Result<bool, RegistryError> {
        match self.matches(deps, stored).await {
            Err(RegistryError::Token(
                TokenError::Sealed { .. }
                | TokenError::Corrupt(_)
                | TokenError::Store(StoreError::Tampered { .. } | StoreError::KeyUnavailable { .. }),
            )) => Ok(false),
            result => result,
        }
    }

    /// Returns the stored app with these credentials, and the secrets with the stored webhook keys if the input has
    /// none.
    ///
    /// # Errors
    /// If the store does not answer. Webhook keys that cannot be opened are lost, which is only logged.
    pub(super) async fn merged_into(
        self,
        deps: &Deps,
        stored: &App,
    ) -> Result<(App, AppSecrets), RegistryError> {
        let secrets = match deps.broker.credentials().secrets(stored).await {
            Ok(held) => self.secrets.with_webhook_keys_from(&held),
            Err(error @ TokenError::Store(StoreError::Unavailable(_))) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(app = %stored.id, %error, "webhook keys are not kept, for they cannot be opened");
                self.secrets
            }
        };
        let App { client_id, auth, key, .. } = self.app;
        Ok((App { client_id, auth, key, ..stored.clone() }, secrets))
    }
}

/// Seals an app's secrets for its row and generation.
///
/// # Errors
/// Those of the vault.
pub(super) async fn seal(deps: &Deps, app: &App, secrets: &AppSecrets) -> Result<Vec<u8>, RegistryError> {
    let context = credentials_aad(&app.id, app.generation);
    Ok(deps.vault.seal(&context, &secrets.to_document()).await?)
}

async fn decode_key(deps: &Deps, parsed: &ParsedCredentials) -> Result<Option<SigningKey>, RegistryError> {
    let Some(encoded) = parsed.config.key.clone() else { return Ok(None) };
    let decoded = deps.run_key_work(move || encoded.decode()).await?;
    decoded.map(Some).map_err(|problem| RegistryError::Key { pointer: parsed.pointer_of(&problem), problem })
}
