//! What the audit is told afterwards: tokens that left from memory, and what was refused. It is counted
//! at once, and written within a second.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};

use jiff::Timestamp;

use super::Broker;
use crate::audit::Countable;
use crate::auth::AuthenticatedCaller;
use crate::broker::cache::token::AccessToken;
use crate::domain::audit_event::{Actor, AuditAction, AuditEvent};
use crate::domain::id::TenantId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::store::{StoreError, TenantRef};

/// About how many different things are counted at a time.
pub(super) const COUNTED: usize = 20_000;
/// And of one caller.
pub(super) const COUNTED_OF_ONE: usize = 1_000;
/// How many records are written at once.
const AT_ONCE: usize = 200;

/// A token that leaves.
#[derive(Clone, Copy, Debug)]
pub struct TokenRelease<'a> {
    /// To whom: the caller whose grant decided.
    pub by: &'a AuthenticatedCaller,
    /// At which address.
    pub peer: Option<IpAddr>,
    /// In which request.
    pub request_id: &'a str,
    /// For whom, as the caller claims.
    pub on_behalf_of: Option<&'a OnBehalfOf>,
    /// The token.
    pub token: &'a AccessToken,
    /// What would have refused it, where the tenant's policy only observes.
    pub reason: Option<&'static str>,
}

impl Countable for TokenRelease<'_> {
    fn hash_identity(&self, hasher: &mut impl Hasher) {
        // What is left out differs rarely.
        self.token.row.hash(hasher);
        self.by.caller.id.hash(hasher);
        self.on_behalf_of.hash(hasher);
        self.peer.hash(hasher);
    }

    fn matches(&self, event: &AuditEvent) -> bool {
        let AuthenticatedCaller { caller, credential } = self.by;
        let is_actor = match &event.actor {
            Actor::Caller { id, credential: with, .. } => *id == caller.id && with == credential,
            Actor::Unknown | Actor::CommandLine | Actor::Broker => false,
        };
        is_actor
            && event.action == AuditAction::TokenRelease
            && event.fingerprint.as_deref() == Some(&*self.token.fingerprint)
            && event.on_behalf_of.as_ref() == self.on_behalf_of
            && event.peer == self.peer
            && event.reason.as_deref() == self.reason
    }

    fn to_event(&self, at: Timestamp) -> AuditEvent {
        let key = &self.token.key;
        let restriction = key.restriction.as_ref();
        AuditEvent {
            tenant: Some(key.tenant.clone()),
            subject: Some(key.subject.clone()),
            scopes: restriction.map(|restriction| restriction.scopes.clone()),
            resource: restriction.and_then(|restriction| restriction.target.resource().cloned()),
            fingerprint: Some(self.token.fingerprint.to_string()),
            generation: Some(key.generation),
            on_behalf_of: self.on_behalf_of.cloned(),
            reason: self.reason.map(str::to_owned),
            ..self.by.audit_context(self.request_id, self.peer).event(at, AuditAction::TokenRelease)
        }
    }
}

impl Broker {
    /// Takes note that a token leaves.
    pub fn count_release(&self, release: &TokenRelease<'_>) {
        self.save_recipients(release.token, release.by);
        self.tally.count(release, self.clock.wall());
    }

    /// Takes note of something that was refused, or failed.
    pub fn count_refusal(&self, event: AuditEvent) {
        self.tally.count_event(event);
    }

    /// The tenant of that name or id, as far as it is in memory.
    #[must_use]
    pub fn known_tenant(&self, by: &TenantRef) -> Option<TenantId> {
        match by {
            TenantRef::Id(id) => Some(id.clone()),
            TenantRef::Name(_) => self.tenants.peek(by)?.value.as_ref().map(|view| view.tenant.id.clone()),
        }
    }

    /// Writes what was counted, and to whom tokens were given: what is new, and what went on for a whole window, or `everything`.
    ///
    /// # Errors
    /// Where the store does not take it; it is kept for the next attempt.
    pub async fn write_counts(&self, everything: bool) -> Result<(), StoreError> {
        let _alone = self.writing_counts.lock().await;
        self.write_due(everything).await?;
        self.write_givings(everything).await
    }

    /// Succeeds where what is minted now can be written down, as far as anybody knows. After a token could
    /// not be, nothing is asked of Box until something else could: whoever comes meanwhile is refused at
    /// once.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn can_record(&self) -> Result<(), StoreError> {
        let Some(error) = self.unrecorded().clone() else { return Ok(()) };
        let Ok(_alone) = self.writing_counts.try_lock() else { return Err(error) };
        self.write_due(true).await?;
        *self.unrecorded() = None;
        Ok(())
    }

    /// Takes note of whether a token could be written down.
    pub(super) fn note_recording(&self, failure: Option<StoreError>) {
        *self.unrecorded() = failure;
    }

    fn unrecorded(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_due(&self, everything: bool) -> Result<(), StoreError> {
        let mut due = self.tally.take_due(self.clock.monotonic(), everything);
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(AT_ONCE));
            if let Err(error) = self.store.record_events(&due, self.clock.wall()).await {
                self.tally.requeue(due);
                self.tally.requeue(rest);
                return Err(error);
            }
            due = rest;
        }
        Ok(())
    }
}
