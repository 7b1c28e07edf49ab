//! The log by which every process learns what the others changed.
//!
//! The log is not trusted either: each line is authenticated, and numbers that follow each other
//! show a line that was taken out. Whatever is wrong with it, the reader has to forget everything.

use jiff::Timestamp;

use super::audit_writer::AuditWriter;
use super::authenticated_row::{mac_of, verified};
use super::connection::Connection;
use super::engine::Engine;
use super::statement::{Sql, SqlRow};
use super::{ChangeRecord, ChangedEntity, Result, StoreError};
use crate::crypto::{AadContext, Vault};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{AppId, CallerId, SessionId, TenantId};

/// For how long a change can be read; every process asks for changes each few seconds.
const KEPT_MILLISECONDS: i64 = 60 * 60 * 1000;

/// Records an event and what it changed, as the last thing before the commit: whoever numbers a
/// change is alone until then, so that numbers become visible in their order.
pub(super) async fn record(
    session: &mut Connection,
    ledger: &AuditWriter,
    event: &AuditEvent,
    changed: &[ChangedEntity],
) -> Result<()> {
    ledger.write(session, event).await?;
    alone(session).await?;
    let at = event.at.as_millisecond();
    for what in changed {
        let (kind, item) = parts(what);
        // The number is part of what is authenticated and is only known once the row stands.
        let sql = "INSERT INTO changes (kind, item, at, mac_key, mac) VALUES ($1, $2, $3, '', $4)
             RETURNING number";
        let unsigned: &[u8] = &[];
        let row = session.row(sql, &[kind.into(), item.into(), at.into(), unsigned.into()]).await?;
        let number = row.and_then(|row| row.get::<i64>("number"));
        let number = number.ok_or_else(|| StoreError::Unexpected("a change got no number".to_owned()))?;
        let mac = ledger.authenticate(&place(&number.to_string(), number), &content(kind, item, at));
        let sql = "UPDATE changes SET mac_key = $1, mac = $2 WHERE number = $3";
        session.run(sql, &[(&mac.key).into(), (&mac.mac).into(), number.into()]).await?;
    }
    Ok(())
}

/// Keeps everybody else from numbering anything until the transaction ends. In SQLite a writing
/// transaction is alone anyway.
pub(super) async fn alone(session: &mut Connection) -> Result<()> {
    // "btb" and a 1.
    let sql = Sql { sqlite: "SELECT 1", postgres: "SELECT pg_advisory_xact_lock(1651793457)" };
    session.run(sql, &[]).await.map(drop)
}

pub(super) async fn last(engine: &Engine) -> Result<i64> {
    let row = engine.read().await?.row("SELECT MAX(number) AS number FROM changes", &[]).await?;
    Ok(row.and_then(|row| row.get::<i64>("number")).unwrap_or(0))
}

pub(super) async fn since(engine: &Engine, vault: &Vault, number: i64) -> Result<Option<Vec<ChangeRecord>>> {
    // The change that the reader saw last is read again: if it is gone, so may be others behind it.
    let sql = "SELECT number, kind, item, at, mac_key, mac FROM changes WHERE number >= $1 ORDER BY number";
    let rows = engine.read().await?.rows(sql, &[number.into()]).await?;
    let mut changes: Vec<ChangeRecord> = Vec::with_capacity(rows.len());
    for (expected, row) in (number.max(1)..).zip(&rows) {
        match read_change(vault, row) {
            Some(change) if change.number == expected => changes.push(change),
            _ => {
                tracing::warn!(number = expected, "the log of changes has a hole or an altered line");
                return Ok(None);
            }
        }
    }
    if number > 0 && changes.is_empty() {
        return Ok(None);
    }
    changes.retain(|change| change.number > number);
    Ok(Some(changes))
}

fn read_change(vault: &Vault, row: &SqlRow) -> Option<ChangeRecord> {
    let (number, at) = (row.get::<i64>("number")?, row.get::<i64>("at")?);
    let (kind, item) = (row.get::<String>("kind")?, row.get::<String>("item")?);
    let mac = mac_of(row)?;
    verified(vault, &place(&number.to_string(), number), &content(&kind, &item, at), &mac, "changes").ok()?;
    let what = match kind.as_str() {
        "tenant" => ChangedEntity::Tenant(TenantId::parse(&item).ok()?),
        "app" => ChangedEntity::App(AppId::parse(&item).ok()?),
        "caller" => ChangedEntity::Caller(CallerId::parse(&item).ok()?),
        "session" => ChangedEntity::Session(SessionId::parse(&item).ok()?),
        _ => return None,
    };
    Some(ChangeRecord { number, entity: what })
}

/// Erases what everybody has long seen, but never the last line: numbers go on behind it.
pub(super) async fn sweep(session: &mut Connection, now: Timestamp) -> Result<()> {
    let sql = "DELETE FROM changes WHERE at < $1 AND number < (SELECT MAX(number) FROM changes)";
    let seen = now.as_millisecond().saturating_sub(KEPT_MILLISECONDS);
    session.run(sql, &[seen.into()]).await.map(drop)
}

fn parts(what: &ChangedEntity) -> (&'static str, &str) {
    match what {
        ChangedEntity::Tenant(id) => ("tenant", id.as_str()),
        ChangedEntity::App(id) => ("app", id.as_str()),
        ChangedEntity::Caller(id) => ("caller", id.as_str()),
        ChangedEntity::Session(id) => ("session", id.as_str()),
    }
}

fn place(row: &str, number: i64) -> AadContext<'_> {
    AadContext { table: "changes", row, column: "line", version: number }
}

/// Neither a kind nor an id holds a blank.
fn content(kind: &str, item: &str, at: i64) -> Vec<u8> {
    format!("{kind} {item} {at}").into_bytes()
}
