//! The audit in the database: how it is read, signed, and shortened by whole days. Most records are written
//! by the other stores, each in the transaction of the change that it records.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, Result};
use crate::audit::{ChainLink, Day, DayRange, SignedCheckpoint};
use crate::domain::audit_event::{AuditAction, AuditEvent, AuditOutcome};
use crate::domain::id::{CallerId, TenantId, WriterId};
use crate::domain::on_behalf_of::OnBehalfOf;

/// The records of the audit that a list contains; each condition that is set has to hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Records about this tenant.
    pub tenant: Option<TenantId>,
    /// Records of this caller's actions, or about this caller.
    pub caller: Option<CallerId>,
    /// Records of this action.
    pub action: Option<AuditAction>,
    /// Records with this outcome.
    pub outcome: Option<AuditOutcome>,
    /// Records on behalf of this person, as claimed by the caller.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// Records about the token with this SHA-256, in lower-case hex.
    pub fingerprint: Option<String>,
    /// Records of this time or later.
    pub since: Option<Timestamp>,
    /// Records before this time.
    pub until: Option<Timestamp>,
}

/// The position of a record among all records, by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCursor {
    /// When it happened.
    pub at: Timestamp,
    /// The chain, as the row names it.
    pub writer: String,
    /// The number of the record in its chain.
    pub number: i64,
}

/// A verified record of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The chain.
    pub writer: WriterId,
    /// The number of the record in its chain.
    pub number: i64,
    /// The event.
    pub event: AuditEvent,
}

/// A record of the audit as it is stored, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAuditRecord {
    /// The record in its chain.
    pub link: ChainLink,
    /// True if the columns that index the record agree with it.
    pub columns_agree: bool,
}

/// The audit in the database.
#[async_trait]
pub trait AuditStore {
    /// Records events of the present that changed no row of the store: all of them or none.
    async fn record_events(&self, events: &[AuditEvent], now: Timestamp) -> Result<()>;
    /// Lists records, the newest first. A record that fails verification is left out, counted and logged.
    async fn audit_records(
        &self,
        filter: &AuditFilter,
        page: &PageRequest<AuditCursor>,
    ) -> Result<Page<AuditRecord, AuditCursor>>;
    /// Returns records as they are stored, in the order of day, chain and number, after that position.
    async fn audit_chain_links(
        &self,
        range: DayRange,
        after: Option<(Day, &WriterId, i64)>,
        limit: usize,
    ) -> Result<Vec<StoredAuditRecord>>;
    /// Returns the checkpoints after that number, in their order.
    async fn checkpoints_after(&self, number: i64, limit: usize) -> Result<Vec<SignedCheckpoint>>;
    /// Returns the last checkpoint.
    async fn last_checkpoint(&self) -> Result<Option<SignedCheckpoint>>;
    /// Signs how far each chain goes, if any has grown since the last checkpoint or if `export` ends with
    /// this checkpoint; otherwise returns `None`.
    async fn sign_checkpoint(
        &self,
        at: Timestamp,
        export: Option<DayRange>,
    ) -> Result<Option<SignedCheckpoint>>;
    /// Drops the days before this one and signs that this was done on purpose; returns `None` if there was
    /// none to drop.
    async fn drop_audit_before(&self, day: Day, at: Timestamp) -> Result<Option<SignedCheckpoint>>;
    /// Creates the partitions of the next days, on an engine that has partitions.
    async fn create_audit_partitions(&self, today: Day) -> Result<()>;
}
