//! Reading the audit, its checkpoints, and dropping its days.

use std::collections::HashMap;

use jiff::Timestamp;

use super::changes::alone;
use super::document::refused;
use super::engine::Engine;
use super::ledger::{Beside, Ledger};
use super::session::Session;
use super::sql::{Row, Sql};
use super::{AuditFilter, AuditPosition, AuditRecord, AuditStretch, Result, StoreError, StoredLink};
use crate::audit::{ChainHead, Checkpoint, Day, Dropped, Export, Head, Link, Range, Signed, vouched};
use crate::crypto::Signature;
use crate::domain::event::Event;
use crate::domain::id::{AppId, CallerId, TenantId, WriterId};

/// How many days ahead a day's own place is made.
const AHEAD: i64 = 3;

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT day, writer, number, at, action, outcome, actor_id, tenant_id, app_id, caller_id, ",
            "on_behalf_of, fingerprint, doc, mac_key, mac FROM audit ",
            $rest
        )
    };
}

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
    ledger: &Ledger,
    filter: &AuditFilter,
    behind: Option<&AuditPosition>,
    limit: usize,
) -> Result<AuditStretch> {
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
    Ok(AuditStretch { refused: rows.len() - records.len(), records, next })
}

fn place(row: &Row) -> (Option<i64>, Option<String>, Option<i64>) {
    (row.get("at"), row.get("writer"), row.get("number"))
}

fn position(row: &Row) -> Option<AuditPosition> {
    Some(AuditPosition {
        at: Timestamp::from_millisecond(row.get("at")?).ok()?,
        writer: row.get("writer")?,
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
fn unreadable(row: &Row) -> StoreError {
    let number = |column| row.get::<i64>(column).unwrap_or_default();
    let writer = row.get::<String>("writer").unwrap_or_default();
    refused("audit", &format!("{}/{writer}/{}", Day(number("day")), number("number")))
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
    let text = |column| row.get::<String>(column);
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
    let unreadable = |row: &Row| {
        let number: i64 = row.get("number").unwrap_or_default();
        refused("audit_checkpoints", &number.to_string())
    };
    rows.iter().map(|row| signed(row).ok_or_else(|| unreadable(row))).collect()
}

/// The last checkpoint that bears the broker's signature.
pub(super) async fn last_checkpoint(session: &mut Session, ledger: &Ledger) -> Result<Option<Signed>> {
    let mut below = i64::MAX;
    loop {
        let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
             WHERE number <= $1 ORDER BY number DESC LIMIT 50";
        let rows = session.rows(sql, &[below.into()]).await?;
        let good = |signed: &Signed| signed.read(ledger.notary()).is_ok();
        if let Some(found) = rows.iter().filter_map(signed).find(good) {
            return Ok(Some(found));
        }
        match rows.last().and_then(|row| row.get::<i64>("number")) {
            Some(number) if number > i64::MIN => below = number - 1,
            _ => return Ok(None),
        }
    }
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
            let first = first_checkpoint_since(&mut session, ledger, days.since).await?;
            Some(Export { days, first })
        }
    };
    let signed = write(&mut session, ledger, &heads, (at, None, export)).await?;
    session.commit().await?;
    ledger.covered(&signed, &heads);
    Ok(Some(signed))
}

/// How far the chains go that grew. Of its own this process knows it, whatever the store says; others
/// count as far as their last record is one that a broker wrote.
async fn grown(session: &mut Session, ledger: &Ledger) -> Result<HashMap<WriterId, (Day, Head)>> {
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
    session: &mut Session,
    ledger: &Ledger,
    (writer, day, number): (&WriterId, i64, i64),
) -> Result<Option<Head>> {
    let sql = select!("WHERE day = $1 AND writer = $2 AND number >= $3 AND number <= $4 ORDER BY number");
    let values = [day.into(), writer.as_str().into(), number.saturating_sub(1).into(), number.into()];
    let links: Vec<Link> =
        session.rows(sql, &values).await?.iter().filter_map(|row| Some(stored(row)?.link)).collect();
    let (before, last) = match &links[..] {
        [only] if number == 1 => (Some(Head::NONE.mac), only),
        [before, last] => (before.mac.as_slice().try_into().ok(), last),
        _ => return Ok(None),
    };
    let mac = before.and_then(|before| vouched(ledger.notary(), &before, last).ok());
    Ok(mac.map(|mac| Head { number, mac }))
}

/// The checkpoint that the next one names: the last that this process saw, or what other processes signed
/// behind it. What was taken out or put in meanwhile changes nothing of that.
async fn last_of(session: &mut Session, ledger: &Ledger) -> Result<Option<(i64, String)>> {
    let Some(mut last) = ledger.last_checkpoint() else {
        let stored = last_checkpoint(session, ledger).await?;
        return Ok(stored.map(|signed| (signed.number, signed.hash())));
    };
    let sql = "SELECT number, content, sign_key, signature FROM audit_checkpoints
         WHERE number > $1 ORDER BY number LIMIT 1000";
    for row in session.rows(sql, &[last.0.into()]).await? {
        let Some(next) = signed(&row) else { break };
        let follows = next.read(ledger.notary()).is_ok_and(|checkpoint| {
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
    session: &mut Session,
    ledger: &Ledger,
    heads: &HashMap<WriterId, (Day, Head)>,
    (at, dropped, export): (Timestamp, Option<Dropped>, Option<Export>),
) -> Result<Signed> {
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
async fn first_checkpoint_since(session: &mut Session, ledger: &Ledger, day: Day) -> Result<i64> {
    let sql = "SELECT MIN(number) AS number FROM audit_checkpoints WHERE day >= $1";
    let row = session.row(sql, &[day.plus(-1).0.into()]).await?;
    match row.and_then(|row| row.get::<i64>("number")) {
        Some(number) => Ok(number),
        None => Ok(last_of(session, ledger).await?.map_or(0, |(number, _)| number) + 1),
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
    let first_kept = first_checkpoint_since(&mut session, ledger, before).await?;
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
