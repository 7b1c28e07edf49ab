//! What is asked of the audit, and what comes back.

use jiff::Timestamp;

use crate::audit::ChainLink;
use crate::domain::audit_event::{AuditAction, AuditEvent, AuditOutcome};
use crate::domain::id::{CallerId, TenantId, WriterId};
use crate::domain::on_behalf_of::OnBehalfOf;

/// Which records of the audit; each part that is there has to fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// About this tenant.
    pub tenant: Option<TenantId>,
    /// By this caller, or about it.
    pub caller: Option<CallerId>,
    /// Of this action.
    pub action: Option<AuditAction>,
    /// That ended so.
    pub outcome: Option<AuditOutcome>,
    /// For whom, as claimed.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// Of the token whose SHA-256 this is, in lower-case hex.
    pub fingerprint: Option<String>,
    /// At this time or later.
    pub since: Option<Timestamp>,
    /// Earlier than this.
    pub until: Option<Timestamp>,
}

/// Where a record stands among all, by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditCursor {
    /// When it happened.
    pub at: Timestamp,
    /// In which chain, as its row says.
    pub writer: String,
    /// Its number there.
    pub number: i64,
}

/// A record of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// In which chain.
    pub writer: WriterId,
    /// Its number there.
    pub number: i64,
    /// What happened.
    pub event: AuditEvent,
}

/// A stretch of the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPage {
    /// The records.
    pub records: Vec<AuditRecord>,
    /// How many were left out because they are not what the broker wrote.
    pub refused: usize,
    /// Behind what the next stretch begins; `None` where this was the last.
    pub next: Option<AuditCursor>,
}

/// A record of the audit as it stands in the store, not verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAuditRecord {
    /// The record.
    pub link: ChainLink,
    /// True where the columns by which it is found say what it says.
    pub columns_agree: bool,
}
