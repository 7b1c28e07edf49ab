//! The store of the audit on SQL: reading records. Appending them is the part of `audit_writer`, signing them of
//! `checkpoints`.

use std::cmp::Reverse;

use async_trait::async_trait;
use jiff::Timestamp;

use super::audit_rows::{select, stored_record};
use super::authenticated_row::tampered;
use super::engine::Engine;
use super::statement::{SqlRow, SqlValue};
use super::timeout::with_timeout;
use super::{SqlStore, checkpoints};
use crate::audit::{ChainTip, Day, DayRange, SignedCheckpoint, verify_link};
use crate::crypto::Vault;
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::{CallerId, TenantId, WriterId};
use crate::store::{
    AuditCursor, AuditFilter, AuditRecord, AuditStore, Page, PageRequest, Result, StoreError,
    StoredAuditRecord,
};

/// The number of days for which partitions are created in advance.
const PARTITION_DAYS: i64 = 3;

/// The conditions of the filter and of the page, after the condition that chooses the index.
macro_rules! filtered {
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

/// The statement that reads along the index which the condition chooses.
macro_rules! select_by {
    ($index:literal) => {
        concat!(
            "SELECT a.day, a.writer, a.number, a.at, a.action, a.outcome, a.actor_id, a.tenant_id, a.app_id,
             a.caller_id, a.on_behalf_of, a.fingerprint, a.doc, a.mac_key, a.mac,
             (SELECT b.mac FROM audit b
              WHERE b.day = a.day AND b.writer = a.writer AND b.number = a.number - 1) AS before
             FROM audit a ",
            filtered!($index)
        )
    };
}

/// Returns the statement for a filter, along the most selective index.
fn statement_for(filter: &AuditFilter) -> &'static str {
    if filter.fingerprint.is_some() {
        select_by!("WHERE a.fingerprint = $6 ")
    } else if filter.on_behalf_of.is_some() {
        select_by!("WHERE a.on_behalf_of = $5 ")
    } else if filter.tenant.is_some() {
        select_by!("WHERE a.tenant_id = $1 ")
    } else {
        select_by!("WHERE a.number > 0 ")
    }
}

/// The statements for the records of a caller's actions and for those about the caller, each along its own index.
const BY_CALLER: [&str; 2] = [
    select_by!("WHERE a.actor_id = $2 "),
    select_by!("WHERE a.caller_id = $2 AND a.actor_id IS DISTINCT FROM $2 "),
];

#[async_trait]
impl AuditStore for SqlStore {
    async fn record_events(&self, events: &[AuditEvent], now: Timestamp) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            for event in events {
                transaction.record_on(Day::of(now), event).await?;
            }
            transaction.commit().await
        })
        .await
    }

    async fn audit_records(
        &self,
        filter: &AuditFilter,
        page: &PageRequest<AuditCursor>,
    ) -> Result<Page<AuditRecord, AuditCursor>> {
        // One more than requested shows if there is a next page.
        let values = values(filter, page.after.as_ref(), page.limit.saturating_add(1));
        let mut rows = with_timeout(self.fetch_records(filter, &values)).await?;
        let is_last = rows.len() <= page.limit;
        rows.truncate(page.limit);
        let items: Vec<_> = rows.iter().filter_map(|row| verify(&self.vault, row)).collect();
        let next = rows.last().filter(|_| !is_last).and_then(cursor);
        Ok(Page { refused: rows.len() - items.len(), items, next })
    }

    async fn audit_chain_links(
        &self,
        range: DayRange,
        after: Option<(Day, &WriterId, i64)>,
        limit: usize,
    ) -> Result<Vec<StoredAuditRecord>> {
        let sql = select!(
            "WHERE day >= $1 AND day <= $2 AND (day, writer, number) > ($3, $4, $5)
             ORDER BY day, writer, number LIMIT $6"
        );
        let (day, writer, number) =
            after.map_or((i64::MIN, "", 0), |(day, writer, number)| (day.0, writer.as_str(), number));
        let values = [
            range.since.0.into(),
            range.until.0.into(),
            day.into(),
            writer.into(),
            number.into(),
            i64::try_from(limit).unwrap_or(i64::MAX).into(),
        ];
        let rows = with_timeout(async { self.engine.reader().await?.fetch_all(sql, &values).await }).await?;
        rows.iter().map(|row| stored_record(row).ok_or_else(|| unreadable(row))).collect()
    }

    async fn checkpoints_after(&self, number: i64, limit: usize) -> Result<Vec<SignedCheckpoint>> {
        with_timeout(async { checkpoints::list_after(&mut self.engine.reader().await?, number, limit).await })
            .await
    }

    async fn last_checkpoint(&self) -> Result<Option<SignedCheckpoint>> {
        with_timeout(async {
            checkpoints::last_signed(&mut self.engine.reader().await?, self.vault.audit_signer()).await
        })
        .await
    }

    async fn sign_checkpoint(
        &self,
        at: Timestamp,
        export: Option<DayRange>,
    ) -> Result<Option<SignedCheckpoint>> {
        let signer = self.vault.audit_signer();
        with_timeout(checkpoints::sign(&self.engine, signer, &self.audit_writer, at, export)).await
    }

    async fn drop_audit_before(&self, day: Day, at: Timestamp) -> Result<Option<SignedCheckpoint>> {
        let signer = self.vault.audit_signer();
        with_timeout(checkpoints::drop_before(&self.engine, signer, &self.audit_writer, day, at)).await
    }

    async fn create_audit_partitions(&self, today: Day) -> Result<()> {
        let Engine::Postgres(_) = &self.engine else { return Ok(()) };
        with_timeout(async {
            for ahead in 0..=PARTITION_DAYS {
                let mut connection = self.engine.begin().await?;
                let day = today.plus_days(ahead);
                connection.execute("SELECT audit_make_day($1)", &[day.0.into()]).await?;
                connection.commit().await?;
            }
            Ok(())
        })
        .await
    }
}

impl SqlStore {
    /// Reads the rows of a page, the newest first.
    async fn fetch_records(&self, filter: &AuditFilter, values: &[SqlValue<'_>]) -> Result<Vec<SqlRow>> {
        let mut connection = self.engine.reader().await?;
        let is_narrow = filter.fingerprint.is_some() || filter.on_behalf_of.is_some();
        if filter.caller.is_none() || is_narrow {
            return connection.fetch_all(statement_for(filter), values).await;
        }
        let mut rows = connection.fetch_all(BY_CALLER[0], values).await?;
        rows.extend(connection.fetch_all(BY_CALLER[1], values).await?);
        rows.sort_by_key(|row| Reverse(sort_key(row)));
        Ok(rows)
    }
}

/// Returns the parameters of a statement for a page.
fn values<'a>(filter: &'a AuditFilter, after: Option<&'a AuditCursor>, limit: usize) -> [SqlValue<'a>; 12] {
    let milliseconds = |at: Option<Timestamp>, otherwise| at.map_or(otherwise, |at| at.as_millisecond());
    let (at, writer, number) = match after {
        Some(AuditCursor { at, writer, number }) => (at.as_millisecond(), writer.as_str(), *number),
        // "~" sorts behind the id of every chain.
        None => (i64::MAX, "~", 0),
    };
    [
        filter.tenant.as_ref().map(TenantId::as_str).into(),
        filter.caller.as_ref().map(CallerId::as_str).into(),
        filter.action.map(|action| action.as_str()).into(),
        filter.outcome.map(|outcome| outcome.as_str()).into(),
        filter.on_behalf_of.as_ref().map(|who| who.as_str()).into(),
        filter.fingerprint.as_deref().into(),
        milliseconds(filter.since, i64::MIN).into(),
        milliseconds(filter.until, i64::MAX).into(),
        at.into(),
        writer.into(),
        number.into(),
        i64::try_from(limit).unwrap_or(i64::MAX).into(),
    ]
}

fn sort_key(row: &SqlRow) -> (Option<i64>, Option<String>, Option<i64>) {
    (row.get("at"), row.get("writer"), row.get("number"))
}

fn cursor(row: &SqlRow) -> Option<AuditCursor> {
    Some(AuditCursor {
        at: Timestamp::from_millisecond(row.get("at")?).ok()?,
        writer: row.get("writer")?,
        number: row.get("number")?,
    })
}

/// Verifies a record; one that is not what the broker wrote is logged and left out.
fn verify(vault: &Vault, row: &SqlRow) -> Option<AuditRecord> {
    let StoredAuditRecord { link, columns_agree } = stored_record(row)?;
    let before = match row.get::<Vec<u8>>("before") {
        None if link.number == 1 => ChainTip::NONE.mac,
        before => before.and_then(|mac| mac.try_into().ok()).unwrap_or_default(),
    };
    let event = serde_json::from_str(&link.doc).ok();
    match (verify_link(vault.audit_signer(), &before, &link), event) {
        (Ok(_), Some(event)) if columns_agree => {
            Some(AuditRecord { writer: link.writer, number: link.number, event })
        }
        (verified, _) => {
            let (writer, number) = (&link.writer, link.number);
            let error = verified.err();
            tracing::error!(%writer, number, ?error, "a record of the audit is left out: run `audit verify`");
            None
        }
    }
}

/// Returns the error for a row that cannot be read.
fn unreadable(row: &SqlRow) -> StoreError {
    let number = |column| row.get::<i64>(column).unwrap_or_default();
    let writer = row.get::<String>("writer").unwrap_or_default();
    tampered("audit", &format!("{}/{writer}/{}", Day(number("day")), number("number")))
}
