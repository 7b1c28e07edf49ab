//! Callers and their API keys: how the rest of the broker finds, lists and changes them.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{PageRequest, Result};
use crate::domain::audit_event::AuditEvent;
use crate::domain::caller::Caller;
use crate::domain::id::{CallerId, KeyId, Name};

/// A reference to a caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CallerRef {
    /// By its immutable id.
    Id(CallerId),
    /// By its name.
    Name(Name),
    /// By one of its API keys. The index is not trusted: the key counts only if the caller's own
    /// authenticated row lists it.
    Key(KeyId),
}

/// The callers in the database.
#[async_trait]
pub trait CallerStore {
    /// Returns a caller.
    async fn caller(&self, by: &CallerRef) -> Result<Option<Caller>>;
    /// Lists callers in the order of their names.
    async fn callers(&self, page: &PageRequest) -> Result<Vec<Caller>>;
    /// Returns the callers that trust tokens of an issuer, in the order of their ids. The index is not
    /// trusted: a caller counts only if its own authenticated row has such a trust. A row that fails
    /// verification is left out and logged.
    async fn callers_trusting_issuer(&self, issuer: &str) -> Result<Vec<Caller>>;
    /// Inserts a caller.
    async fn insert_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()>;
    /// Replaces the row of a caller with its keys, trusts and grants. Its version must be one more than the
    /// stored one; otherwise this fails with [`Conflict::Version`](super::Conflict::Version).
    async fn update_caller(&self, caller: &Caller, event: &AuditEvent) -> Result<()>;
    /// Erases a caller and its keys. Fails with [`Conflict::Version`](super::Conflict::Version) if it is not
    /// at `version`.
    async fn delete_caller(&self, caller: &CallerId, version: i64, event: &AuditEvent) -> Result<()>;
    /// Records when keys were last used. Keys that no longer exist are skipped.
    async fn record_key_uses(&self, uses: &[(KeyId, Timestamp)]) -> Result<()>;
    /// Returns when each of a caller's keys was last used.
    async fn last_key_uses(&self, caller: &CallerId) -> Result<BTreeMap<KeyId, Timestamp>>;
}
