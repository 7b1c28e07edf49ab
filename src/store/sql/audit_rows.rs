//! The rows of the audit, as they are stored: reading one verifies nothing.

use super::audit_writer::AuditColumns;
use super::statement::SqlRow;
use crate::audit::{ChainLink, Day};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, CallerId, TenantId, WriterId};
use crate::store::StoredAuditRecord;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT day, writer, number, at, action, outcome, actor_id, tenant_id, app_id, caller_id, ",
            "on_behalf_of, fingerprint, doc, mac_key, mac FROM audit ",
            $rest
        )
    };
}
pub(super) use select;

/// Reads a record as it is stored, without verification.
pub(super) fn stored_record(row: &SqlRow) -> Option<StoredAuditRecord> {
    let link = ChainLink {
        writer: WriterId::parse(&row.get::<String>("writer")?).ok()?,
        day: Day(row.get("day")?),
        number: row.get("number")?,
        doc: row.get("doc")?,
        key: row.get("mac_key")?,
        mac: row.get("mac")?,
    };
    let columns_agree =
        serde_json::from_str(&link.doc).is_ok_and(|event: AuditEvent| columns_agree(row, &event));
    Some(StoredAuditRecord { link, columns_agree })
}

/// Returns true if every column that indexes the record agrees with it.
fn columns_agree(row: &SqlRow, event: &AuditEvent) -> bool {
    let text = |column| row.get::<String>(column);
    let AuditColumns { actor, on_behalf_of } = AuditColumns::of(event);
    row.get::<i64>("at") == Some(event.at.as_millisecond())
        && text("action").as_deref() == Some(event.action.as_str())
        && text("outcome").as_deref() == Some(event.outcome.as_str())
        && text("actor_id").as_deref() == actor
        && text("tenant_id").as_deref() == event.tenant.as_ref().map(TenantId::as_str)
        && text("app_id").as_deref() == event.app.as_ref().map(AppId::as_str)
        && text("caller_id").as_deref() == event.caller.as_ref().map(CallerId::as_str)
        && text("on_behalf_of").as_deref() == on_behalf_of
        && text("fingerprint") == event.fingerprint
}
