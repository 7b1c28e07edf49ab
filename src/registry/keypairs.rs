//! Keys that are made here: the public half goes to Box by an admin's hands, the private half never
//! leaves the broker.

use std::sync::Arc;

use crate::auth::RequestContext;
use crate::broker::TokenError;
use crate::crypto::generate_rsa_key;
use crate::domain::app::{App, AppOwner, AppSecrets, AuthMethod, Keypair, SigningKeyInfo};
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::box_config::ConfigField;
use crate::domain::id::{KeypairId, TenantId};
use crate::domain::signing_key::SigningKey;
use crate::domain::tenant::Tenant;
use crate::registry::Registry;
use crate::registry::credentials::NextCredentials;
use crate::registry::error::RegistryError;
use crate::registry::registration::{RegistrationOutcome, unchanged};
use crate::secret::SecretBytes;
use crate::store::{TenantRef, keypair_aad};

impl Registry {
    /// Makes a keypair for a tenant's own app. It is used once it is activated.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn make_keypair(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
    ) -> Result<(App, Keypair), RegistryError> {
        let (context, view) = self.tenant_with_own_app(context, tenant).await?;
        let keypair = self.keypair_for(&view.app, &context.audit_context()).await?;
        Ok((view.app.clone(), keypair))
    }

    /// Switches a tenant's own app to a keypair, after Box has given a token by it. A pending tenant
    /// comes into service by it.
    ///
    /// # Errors
    /// As [`RegistryError`] tells; nothing is changed then, and it can be tried again.
    pub async fn activate_keypair(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        keypair: &KeypairId,
        public_key_id: &str,
    ) -> Result<RegistrationOutcome, RegistryError> {
        let (context, view) = self.tenant_with_own_app(context, tenant).await?;
        match self.next_by_keypair(&view.app, keypair, public_key_id).await? {
            None => Ok(unchanged(view.tenant.clone(), view.app.clone(), Vec::new())),
            Some((app, secrets)) => {
                let next = NextCredentials { app, secrets, keypair: Some(keypair) };
                self.switch_own(&view, next, &context.audit_context(), Vec::new(), false).await
            }
        }
    }

    /// The keypair that a tenant which was registered without a key waits for.
    pub(super) async fn keypair_of_new(
        &self,
        tenant: &Tenant,
        app: &App,
        cause: &AuditContext,
    ) -> Result<Keypair, RegistryError> {
        match self.store.keypairs_of_app(&app.id).await?.pop() {
            Some(keypair) => Ok(keypair),
            // Whoever registered it was cut off before it was made.
            None => {
                tracing::info!(tenant = %tenant.id, "a tenant gets the keypair that its registration lacked");
                self.keypair_for(app, cause).await
            }
        }
    }

    /// Makes a keypair for an app, and keeps its private half sealed.
    pub(super) async fn keypair_for(
        &self,
        app: &App,
        cause: &AuditContext,
    ) -> Result<Keypair, RegistryError> {
        if app.auth == AuthMethod::Ccg {
            return Err(RegistryError::Conflict("An app with client credentials has no key."));
        }
        let key = self.new_key().await?;
        let keypair = Keypair {
            id: self.new_id(KeypairId::generate),
            app: app.id.clone(),
            public_key: key.public_pem().to_owned(),
            sha256: key.public_sha256().to_owned(),
            bits: key.bits(),
            created_at: self.now(),
        };
        let sealed = self.vault.seal(&keypair_aad(&keypair.id), key.pkcs8_der()).await?;
        let event = AuditEvent {
            tenant: owner(app).cloned(),
            app: Some(app.id.clone()),
            detail: Some(format!("{}, public key {}", keypair.id, keypair.sha256)),
            ..cause.event(self.now(), AuditAction::KeypairCreate)
        };
        self.store.insert_keypair(&keypair, &sealed, &event).await?;
        Ok(keypair)
    }

    /// What an app becomes by one of its keypairs; `None` where it was switched to it before.
    pub(super) async fn next_by_keypair(
        &self,
        app: &App,
        keypair: &KeypairId,
        public_key_id: &str,
    ) -> Result<Option<(App, AppSecrets)>, RegistryError> {
        let empty = || Err("is empty".to_owned());
        let checked =
            if public_key_id.is_empty() { empty() } else { ConfigField::PublicKeyId.check(public_key_id) };
        checked.map_err(|detail| RegistryError::invalid("/public_key_id", detail))?;
        let found = self.store.keypair(keypair).await?.filter(|(keypair, _)| keypair.app == app.id);
        let (keypair, sealed) = found.ok_or(RegistryError::Absent)?;
        let in_use = app.key.as_ref().is_some_and(|key| key.sha256 == keypair.sha256);
        if sealed.is_empty() {
            let same = in_use && app.key.as_ref().is_some_and(|key| key.public_key_id == public_key_id);
            return match same {
                true => Ok(None),
                false => Err(RegistryError::Conflict("This keypair was activated before; make another one.")),
            };
        }
        let private_key = self
            .vault
            .open(&keypair_aad(&keypair.id), &sealed)
            .await
            .map_err(|error| TokenError::Sealed { what: "a keypair", error })?;
        let key = SigningKeyInfo {
            public_key_id: public_key_id.to_owned(),
            sha256: keypair.sha256,
            bits: keypair.bits,
            since: self.now(),
        };
        let secrets = AppSecrets { private_key: Some(private_key), ..self.broker.secrets(app).await? };
        Ok(Some((App { key: Some(key), auth: AuthMethod::Jwt, ..app.clone() }, secrets)))
    }

    /// Makes a key off the threads that serve requests, as it costs a core for a while.
    async fn new_key(&self) -> Result<SigningKey, RegistryError> {
        let permit =
            Arc::clone(&self.decoders).acquire_owned().await.map_err(|_| RegistryError::Overloaded)?;
        let made = tokio::task::spawn_blocking(move || {
            let made = generate_rsa_key().map(|der: SecretBytes| SigningKey::from_der(&der));
            drop(permit);
            made
        });
        let made = made.await.map_err(|_| RegistryError::Overloaded)??;
        made.map_err(|_| RegistryError::Token(TokenError::Corrupt("a fresh key is none")))
    }
}

/// What to do with a keypair, click by click; `activate` is the call that ends it.
#[must_use]
pub fn steps(app: &App, keypair: &Keypair, activate: &str) -> Vec<String> {
    vec![
        format!(
            "Open the app with the client ID {} in Box's Developer Console, and there Configuration › Add and \
             Manage Public Keys.",
            app.client_id
        ),
        "Choose Add a Public Key, paste `public_key` exactly as it stands here, verify and save.".to_owned(),
        format!(
            "Box lists the key with an ID: send it as `public_key_id` to POST {activate}/{}/activate.",
            keypair.id
        ),
        "Once that answered 200, remove the key that was used before from the app in Box.".to_owned(),
    ]
}

fn owner(app: &App) -> Option<&TenantId> {
    match &app.owner {
        AppOwner::Tenant { id } => Some(id),
        AppOwner::Shared { .. } => None,
    }
}
