//! The checkpoints of the audit, which sign how far its chains go, and the deletion of its days.

use std::collections::HashMap;

use jiff::Timestamp;

use super::audit_rows::{select, stored_record};
use super::audit_writer::AuditWriter;
use super::authenticated_row::tampered;
use super::change_log::lock_numbering;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::{Sql, SqlRow};
use crate::audit::{
    ChainLink, ChainTip, Checkpoint, CheckpointHead, Day, DayRange, DroppedRange, ExportManifest,
    SignedCheckpoint, verify_link,
};
use crate::crypto::{AuditSigner, Signature};
use crate::domain::id::WriterId;
use crate::store::{Result, StoreError};

/// The tips of chains, each with the day of its chain.
type Tips = HashMap<WriterId, (Day, ChainTip)>;

/// Returns checkpoints after that number, in their order.
pub(super) async fn list_after(
    connection: &mut Connection,
    number: i64,
    limit: usize,
) -> Result<Vec<SignedCheckpoint>> {
    let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
         WHERE number > $1 ORDER BY number LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = connection.fetch_all(sql, &[number.into(), limit.into()]).await?;
    let unreadable = |row: &SqlRow| {
        let number: i64 = row.get("number").unwrap_or_default();
        tampered("audit_checkpoints", &number.to_string())
    };
    rows.iter().map(|row| read(row).ok_or_else(|| unreadable(row))).collect()
}

/// Returns the last checkpoint that bears the broker's signature.
pub(super) async fn last_signed(
    connection: &mut Connection,
    signer: &AuditSigner,
) -> Result<Option<SignedCheckpoint>> {
    let mut below = i64::MAX;
    loop {
        let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
             WHERE number <= $1 ORDER BY number DESC LIMIT 50";
        let rows = connection.fetch_all(sql, &[below.into()]).await?;
        let is_signed = |signed: &SignedCheckpoint| signed.verify(signer).is_ok();
        if let Some(found) = rows.iter().filter_map(read).find(is_signed) {
            return Ok(Some(found));
        }
        match rows.last().and_then(|row| row.get::<i64>("number")) {
            Some(number) if number > i64::MIN => below = number - 1,
            _ => return Ok(None),
        }
    }
}

fn read(row: &SqlRow) -> Option<SignedCheckpoint> {
    let signature = Signature { key: row.get("sign_key")?, bytes: row.get("signature")? };
    Some(SignedCheckpoint { number: row.get("number")?, content: row.get("content")?, signature })
}

/// Signs the tips of the chains that have grown since the last checkpoint. If none has, there is nothing to
/// sign except the end of an export.
pub(super) async fn sign(
    engine: &Engine,
    signer: &AuditSigner,
    writer: &AuditWriter,
    at: Timestamp,
    export: Option<DayRange>,
) -> Result<Option<SignedCheckpoint>> {
    let mut connection = engine.begin().await?;
    lock_numbering(&mut connection).await?;
    let chains = ChainEnds { signer, writer };
    let tips = chains.grown_tips(&mut connection).await?;
    if tips.is_empty() && export.is_none() {
        return Ok(None);
    }
    let export = match export {
        None => None,
        Some(days) => {
            let first = chains.first_checkpoint_since(&mut connection, days.since).await?;
            Some(ExportManifest { days, first })
        }
    };
    let signed = chains.insert_checkpoint(&mut connection, &tips, at, None, export).await?;
    connection.commit().await?;
    writer.mark_covered(&signed, &tips);
    Ok(Some(signed))
}

/// Deletes every day before this one and signs that it was done on purpose. If there is none, nothing is done.
pub(super) async fn drop_before(
    engine: &Engine,
    signer: &AuditSigner,
    writer: &AuditWriter,
    before: Day,
    at: Timestamp,
) -> Result<Option<SignedCheckpoint>> {
    let mut connection = engine.begin().await?;
    lock_numbering(&mut connection).await?;
    let sql = "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM audit WHERE day < $1)";
    if connection.fetch_optional(sql, &[before.0.into()]).await?.is_none() {
        return Ok(None);
    }
    let chains = ChainEnds { signer, writer };
    let first_kept = chains.first_checkpoint_since(&mut connection, before).await?;
    let tips = chains.grown_tips(&mut connection).await?;
    let dropped = DroppedRange { before, first_kept };
    let signed = chains.insert_checkpoint(&mut connection, &tips, at, Some(dropped), None).await?;
    let sql = Sql { sqlite: "DELETE FROM audit WHERE day < $1", postgres: "SELECT audit_drop_before($1)" };
    connection.execute(sql, &[before.0.into()]).await?;
    connection.execute("DELETE FROM audit_chains WHERE day < $1", &[before.0.into()]).await?;
    connection.execute("DELETE FROM audit_checkpoints WHERE number < $1", &[first_kept.into()]).await?;
    connection.commit().await?;
    writer.mark_covered(&signed, &tips);
    Ok(Some(signed))
}

/// The chains of the audit, as this process knows them and as the database has them.
#[derive(Clone, Copy)]
struct ChainEnds<'a> {
    signer: &'a AuditSigner,
    writer: &'a AuditWriter,
}

impl ChainEnds<'_> {
    /// Returns the tips of the chains that have grown. This process knows those of its own chains, whatever the
    /// database says; a chain of another process counts if a broker wrote its last record.
    async fn grown_tips(self, connection: &mut Connection) -> Result<Tips> {
        let sql = "SELECT writer, day, number FROM audit_chains WHERE number > covered";
        let mut tips = self.writer.grown_chains();
        for row in connection.fetch_all(sql, &[]).await? {
            let columns =
                || Some((row.get::<String>("writer")?, row.get::<i64>("day")?, row.get::<i64>("number")?));
            let Some((writer, day, number)) = columns() else { continue };
            let Ok(writer) = WriterId::parse(&writer) else { continue };
            if tips.contains_key(&writer) || self.writer.is_own(&writer) {
                continue;
            }
            match self.tip_at(connection, &writer, day, number).await? {
                Some(tip) => drop(tips.insert(writer, (Day(day), tip))),
                None => {
                    tracing::error!(%writer, number, "a chain of the audit is not as long as its row says")
                }
            }
        }
        Ok(tips)
    }

    /// Returns the tip of a chain that ends with this record, if a broker wrote the record.
    async fn tip_at(
        self,
        connection: &mut Connection,
        writer: &WriterId,
        day: i64,
        number: i64,
    ) -> Result<Option<ChainTip>> {
        let sql = select!("WHERE day = $1 AND writer = $2 AND number >= $3 AND number <= $4 ORDER BY number");
        let values = [day.into(), writer.as_str().into(), number.saturating_sub(1).into(), number.into()];
        let rows = connection.fetch_all(sql, &values).await?;
        let links: Vec<ChainLink> = rows.iter().filter_map(|row| Some(stored_record(row)?.link)).collect();
        let (before, last) = match &links[..] {
            [only] if number == 1 => (Some(ChainTip::NONE.mac), only),
            [before, last] => (before.mac.as_slice().try_into().ok(), last),
            _ => return Ok(None),
        };
        let mac = before.and_then(|before| verify_link(self.signer, &before, last).ok());
        Ok(mac.map(|mac| ChainTip { number, mac }))
    }

    /// Returns the number and hash of the checkpoint that the next one refers to: the last that this process
    /// saw, or one that other processes signed after it. Deletions and insertions from outside do not change it.
    async fn last_checkpoint(self, connection: &mut Connection) -> Result<Option<(i64, String)>> {
        let Some(mut last) = self.writer.last_checkpoint() else {
            let stored = last_signed(connection, self.signer).await?;
            return Ok(stored.map(|signed| (signed.number, signed.hash())));
        };
        let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
             WHERE number > $1 ORDER BY number LIMIT 1000";
        for row in connection.fetch_all(sql, &[last.0.into()]).await? {
            let Some(next) = read(&row) else { break };
            let follows = next.verify(self.signer).is_ok_and(|checkpoint| {
                next.number == last.0 + 1 && checkpoint.previous.as_ref() == Some(&last.1)
            });
            if !follows {
                break;
            }
            last = (next.number, next.hash());
        }
        Ok(Some(last))
    }

    async fn insert_checkpoint(
        self,
        connection: &mut Connection,
        tips: &Tips,
        at: Timestamp,
        dropped: Option<DroppedRange>,
        export: Option<ExportManifest>,
    ) -> Result<SignedCheckpoint> {
        let last = self.last_checkpoint(connection).await?;
        let number = last.as_ref().map_or(0, |(number, _)| *number) + 1;
        // Nobody signed the rows that already have this number or a later one.
        let sql = "DELETE FROM audit_checkpoints WHERE number >= $1";
        if connection.execute(sql, &[number.into()]).await? > 0 {
            tracing::error!(
                number,
                "checkpoints that the broker did not sign were taken out of the database"
            );
        }
        let head = |(writer, (day, tip)): (&WriterId, &(Day, ChainTip))| {
            (writer.clone(), CheckpointHead::new(*day, *tip))
        };
        let previous = last.map(|(_, hash)| hash);
        let heads = tips.iter().map(head).collect();
        let checkpoint = Checkpoint { number, at, previous, heads, dropped, export };
        let signed = SignedCheckpoint::sign(self.signer, &checkpoint)
            .map_err(|error| StoreError::Unexpected(error.to_string()))?;
        let sql = "INSERT INTO audit_checkpoints (number, day, content, sign_key, signature)
             VALUES ($1, $2, $3, $4, $5)";
        let values = [
            signed.number.into(),
            Day::of(at).0.into(),
            (&signed.content).into(),
            (&signed.signature.key).into(),
            (&signed.signature.bytes).into(),
        ];
        connection.execute(sql, &values).await?;
        let sql = "UPDATE audit_chains SET covered = $1 WHERE writer = $2";
        for (writer, (_, tip)) in tips {
            connection.execute(sql, &[tip.number.into(), writer.as_str().into()]).await?;
        }
        Ok(signed)
    }

    /// Returns the number of the first checkpoint that may cover a record of that day or a later one; if there
    /// is none, that of the next checkpoint. One day earlier is included, because a clock may have been slow
    /// when the checkpoint was made.
    async fn first_checkpoint_since(self, connection: &mut Connection, day: Day) -> Result<i64> {
        let sql = "SELECT MIN(number) AS number FROM audit_checkpoints WHERE day >= $1";
        let row = connection.fetch_optional(sql, &[day.plus_days(-1).0.into()]).await?;
        match row.and_then(|row| row.get::<i64>("number")) {
            Some(number) => Ok(number),
            None => Ok(self.last_checkpoint(connection).await?.map_or(0, |(number, _)| number) + 1),
        }
    }
}
