//! The audit's checkpoints, which sign how far it goes, and the end of its days.

use std::collections::HashMap;

use jiff::Timestamp;

use super::audit_records::{select, stored};
use super::audit_writer::AuditWriter;
use super::authenticated_row::refused;
use super::change_log::alone;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::{Sql, SqlRow};
use super::{Result, StoreError};
use crate::audit::{
    ChainLink, ChainTip, Checkpoint, CheckpointHead, Day, DayRange, DroppedRange, ExportManifest,
    SignedCheckpoint, verify_link,
};
use crate::crypto::Signature;
use crate::domain::id::WriterId;

/// How many days ahead a day's own place is made.
const AHEAD: i64 = 3;

/// Checkpoints behind that number, in their order.
pub(super) async fn behind(engine: &Engine, number: i64, limit: usize) -> Result<Vec<SignedCheckpoint>> {
    let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
         WHERE number > $1 ORDER BY number LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = engine.read().await?.rows(sql, &[number.into(), limit.into()]).await?;
    let unreadable = |row: &SqlRow| {
        let number: i64 = row.get("number").unwrap_or_default();
        refused("audit_checkpoints", &number.to_string())
    };
    rows.iter().map(|row| signed(row).ok_or_else(|| unreadable(row))).collect()
}

/// The last checkpoint that bears the broker's signature.
pub(super) async fn last(session: &mut Connection, ledger: &AuditWriter) -> Result<Option<SignedCheckpoint>> {
    let mut below = i64::MAX;
    loop {
        let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
             WHERE number <= $1 ORDER BY number DESC LIMIT 50";
        let rows = session.rows(sql, &[below.into()]).await?;
        let good = |signed: &SignedCheckpoint| signed.verify(ledger.notary()).is_ok();
        if let Some(found) = rows.iter().filter_map(signed).find(good) {
            return Ok(Some(found));
        }
        match rows.last().and_then(|row| row.get::<i64>("number")) {
            Some(number) if number > i64::MIN => below = number - 1,
            _ => return Ok(None),
        }
    }
}

fn signed(row: &SqlRow) -> Option<SignedCheckpoint> {
    let signature = Signature { key: row.get("sign_key")?, bytes: row.get("signature")? };
    Some(SignedCheckpoint { number: row.get("number")?, content: row.get("content")?, signature })
}

/// Signs how far the chains go that grew since the last checkpoint. Where none did there is nothing to
/// sign, but for the end of an export.
pub(super) async fn sign(
    engine: &Engine,
    ledger: &AuditWriter,
    at: Timestamp,
    export: Option<DayRange>,
) -> Result<Option<SignedCheckpoint>> {
    let mut session = engine.write().await?;
    alone(&mut session).await?;
    let heads = grown(&mut session, ledger).await?;
    if heads.is_empty() && export.is_none() {
        return Ok(None);
    }
    let export = match export {
        None => None,
        Some(days) => {
            let first = first_checkpoint_since(&mut session, ledger, days.since).await?;
            Some(ExportManifest { days, first })
        }
    };
    let signed = write(&mut session, ledger, &heads, (at, None, export)).await?;
    session.commit().await?;
    ledger.covered(&signed, &heads);
    Ok(Some(signed))
}

/// How far the chains go that grew. Of its own this process knows it, whatever the store says; others
/// count as far as their last record is one that a broker wrote.
async fn grown(session: &mut Connection, ledger: &AuditWriter) -> Result<HashMap<WriterId, (Day, ChainTip)>> {
    let sql = "SELECT writer, day, number FROM audit_chains WHERE number > covered";
    let mut heads = ledger.grown();
    for row in session.rows(sql, &[]).await? {
        let named =
            || Some((row.get::<String>("writer")?, row.get::<i64>("day")?, row.get::<i64>("number")?));
        let Some((writer, day, number)) = named() else { continue };
        let Ok(writer) = WriterId::parse(&writer) else { continue };
        if heads.contains_key(&writer) || ledger.is_own(&writer) {
            continue;
        }
        match head_of(session, ledger, (&writer, day, number)).await? {
            Some(head) => drop(heads.insert(writer, (Day(day), head))),
            None => tracing::error!(%writer, number, "a chain of the audit is not as long as its row says"),
        }
    }
    Ok(heads)
}

/// The head of a chain that ends with this record, where a broker wrote it.
async fn head_of(
    session: &mut Connection,
    ledger: &AuditWriter,
    (writer, day, number): (&WriterId, i64, i64),
) -> Result<Option<ChainTip>> {
    let sql = select!("WHERE day = $1 AND writer = $2 AND number >= $3 AND number <= $4 ORDER BY number");
    let values = [day.into(), writer.as_str().into(), number.saturating_sub(1).into(), number.into()];
    let links: Vec<ChainLink> =
        session.rows(sql, &values).await?.iter().filter_map(|row| Some(stored(row)?.link)).collect();
    let (before, last) = match &links[..] {
        [only] if number == 1 => (Some(ChainTip::NONE.mac), only),
        [before, last] => (before.mac.as_slice().try_into().ok(), last),
        _ => return Ok(None),
    };
    let mac = before.and_then(|before| verify_link(ledger.notary(), &before, last).ok());
    Ok(mac.map(|mac| ChainTip { number, mac }))
}

/// The checkpoint that the next one names: the last that this process saw, or what other processes signed
/// behind it. What was taken out or put in meanwhile changes nothing of that.
async fn last_of(session: &mut Connection, ledger: &AuditWriter) -> Result<Option<(i64, String)>> {
    let Some(mut last) = ledger.last_checkpoint() else {
        let stored = last(session, ledger).await?;
        return Ok(stored.map(|signed| (signed.number, signed.hash())));
    };
    let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
         WHERE number > $1 ORDER BY number LIMIT 1000";
    for row in session.rows(sql, &[last.0.into()]).await? {
        let Some(next) = signed(&row) else { break };
        let follows = next.verify(ledger.notary()).is_ok_and(|checkpoint| {
            next.number == last.0 + 1 && checkpoint.previous.as_ref() == Some(&last.1)
        });
        if !follows {
            break;
        }
        last = (next.number, next.hash());
    }
    Ok(Some(last))
}

async fn write(
    session: &mut Connection,
    ledger: &AuditWriter,
    heads: &HashMap<WriterId, (Day, ChainTip)>,
    (at, dropped, export): (Timestamp, Option<DroppedRange>, Option<ExportManifest>),
) -> Result<SignedCheckpoint> {
    let last = last_of(session, ledger).await?;
    let number = last.as_ref().map_or(0, |(number, _)| *number) + 1;
    // What stands there already has nobody signed.
    let sql = "DELETE FROM audit_checkpoints WHERE number >= $1";
    if session.run(sql, &[number.into()]).await? > 0 {
        tracing::error!(number, "checkpoints that the broker did not sign were taken out of the database");
    }
    let checkpoint = Checkpoint {
        number,
        at,
        previous: last.map(|(_, hash)| hash),
        heads: heads
            .iter()
            .map(|(writer, (day, head))| (writer.clone(), CheckpointHead::new(*day, *head)))
            .collect(),
        dropped,
        export,
    };
    let signed = SignedCheckpoint::sign(ledger.notary(), &checkpoint)
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
    session.run(sql, &values).await?;
    let sql = "UPDATE audit_chains SET covered = $1 WHERE writer = $2";
    for (writer, (_, head)) in heads {
        session.run(sql, &[head.number.into(), writer.as_str().into()]).await?;
    }
    Ok(signed)
}

/// The number of the first checkpoint that may cover a record of that day or a later one: the next
/// one's, where there is none. A clock may have been a little slow when it was made.
async fn first_checkpoint_since(session: &mut Connection, ledger: &AuditWriter, day: Day) -> Result<i64> {
    let sql = "SELECT MIN(number) AS number FROM audit_checkpoints WHERE day >= $1";
    let row = session.row(sql, &[day.plus_days(-1).0.into()]).await?;
    match row.and_then(|row| row.get::<i64>("number")) {
        Some(number) => Ok(number),
        None => Ok(last_of(session, ledger).await?.map_or(0, |(number, _)| number) + 1),
    }
}

/// Drops every day before this one, and signs that it was done on purpose. Where there is none to drop,
/// nothing is done.
pub(super) async fn drop_before(
    engine: &Engine,
    ledger: &AuditWriter,
    before: Day,
    at: Timestamp,
) -> Result<Option<SignedCheckpoint>> {
    let mut session = engine.write().await?;
    alone(&mut session).await?;
    let sql = "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM audit WHERE day < $1)";
    if session.row(sql, &[before.0.into()]).await?.is_none() {
        return Ok(None);
    }
    let first_kept = first_checkpoint_since(&mut session, ledger, before).await?;
    let heads = grown(&mut session, ledger).await?;
    let dropped = DroppedRange { before, first_kept };
    let signed = write(&mut session, ledger, &heads, (at, Some(dropped), None)).await?;
    let sql = Sql { sqlite: "DELETE FROM audit WHERE day < $1", postgres: "SELECT audit_drop_before($1)" };
    session.run(sql, &[before.0.into()]).await?;
    session.run("DELETE FROM audit_chains WHERE day < $1", &[before.0.into()]).await?;
    session.run("DELETE FROM audit_checkpoints WHERE number < $1", &[first_kept.into()]).await?;
    session.commit().await?;
    ledger.covered(&signed, &heads);
    Ok(Some(signed))
}

/// Makes a place for each of the next days, where days have one of their own.
pub(super) async fn make_days(engine: &Engine, today: Day) -> Result<()> {
    let Engine::Postgres(_) = engine else { return Ok(()) };
    for ahead in 0..=AHEAD {
        let mut session = engine.write().await?;
        session.run("SELECT audit_make_day($1)", &[today.plus_days(ahead).0.into()]).await?;
        session.commit().await?;
    }
    Ok(())
}
