//! The audit of frequent events: releases of tokens from memory, and refusals. They are counted at once, and
//! written within a second.
//!
//! [`AuditCounter`] owns the counts that are not written yet. It also knows whether the audit can be written, and
//! stops mints while it cannot: no token may be minted that would go unrecorded.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::cache::AccessToken;
use super::recipients::TokenRecipients;
use crate::audit::{Countable, Tally};
use crate::auth::AuthenticatedCaller;
use crate::clock::Clock;
use crate::domain::audit_event::{Actor, AuditAction, AuditEvent};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::store::{Store, StoreError};

/// The approximate number of different events that are counted at a time.
const MAX_COUNTS: usize = 20_000;
/// The same for one caller.
const MAX_COUNTS_PER_CALLER: usize = 1_000;
/// The most records that are written in one transaction.
const BATCH: usize = 200;

/// The release of a token to a caller.
#[derive(Clone, Copy, Debug)]
pub struct TokenRelease<'a> {
    /// The caller whose grant allowed it.
    pub by: &'a AuthenticatedCaller,
    /// The caller's address.
    pub peer: Option<IpAddr>,
    /// The id of the request.
    pub request_id: &'a str,
    /// The person or job that the caller claims to act for.
    pub on_behalf_of: Option<&'a OnBehalfOf>,
    /// The token.
    pub token: &'a AccessToken,
    /// The rule that would have denied it, if the tenant's policy did not only observe.
    pub reason: Option<&'static str>,
}

impl Countable for TokenRelease<'_> {
    fn hash_identity(&self, hasher: &mut impl Hasher) {
        // The fields that are left out rarely differ.
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

/// The counts of events that are to be written to the audit.
#[derive(Debug)]
pub struct AuditCounter {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    recipients: Arc<TokenRecipients>,
    tally: Tally,
    /// Held while counts are written, so that one task does it at a time.
    writing: tokio::sync::Mutex<()>,
    /// The reason for which the last minted token could not be recorded, until something can be again.
    failure: Mutex<Option<StoreError>>,
}

impl AuditCounter {
    /// Returns a counter that writes repeats of one event once per `window`.
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        recipients: Arc<TokenRecipients>,
        window: Duration,
    ) -> Self {
        Self {
            store,
            clock,
            recipients,
            tally: Tally::new(window, MAX_COUNTS, MAX_COUNTS_PER_CALLER),
            writing: tokio::sync::Mutex::default(),
            failure: Mutex::default(),
        }
    }

    /// Counts the release of a token, and records its recipient.
    pub fn count_release(&self, release: &TokenRelease<'_>) {
        self.recipients.add(release.token, release.by);
        self.tally.count(release, self.clock.wall());
    }

    /// Counts a request that was refused or failed.
    pub fn count_refusal(&self, event: AuditEvent) {
        self.tally.count_event(event);
    }

    /// Writes the counts of new events and those whose window is over, or `everything`, and the recipients of
    /// tokens.
    ///
    /// # Errors
    /// If the store does not take them; they are kept for the next attempt.
    pub async fn write(&self, everything: bool) -> Result<(), StoreError> {
        let _alone = self.writing.lock().await;
        self.write_counts(everything).await?;
        self.recipients.write(everything).await
    }

    /// Succeeds if a token minted now can be recorded, as far as is known. After a token could not be recorded,
    /// no token is minted until a count could be: later requests fail at once.
    ///
    /// # Errors
    /// Returns the reason.
    pub(super) async fn check_writable(&self) -> Result<(), StoreError> {
        let Some(error) = self.failure().clone() else { return Ok(()) };
        let Ok(_alone) = self.writing.try_lock() else { return Err(error) };
        self.write_counts(true).await?;
        *self.failure() = None;
        Ok(())
    }

    /// Records whether a minted token could be recorded.
    pub(super) fn note_recording(&self, failure: Option<StoreError>) {
        *self.failure() = failure;
    }

    fn failure(&self) -> MutexGuard<'_, Option<StoreError>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write_counts(&self, everything: bool) -> Result<(), StoreError> {
        let mut due = self.tally.take_due(self.clock.monotonic(), everything);
        while !due.is_empty() {
            let rest = due.split_off(due.len().min(BATCH));
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
