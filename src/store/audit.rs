//! Reading the audit, its checkpoints, and dropping its days.

use std::collections::HashMap;

use jiff::Timestamp;

use super::changes::alone;
use super::engine::Engine;
use super::ledger::{Beside, Ledger};
use super::session::Session;
use super::sql::{Row, Sql};
use super::{AuditFilter, AuditPosition, AuditRecord, AuditStretch, Result, StoreError, StoredLink};
use crate::audit::{Chain, ChainHead, Checkpoint, Day, Dropped, Export, Head, Link, Range, Signed, vouched};
use crate::crypto::Signature;
use crate::domain::event::Event;
use crate::domain::id::{AppId, CallerId, TenantId, WriterId};

/// How many days ahead a day's own place is made.
const AHEAD: i64 = 3;

macro_rules! select {
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT a.day, a.writer, a.number, a.at, a.action, a.outcome, a.actor_id, a.tenant_id, a.app_id, ",
            "a.caller_id, a.on_behalf_of, a.fingerprint, a.doc, a.mac_key, a.mac",
            $more,
            " FROM audit a ",
            $rest
        )
    };
}

/// Records that fit, the newest first.
pub(super) async fn list(
    engine: &Engine,
    ledger: &Ledger,
    filter: &AuditFilter,
    behind: Option<&AuditPosition>,
    limit: usize,
) -> Result<AuditStretch> {
    let sql = select!(
        ", (SELECT b.mac FROM audit b WHERE b.day = a.day AND b.writer = a.writer AND b.number = a.number - 1)
           AS before",
        "WHERE (CAST($1 AS TEXT) IS NULL OR a.tenant_id = $1)
           AND (CAST($2 AS TEXT) IS NULL OR a.actor_id = $2 OR a.caller_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR a.action = $3)
           AND (CAST($4 AS TEXT) IS NULL OR a.outcome = $4)
           AND (CAST($5 AS TEXT) IS NULL OR a.on_behalf_of = $5)
           AND (CAST($6 AS TEXT) IS NULL OR a.fingerprint = $6)
           AND a.at >= $7 AND a.at < $8
           AND (a.at, a.writer, a.number) < ($9, $10, $11)
         ORDER BY a.at DESC, a.writer DESC, a.number DESC LIMIT $12"
    );
    let end = |at: Option<Timestamp>, otherwise| at.map_or(otherwise, |at| at.as_millisecond());
    let (at, writer, number) = match behind {
        Some(AuditPosition { at, writer, number }) => (at.as_millisecond(), writer.as_str(), *number),
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
    let rows = engine.read().await?.rows(sql, &values).await?;
    let is_last = rows.len() <= limit;
    let rows = &rows[..limit.min(rows.len())];
    let records: Vec<_> = rows.iter().filter_map(|row| read(ledger, row)).collect();
    let next = rows.last().filter(|_| !is_last).and_then(position);
    Ok(AuditStretch { refused: rows.len() - records.len(), records, next })
}

fn position(row: &Row) -> Option<AuditPosition> {
    Some(AuditPosition {
        at: Timestamp::from_millisecond(row.get("at")?).ok()?,
        writer: WriterId::parse(&row.get::<String>("writer")?).ok()?,
        number: row.get("number")?,
    })
}

/// A record that is what the broker wrote; one that is not is told to the operator and left out.
fn read(ledger: &Ledger, row: &Row) -> Option<AuditRecord> {
    let StoredLink { link, agrees } = stored(row)?;
    let before = match row.get::<Vec<u8>>("before") {
        None if link.number == 1 => Head::NONE.mac,
        before => before.and_then(|mac| mac.try_into().ok()).unwrap_or_default(),
    };
    let event = serde_json::from_str(&link.doc).ok();
    match (vouched(ledger.notary(), &before, &link), event) {
        (Ok(_), Some(event)) if agrees => {
            Some(AuditRecord { writer: link.writer, number: link.number, event })
        }
        (vouched, _) => {
            let (writer, number) = (&link.writer, link.number);
            let error = vouched.err();
            tracing::error!(%writer, number, ?error, "a record of the audit is left out: run `audit verify`");
            None
        }
    }
}

/// Records as they stand, in the order of day, chain and number.
pub(super) async fn links(
    engine: &Engine,
    range: Range,
    behind: Option<(Day, &WriterId, i64)>,
    limit: usize,
) -> Result<Vec<StoredLink>> {
    let sql = select!(
        "",
        "WHERE a.day >= $1 AND a.day <= $2 AND (a.day, a.writer, a.number) > ($3, $4, $5)
         ORDER BY a.day, a.writer, a.number LIMIT $6"
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
    let unreadable = || StoreError::Unexpected("a row of the audit cannot be read at all".to_owned());
    rows.iter().map(|row| stored(row).ok_or_else(unreadable)).collect()
}

fn stored(row: &Row) -> Option<StoredLink> {
    let link = Link {
        writer: WriterId::parse(&row.get::<String>("writer")?).ok()?,
        day: Day(row.get("day")?),
        number: row.get("number")?,
        doc: row.get("doc")?,
        key: row.get("mac_key")?,
        mac: row.get("mac")?,
    };
    let agrees = serde_json::from_str(&link.doc).is_ok_and(|event: Event| agrees(row, &event));
    Some(StoredLink { link, agrees })
}

/// True where every column by which a record is found says what the record says.
fn agrees(row: &Row, event: &Event) -> bool {
    let text = |column| row.get::<Option<String>>(column).flatten();
    let Beside { actor, on_behalf_of } = Beside::of(event);
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

/// Checkpoints behind that number, in their order.
pub(super) async fn checkpoints(engine: &Engine, behind: i64, limit: usize) -> Result<Vec<Signed>> {
    let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
         WHERE number > $1 ORDER BY number LIMIT $2";
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = engine.read().await?.rows(sql, &[behind.into(), limit.into()]).await?;
    let unreadable = || StoreError::Unexpected("a checkpoint cannot be read at all".to_owned());
    rows.iter().map(|row| signed(row).ok_or_else(unreadable)).collect()
}

/// The last checkpoint.
pub(super) async fn last_checkpoint(session: &mut Session) -> Result<Option<Signed>> {
    let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
         ORDER BY number DESC LIMIT 1";
    Ok(session.row(sql, &[]).await?.as_ref().and_then(signed))
}

fn signed(row: &Row) -> Option<Signed> {
    let signature = Signature { key: row.get("sign_key")?, bytes: row.get("signature")? };
    Some(Signed { number: row.get("number")?, content: row.get("content")?, signature })
}

/// Signs how far the chains go that grew since the last checkpoint. Where none did there is nothing to
/// sign, but for the end of an export.
pub(super) async fn checkpoint(
    engine: &Engine,
    ledger: &Ledger,
    at: Timestamp,
    export: Option<Range>,
) -> Result<Option<Signed>> {
    let mut session = engine.write().await?;
    alone(&mut session).await?;
    let heads = grown(&mut session, ledger).await?;
    if heads.is_empty() && export.is_none() {
        return Ok(None);
    }
    let export = match export {
        None => None,
        Some(days) => {
            let first = first_checkpoint_since(&mut session, days.since).await?;
            Some(Export { days, first })
        }
    };
    let signed = write(&mut session, ledger, &heads, (at, None, export)).await?;
    session.commit().await?;
    ledger.covered(&signed, &heads);
    Ok(Some(signed))
}

/// How far the chains go that grew. What this process wrote itself it knows better than the store: a
/// chain that was cut off there is signed as it was written.
async fn grown(session: &mut Session, ledger: &Ledger) -> Result<HashMap<WriterId, (Day, Head)>> {
    let sql = "SELECT writer, day, number, mac FROM audit_chains WHERE number > covered";
    let mut heads = ledger.grown();
    for row in session.rows(sql, &[]).await? {
        let chain = (|| {
            let mac = row.get::<Vec<u8>>("mac")?.try_into().ok()?;
            let writer = WriterId::parse(&row.get::<String>("writer")?).ok()?;
            Some(Chain { writer, day: Day(row.get("day")?), head: Head { number: row.get("number")?, mac } })
        })();
        let Some(Chain { writer, day, head }) = chain else { continue };
        let known = heads.entry(writer).or_insert((day, head));
        if head.number > known.1.number {
            *known = (day, head);
        }
    }
    Ok(heads)
}

async fn write(
    session: &mut Session,
    ledger: &Ledger,
    heads: &HashMap<WriterId, (Day, Head)>,
    (at, dropped, export): (Timestamp, Option<Dropped>, Option<Export>),
) -> Result<Signed> {
    let stored = last_checkpoint(session).await?.map(|signed| (signed.number, signed.hash()));
    let last = match (stored, ledger.last_checkpoint()) {
        (stored, Some(known)) if stored.as_ref().is_none_or(|stored| stored.0 < known.0) => {
            tracing::error!(
                number = known.0,
                "a checkpoint of the audit was taken out of the database: run `audit verify`"
            );
            Some(known)
        }
        (stored, _) => stored,
    };
    let checkpoint = Checkpoint {
        number: last.as_ref().map_or(0, |(number, _)| *number) + 1,
        at,
        previous: last.map(|(_, hash)| hash),
        heads: heads
            .iter()
            .map(|(writer, (day, head))| (writer.clone(), ChainHead::new(*day, *head)))
            .collect(),
        dropped,
        export,
    };
    let signed = Signed::sign(ledger.notary(), &checkpoint)
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
async fn first_checkpoint_since(session: &mut Session, day: Day) -> Result<i64> {
    let sql = "SELECT MIN(number) AS number FROM audit_checkpoints WHERE day >= $1";
    let row = session.row(sql, &[day.plus(-1).0.into()]).await?;
    match row.and_then(|row| row.get::<i64>("number")) {
        Some(number) => Ok(number),
        None => Ok(last_checkpoint(session).await?.map_or(0, |last| last.number) + 1),
    }
}

/// Drops every day before this one, and signs that it was done on purpose. Where there is none to drop,
/// nothing is done.
pub(super) async fn drop_before(
    engine: &Engine,
    ledger: &Ledger,
    before: Day,
    at: Timestamp,
) -> Result<Option<Signed>> {
    let mut session = engine.write().await?;
    alone(&mut session).await?;
    let sql = "SELECT 1 AS one WHERE EXISTS (SELECT 1 FROM audit WHERE day < $1)";
    if session.row(sql, &[before.0.into()]).await?.is_none() {
        return Ok(None);
    }
    let first_kept = first_checkpoint_since(&mut session, before).await?;
    let heads = grown(&mut session, ledger).await?;
    let dropped = Dropped { before, first_kept };
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
        session.run("SELECT audit_make_day($1)", &[today.plus(ahead).0.into()]).await?;
        session.commit().await?;
    }
    Ok(())
}
