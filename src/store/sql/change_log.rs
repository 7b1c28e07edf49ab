//! The rows of the log of changes.
//!
//! The log is not trusted either: each row is authenticated, and its consecutive numbers reveal a row that was
//! removed. Whatever is wrong with the log, the reader has to forget everything.

use async_trait::async_trait;
use jiff::Timestamp;

use super::SqlStore;
use super::authenticated_row::{mac_of, verify_mac};
use super::connection::Connection;
use super::statement::{Sql, SqlRow};
use super::timeout::with_timeout;
use crate::crypto::{AadContext, Vault};
use crate::domain::id::{AppId, CallerId, SessionId, TenantId};
use crate::store::{ChangeLog, ChangeRecord, ChangedEntity, Result, StoreError};

/// The time that a change can be read, in milliseconds; every process polls every second.
const RETENTION_MILLISECONDS: i64 = 60 * 60 * 1000;

#[async_trait]
impl ChangeLog for SqlStore {
    async fn last_change_number(&self) -> Result<i64> {
        with_timeout(async {
            let sql = "SELECT MAX(number) AS number FROM changes";
            let row = self.engine.reader().await?.fetch_optional(sql, &[]).await?;
            Ok(row.and_then(|row| row.get::<i64>("number")).unwrap_or(0))
        })
        .await
    }

    async fn changes_since(&self, number: i64) -> Result<Option<Vec<ChangeRecord>>> {
        with_timeout(async {
            // The last change that the reader saw is read again: if it is gone, so may be others after it.
            let sql =
                "SELECT number, kind, item, at, mac_key, mac FROM changes WHERE number >= $1 ORDER BY number";
            let rows = self.engine.reader().await?.fetch_all(sql, &[number.into()]).await?;
            Ok(read_since(&self.vault, number, &rows))
        })
        .await
    }
}

/// Returns the changes after the given one; `None` if the rows from it on are not consecutive and authentic.
fn read_since(vault: &Vault, number: i64, rows: &[SqlRow]) -> Option<Vec<ChangeRecord>> {
    let mut changes: Vec<ChangeRecord> = Vec::with_capacity(rows.len());
    for (expected, row) in (number.max(1)..).zip(rows) {
        match read_change(vault, row) {
            Some(change) if change.number == expected => changes.push(change),
            _ => {
                tracing::warn!(number = expected, "the log of changes has a hole or an altered line");
                return None;
            }
        }
    }
    if number > 0 && changes.is_empty() {
        return None;
    }
    changes.retain(|change| change.number > number);
    Some(changes)
}

fn read_change(vault: &Vault, row: &SqlRow) -> Option<ChangeRecord> {
    let (number, at) = (row.get::<i64>("number")?, row.get::<i64>("at")?);
    let (kind, item) = (row.get::<String>("kind")?, row.get::<String>("item")?);
    let mac = mac_of(row)?;
    verify_mac(vault, &aad(&number.to_string(), number), &content(&kind, &item, at), &mac, "changes").ok()?;
    let entity = match kind.as_str() {
        "tenant" => ChangedEntity::Tenant(TenantId::parse(&item).ok()?),
        "app" => ChangedEntity::App(AppId::parse(&item).ok()?),
        "caller" => ChangedEntity::Caller(CallerId::parse(&item).ok()?),
        "session" => ChangedEntity::Session(SessionId::parse(&item).ok()?),
        _ => return None,
    };
    Some(ChangeRecord { number, entity })
}

/// Appends changes to the log. Only the commit may follow: other transactions wait until then.
pub(super) async fn append(
    connection: &mut Connection,
    vault: &Vault,
    at: Timestamp,
    changed: &[ChangedEntity],
) -> Result<()> {
    lock_numbering(connection).await?;
    let at = at.as_millisecond();
    for entity in changed {
        let (kind, item) = columns(entity);
        // The MAC covers the number, which is only known after the insertion.
        let sql = "INSERT INTO changes (kind, item, at, mac_key, mac) VALUES ($1, $2, $3, '', $4)
             RETURNING number";
        let unsigned: &[u8] = &[];
        let row =
            connection.fetch_optional(sql, &[kind.into(), item.into(), at.into(), unsigned.into()]).await?;
        let number = row.and_then(|row| row.get::<i64>("number"));
        let number = number.ok_or_else(|| StoreError::Unexpected("a change got no number".to_owned()))?;
        let mac = vault.authenticate(&aad(&number.to_string(), number), &content(kind, item, at));
        let sql = "UPDATE changes SET mac_key = $1, mac = $2 WHERE number = $3";
        connection.execute(sql, &[(&mac.key).into(), (&mac.mac).into(), number.into()]).await?;
    }
    Ok(())
}

/// Takes the lock under which everything is numbered, until the transaction ends. SQLite needs none: there
/// only one transaction writes at a time.
pub(super) async fn lock_numbering(connection: &mut Connection) -> Result<()> {
    // "btb" and a 1.
    let sql = Sql { sqlite: "SELECT 1", postgres: "SELECT pg_advisory_xact_lock(1651793457)" };
    connection.execute(sql, &[]).await.map(drop)
}

/// Erases changes that every process has read, but never the last one, so that numbers continue after it.
pub(super) async fn delete_expired(connection: &mut Connection, now: Timestamp) -> Result<()> {
    let sql = "DELETE FROM changes WHERE at < $1 AND number < (SELECT MAX(number) FROM changes)";
    let oldest = now.as_millisecond().saturating_sub(RETENTION_MILLISECONDS);
    connection.execute(sql, &[oldest.into()]).await.map(drop)
}

fn columns(entity: &ChangedEntity) -> (&'static str, &str) {
    match entity {
        ChangedEntity::Tenant(id) => ("tenant", id.as_str()),
        ChangedEntity::App(id) => ("app", id.as_str()),
        ChangedEntity::Caller(id) => ("caller", id.as_str()),
        ChangedEntity::Session(id) => ("session", id.as_str()),
    }
}

fn aad(row: &str, number: i64) -> AadContext<'_> {
    AadContext { table: "changes", row, column: "line", version: number }
}

/// Returns the content that the MAC covers. Neither a kind nor an id contains a space.
fn content(kind: &str, item: &str, at: i64) -> Vec<u8> {
    format!("{kind} {item} {at}").into_bytes()
}
