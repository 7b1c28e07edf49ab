//! The API keys of callers. A caller has at most two live keys, and each is shown once.

use std::sync::Arc;

use jiff::Timestamp;

use super::Callers;
use crate::auth::{RequestContext, api_key};
use crate::clock::Clock;
use crate::crypto::Vault;
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::caller::{ApiKey, Caller, CallerKind, CallerState};
use crate::domain::grant::Grant;
use crate::domain::id::{CallerId, KeyId, Name};
use crate::domain::session::SessionCredential;
use crate::entropy::Entropy;
use crate::registry::error::RegistryError;
use crate::registry::retry::retry_on_conflict;
use crate::registry::rows::callers::{caller_event, describe_caller, load_managed_caller, replace_caller};
use crate::registry::session_cancellation::cancel_orphaned_sessions;
use crate::secret::SecretString;
use crate::store::{CallerRef, Store, StoreError};

/// A new key. It is shown this once.
#[derive(Debug)]
pub struct CreatedApiKey {
    /// The key's id.
    pub id: KeyId,
    /// The key.
    pub key: SecretString,
    /// The time at which it expires, if any.
    pub expires_at: Option<Timestamp>,
}

impl Callers {
    /// Creates a key for a caller. Expired keys are removed to make room.
    ///
    /// # Errors
    /// [`RegistryError::Conflict`] if the caller has two live keys.
    pub async fn create_key(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        expires_at: Option<Timestamp>,
    ) -> Result<CreatedApiKey, RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let now = deps.now();
            let (context, mut next) = load_managed_caller(deps, context, caller).await?;
            if expires_at.is_some_and(|end| end <= now) {
                return Err(RegistryError::invalid("/expires_at", "A key has to end in the future."));
            }
            next.keys.retain(|key| key.is_live(now));
            if next.keys.len() >= Caller::MAX_KEYS {
                return Err(RegistryError::Conflict(
                    "The caller has two live keys; revoke one of them first.",
                ));
            }
            let (created, stored) = generate_key(deps.entropy.as_ref(), &deps.vault, now, expires_at);
            next.keys.push(stored);
            let cause = context.audit_context();
            let event = caller_event(&next, &cause, now, AuditAction::KeyCreate, created.id.to_string());
            replace_caller(deps, next, &event, None).await?;
            Ok(created)
        })
        .await
    }

    /// Revokes a key and cancels the browser sessions that were opened with it.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] if the caller has no such key.
    pub async fn revoke_key(
        &self,
        context: &RequestContext,
        caller: &CallerRef,
        key: &KeyId,
    ) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        retry_on_conflict(|| async move {
            let (context, mut next) = load_managed_caller(deps, context, caller).await?;
            let before = next.keys.len();
            next.keys.retain(|kept| kept.id != *key);
            if next.keys.len() == before {
                return Err(RegistryError::Absent);
            }
            let cause = context.audit_context();
            let event = caller_event(&next, &cause, deps.now(), AuditAction::KeyRevoke, key.to_string());
            let next = replace_caller(deps, next, &event, None).await?;
            let credential = SessionCredential::Key(key.clone());
            cancel_orphaned_sessions(deps, &next, &cause, |session| session.owner.credential == credential)
                .await;
            Ok(())
        })
        .await
    }
}

/// Generates a key: as it is shown, and as it is stored.
fn generate_key(
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

/// Creates an admin with all permissions and a key: for the command line, whose user has the database and the key set.
///
/// # Errors
/// If the name is taken or the store does not answer.
pub async fn create_admin(
    store: &Arc<dyn Store>,
    vault: &Vault,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
    name: Name,
) -> Result<CreatedApiKey, StoreError> {
    let now = clock.wall();
    let (new, stored) = generate_key(entropy, vault, now, None);
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
    let event = caller_event(
        &caller,
        &AuditContext::COMMAND_LINE,
        now,
        AuditAction::CallerCreate,
        describe_caller(&caller),
    );
    store.insert_caller(&caller, &event).await?;
    Ok(new)
}
