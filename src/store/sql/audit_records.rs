//! Reading the audit.

use jiff::Timestamp;

use super::audit_writer::{AuditColumns, AuditWriter};
use super::authenticated_row::refused;
use super::engine::Engine;
use super::statement::SqlRow;
use super::{AuditCursor, AuditFilter, AuditPage, AuditRecord, Result, StoreError, StoredAuditRecord};
use crate::audit::{ChainLink, ChainTip, Day, DayRange, verify_link};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, CallerId, TenantId, WriterId};

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

/// What has to fit and what is behind the last stretch, whatever else is looked for.
macro_rules! fits {
    ($index:literal) => {
        concat!(
            $index,
            "AND (CAST($1 AS TEXT) IS NULL OR a.tenant_id = $1)
             AND (CAST($2 AS TEXT) IS NULL OR a.actor_id = $2 OR a.caller_id = $2)
             AND (CAST($3 AS TEXT) IS NULL OR a.action = $3)
             AND (CAST($4 AS TEXT) IS NULL OR a.outcome = $4)
             AND (CAST($5 AS TEXT) IS NULL OR a.on_behalf_of = $5)
             AND (CAST($6 AS TEXT) IS NULL OR a.fingerprint = $6)
             AND a.at >= $7 AND a.at < $8
             AND (a.at, a.writer, a.number) < ($9, $10, $11)
             ORDER BY a.at DESC, a.writer DESC, a.number DESC LIMIT $12"
        )
    };
}

/// The statement that looks along this index.
macro_rules! along {
    ($index:literal) => {
        concat!(
            "SELECT a.day, a.writer, a.number, a.at, a.action, a.outcome, a.actor_id, a.tenant_id, a.app_id,
             a.caller_id, a.on_behalf_of, a.fingerprint, a.doc, a.mac_key, a.mac,
             (SELECT b.mac FROM audit b
              WHERE b.day = a.day AND b.writer = a.writer AND b.number = a.number - 1) AS before
             FROM audit a ",
            fits!($index)
        )
    };
}

/// The statement for what is looked for: along the index that leaves least.
fn statement(filter: &AuditFilter) -> &'static str {
    if filter.fingerprint.is_some() {
        along!("WHERE a.fingerprint = $6 ")
    } else if filter.on_behalf_of.is_some() {
        along!("WHERE a.on_behalf_of = $5 ")
    } else if filter.tenant.is_some() {
        along!("WHERE a.tenant_id = $1 ")
    } else {
        along!("WHERE a.number > 0 ")
    }
}

/// Those that a caller did, and those that were done to it, each along its own index.
const OF_CALLER: [&str; 2] =
    [along!("WHERE a.actor_id = $2 "), along!("WHERE a.caller_id = $2 AND a.actor_id IS DISTINCT FROM $2 ")];

/// Records that fit, the newest first.
pub(super) async fn list(
    engine: &Engine,
    ledger: &AuditWriter,
    filter: &AuditFilter,
    behind: Option<&AuditCursor>,
    limit: usize,
) -> Result<AuditPage> {
    let end = |at: Option<Timestamp>, otherwise| at.map_or(otherwise, |at| at.as_millisecond());
    let (at, writer, number) = match behind {
        Some(AuditCursor { at, writer, number }) => (at.as_millisecond(), writer.as_str(), *number),
        // Behind every chain's id.
        None => (i64::MAX, "~", 0),
    };
    let values = [
        filter.tenant.as_ref().map(TenantId::as_str).into(),
        filter.caller.as_ref().map(CallerId::as_str).into(),
        filter.action.map(|action| action.as_str()).into(),
        filter.outcome.map(|outcome| outcome.as_str()).into(),
        filter.on_behalf_of.as_ref().map(|who| who.as_str()).into(),
        filter.fingerprint.as_deref().into(),
        end(filter.since, i64::MIN).into(),
        end(filter.until, i64::MAX).into(),
        at.into(),
        writer.into(),
        number.into(),
        // One more than is wanted tells whether there is a next stretch.
        i64::try_from(limit.saturating_add(1)).unwrap_or(i64::MAX).into(),
    ];
    let mut session = engine.read().await?;
    let narrow = filter.fingerprint.is_some() || filter.on_behalf_of.is_some();
    let mut rows = if filter.caller.is_some() && !narrow {
        let mut rows = session.rows(OF_CALLER[0], &values).await?;
        rows.extend(session.rows(OF_CALLER[1], &values).await?);
        rows.sort_by_key(|row| std::cmp::Reverse(place(row)));
        rows
    } else {
        session.rows(statement(filter), &values).await?
    };
    let is_last = rows.len() <= limit;
    rows.truncate(limit);
    let records: Vec<_> = rows.iter().filter_map(|row| read(ledger, row)).collect();
    let next = rows.last().filter(|_| !is_last).and_then(position);
    Ok(AuditPage { refused: rows.len() - records.len(), records, next })
}

fn place(row: &SqlRow) -> (Option<i64>, Option<String>, Option<i64>) {
    (row.get("at"), row.get("writer"), row.get("number"))
}

fn position(row: &SqlRow) -> Option<AuditCursor> {
    Some(AuditCursor {
        at: Timestamp::from_millisecond(row.get("at")?).ok()?,
        writer: row.get("writer")?,
        number: row.get("number")?,
    })
}

/// A record that is what the broker wrote; one that is not is told to the operator and left out.
fn read(ledger: &AuditWriter, row: &SqlRow) -> Option<AuditRecord> {
    let StoredAuditRecord { link, columns_agree: agrees } = stored(row)?;
    let before = match row.get::<Vec<u8>>("before") {
        None if link.number == 1 => ChainTip::NONE.mac,
        before => before.and_then(|mac| mac.try_into().ok()).unwrap_or_default(),
    };
    let event = serde_json::from_str(&link.doc).ok();
    match (verify_link(ledger.notary(), &before, &link), event) {
        (Ok(_), Some(event)) if agrees => {
            Some(AuditRecord { writer: link.writer, number: link.number, event })
        }
        (verify_link, _) => {
            let (writer, number) = (&link.writer, link.number);
            let error = verify_link.err();
            tracing::error!(%writer, number, ?error, "a record of the audit is left out: run `audit verify`");
            None
        }
    }
}

/// Records as they stand, in the order of day, chain and number.
pub(super) async fn links(
    engine: &Engine,
    range: DayRange,
    behind: Option<(Day, &WriterId, i64)>,
    limit: usize,
) -> Result<Vec<StoredAuditRecord>> {
    let sql = select!(
        "WHERE day >= $1 AND day <= $2 AND (day, writer, number) > ($3, $4, $5)
         ORDER BY day, writer, number LIMIT $6"
    );
    let (day, writer, number) =
        behind.map_or((i64::MIN, "", 0), |(day, writer, number)| (day.0, writer.as_str(), number));
    let values = [
        range.since.0.into(),
        range.until.0.into(),
        day.into(),
        writer.into(),
        number.into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ];
    let rows = engine.read().await?.rows(sql, &values).await?;
    rows.iter().map(|row| stored(row).ok_or_else(|| unreadable(row))).collect()
}

/// A row that is none of ours.
fn unreadable(row: &SqlRow) -> StoreError {
    let number = |column| row.get::<i64>(column).unwrap_or_default();
    let writer = row.get::<String>("writer").unwrap_or_default();
    refused("audit", &format!("{}/{writer}/{}", Day(number("day")), number("number")))
}

pub(super) fn stored(row: &SqlRow) -> Option<StoredAuditRecord> {
    let link = ChainLink {
        writer: WriterId::parse(&row.get::<String>("writer")?).ok()?,
        day: Day(row.get("day")?),
        number: row.get("number")?,
        doc: row.get("doc")?,
        key: row.get("mac_key")?,
        mac: row.get("mac")?,
    };
    let agrees = serde_json::from_str(&link.doc).is_ok_and(|event: AuditEvent| agrees(row, &event));
    Some(StoredAuditRecord { link, columns_agree: agrees })
}

/// True where every column by which a record is found says what the record says.
fn agrees(row: &SqlRow, event: &AuditEvent) -> bool {
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
