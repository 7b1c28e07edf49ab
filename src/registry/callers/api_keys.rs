//! Callers' API keys: two may live at once, and each is shown once.

use std::sync::Arc;

use jiff::Timestamp;

use crate::auth::{RequestContext, api_key};
use crate::clock::Clock;
use crate::crypto::Vault;
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::caller::{ApiKey, Caller, CallerKind, CallerState};
use crate::domain::grant::Grant;
use crate::domain::id::{CallerId, KeyId, Name};
use crate::domain::session::SessionCredential;
use crate::entropy::Entropy;
use crate::registry::callers::{event_of, told};
use crate::registry::error::RegistryError;
use crate::registry::{Registry, on_what_stands};
use crate::secret::SecretString;
use crate::store::{CallerRef, Store, StoreError};

/// A key that was just made; it is shown this once.
#[derive(Debug)]
pub struct CreatedApiKey {
    /// The key's id.
    pub id: KeyId,
    /// The key.
    pub key: SecretString,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
}

impl Registry {
    /// Makes a key for a caller. Keys that have ended make room; two may live at once.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn create_key(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        expires_at: Option<Timestamp>,
    ) -> Result<CreatedApiKey, RegistryError> {
        on_what_stands(|| self.create_key_once(context, caller, expires_at)).await
    }

    async fn create_key_once(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        expires_at: Option<Timestamp>,
    ) -> Result<CreatedApiKey, RegistryError> {
        let now = self.now();
        let (context, mut next) = self.manageable(context, caller).await?;
        if expires_at.is_some_and(|end| end <= now) {
            return Err(RegistryError::invalid("/expires_at", "A key has to end in the future."));
        }
        next.keys.retain(|key| key.is_live(now));
        if next.keys.len() >= Caller::MAX_KEYS {
            return Err(RegistryError::Conflict("The caller has two live keys; revoke one of them first."));
        }
        let (new, stored) = make_key(self.entropy.as_ref(), &self.vault, now, expires_at);
        next.keys.push(stored);
        let cause = context.audit_context();
        let event = event_of(&next, &cause, now, AuditAction::KeyCreate, new.id.to_string());
        self.replace_caller(next, &event, None).await?;
        Ok(new)
    }

    /// Revokes a key: it opens nothing any more.
    ///
    /// # Errors
    /// As [`RegistryError`] tells.
    pub async fn revoke_key(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        key: &KeyId,
    ) -> Result<(), RegistryError> {
        on_what_stands(|| self.revoke_key_once(context, caller, key)).await
    }

    async fn revoke_key_once(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        key: &KeyId,
    ) -> Result<(), RegistryError> {
        let (context, mut next) = self.manageable(context, caller).await?;
        let before = next.keys.len();
        next.keys.retain(|kept| kept.id != *key);
        if next.keys.len() == before {
            return Err(RegistryError::Absent);
        }
        let cause = context.audit_context();
        let event = event_of(&next, &cause, self.now(), AuditAction::KeyRevoke, key.to_string());
        let next = self.replace_caller(next, &event, None).await?;
        let with = SessionCredential::Key(key.clone());
        self.end_orphans(&next, &cause, |session| session.owner.credential == with).await;
        Ok(())
    }
}

fn make_key(
    entropy: &dyn Entropy,
    vault: &Vault,
    now: Timestamp,
    expires_at: Option<Timestamp>,
) -> (CreatedApiKey, ApiKey) {
    let id = KeyId::generate(entropy);
    let key = api_key::generate(&id, entropy);
    let peppered = vault.hash_with_pepper(key.expose().as_bytes());
    let stored = ApiKey {
        id: id.clone(),
        digest: peppered.digest,
        pepper: peppered.pepper,
        created_at: now,
        expires_at,
    };
    (CreatedApiKey { id, key, expires_at }, stored)
}

/// Makes an admin that may do everything, with a key, for whoever has the database and the key set
/// in their hands.
///
/// # Errors
/// Where the name is taken or the store does not answer.
pub async fn create_admin(
    store: &Arc<dyn Store>,
    vault: &Vault,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    name: Name,
) -> Result<CreatedApiKey, StoreError> {
    let now = clock.wall();
    let (new, stored) = make_key(entropy, vault, now, None);
    let caller = Caller {
        id: CallerId::generate(entropy),
        name,
        kind: CallerKind::Admin,
        state: CallerState::Active,
        locked_at: None,
        grants: vec![Grant::everything()],
        keys: vec![stored],
        rate_limit: None,
        trusts: Vec::new(),
        created_at: now,
        version: 1,
    };
    let event = event_of(&caller, &AuditContext::COMMAND_LINE, now, AuditAction::CallerCreate, told(&caller));
    store.insert_caller(&caller, &event).await?;
    Ok(new)
}
