//! Callers, and the indexes that lead from an API key or an issuer to them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::audit_writer::AuditWriter;
use super::authenticated_row::{AuthenticatedDocument, StoredDocument, read, read_each, write};
use super::change_log::record;
use super::connection::Connection;
use super::engine::Engine;
use super::page_builder::PageBuilder;
use super::statement::{SqlRow, holding};
use super::{CallerRef, ChangedEntity, Conflict, PageRequest, Result, StoreError};
use crate::crypto::Vault;
use crate::domain::audit_event::AuditEvent;
use crate::domain::caller::Caller;
use crate::domain::id::{CallerId, KeyId};

macro_rules! select {
    ($rest:literal) => {
        concat!("SELECT id, name, version, doc, mac_key, mac FROM callers ", $rest)
    };
}

impl StoredDocument for Caller {
    const TABLE: &'static str = "callers";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        row.get::<String>("name").as_deref() == Some(self.name.as_str())
    }
}

pub(super) async fn find(engine: &Engine, vault: &Vault, by: &CallerRef) -> Result<Option<Caller>> {
    let (sql, value) = match by {
        CallerRef::Id(id) => (select!("WHERE id = $1"), id.as_str()),
        CallerRef::Name(name) => (select!("WHERE name = $1"), name.as_str()),
        CallerRef::Key(id) => {
            (select!("WHERE id = (SELECT caller_id FROM api_keys WHERE key_id = $1)"), id.as_str())
        }
    };
    let row = engine.read().await?.row(sql, &[value.into()]).await?;
    let caller: Option<Caller> = row.map(|row| read(vault, &row)).transpose()?;
    Ok(caller.filter(|caller| match by {
        CallerRef::Key(id) => lists(caller, id),
        CallerRef::Id(_) | CallerRef::Name(_) => true,
    }))
}

/// The caller, whom nobody else changes until the transaction ends.
pub(super) async fn hold(session: &mut Connection, vault: &Vault, id: &CallerId) -> Result<Option<Caller>> {
    let sql = holding!(select!("WHERE id = $1"), "FOR SHARE");
    let row = session.row(sql, &[id.as_str().into()]).await?;
    row.map(|row| read(vault, &row)).transpose()
}

/// The index says that the key is the caller's; only the caller's own row can know.
fn lists(caller: &Caller, id: &KeyId) -> bool {
    let listed = caller.keys.iter().any(|key| key.id == *id);
    if !listed {
        tracing::error!(key = %id, caller = %caller.id, "the index of API keys names a caller that has no such key");
    }
    listed
}

/// Whom tokens of an issuer may open. The index only says where to look.
pub(super) async fn trusting(engine: &Engine, vault: &Vault, issuer: &str) -> Result<Vec<Caller>> {
    let sql = select!("WHERE id IN (SELECT caller_id FROM caller_trusts WHERE issuer = $1) ORDER BY id");
    let rows = engine.read().await?.rows(sql, &[issuer.into()]).await?;
    Ok(read_each(vault, &rows).filter(|caller| trusts(caller, issuer)).collect())
}

fn trusts(caller: &Caller, issuer: &str) -> bool {
    let trusts = caller.trusts.iter().any(|trust| trust.terms.issuer == issuer);
    if !trusts {
        tracing::error!(issuer, caller = %caller.id, "the index of trusts names a caller that has no such trust");
    }
    trusts
}

pub(super) async fn list(engine: &Engine, vault: &Vault, page: &PageRequest) -> Result<Vec<Caller>> {
    let mut session = engine.read().await?;
    let mut stretch = PageBuilder::new(page);
    while let Some((after, limit)) = stretch.next() {
        let sql = select!("WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = session.rows(sql, &[(&after).into(), limit.into()]).await?;
        stretch.take(&rows, read_each(vault, &rows));
    }
    Ok(stretch.items)
}

pub(super) async fn insert(
    engine: &Engine,
    ledger: &AuditWriter,
    caller: &Caller,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    let AuthenticatedDocument { doc, mac } = write(ledger, caller)?;
    let sql = "INSERT INTO callers (id, name, version, doc, mac_key, mac) VALUES ($1, $2, $3, $4, $5, $6)";
    let values = [
        caller.id.as_str().into(),
        caller.name.as_str().into(),
        caller.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    session.run(sql, &values).await?;
    index_keys(&mut session, caller).await?;
    index_trusts(&mut session, caller).await?;
    record(&mut session, ledger, event, &[ChangedEntity::Caller(caller.id.clone())]).await?;
    session.commit().await
}

pub(super) async fn update(
    engine: &Engine,
    ledger: &AuditWriter,
    caller: &Caller,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    let AuthenticatedDocument { doc, mac } = write(ledger, caller)?;
    let sql = "UPDATE callers SET name = $1, version = $2, doc = $3, mac_key = $4, mac = $5
         WHERE id = $6 AND version = $7";
    let values = [
        caller.name.as_str().into(),
        caller.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        caller.id.as_str().into(),
        (caller.version - 1).into(),
    ];
    if session.run(sql, &values).await? == 0 {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    index_keys(&mut session, caller).await?;
    index_trusts(&mut session, caller).await?;
    record(&mut session, ledger, event, &[ChangedEntity::Caller(caller.id.clone())]).await?;
    session.commit().await
}

/// Makes the index say of this caller what its row says.
async fn index_keys(session: &mut Connection, caller: &Caller) -> Result<()> {
    let listed: BTreeSet<&str> = caller.keys.iter().map(|key| key.id.as_str()).collect();
    let sql = "SELECT key_id FROM api_keys WHERE caller_id = $1";
    let rows = session.rows(sql, &[caller.id.as_str().into()]).await?;
    for key in rows.iter().filter_map(|row| row.get::<String>("key_id")) {
        if !listed.contains(key.as_str()) {
            session.run("DELETE FROM api_keys WHERE key_id = $1", &[(&key).into()]).await?;
        }
    }
    let sql = "INSERT INTO api_keys (key_id, caller_id) VALUES ($1, $2)
         ON CONFLICT (key_id) DO UPDATE SET caller_id = excluded.caller_id";
    for key in listed {
        session.run(sql, &[key.into(), caller.id.as_str().into()]).await?;
    }
    Ok(())
}

/// The same for the issuers that it trusts.
async fn index_trusts(session: &mut Connection, caller: &Caller) -> Result<()> {
    let id = caller.id.as_str();
    session.run("DELETE FROM caller_trusts WHERE caller_id = $1", &[id.into()]).await?;
    let issuers: BTreeSet<&str> = caller.trusts.iter().map(|trust| trust.terms.issuer.as_str()).collect();
    for issuer in issuers {
        let sql = "INSERT INTO caller_trusts (issuer, caller_id) VALUES ($1, $2)";
        session.run(sql, &[issuer.into(), id.into()]).await?;
    }
    Ok(())
}

pub(super) async fn delete(
    engine: &Engine,
    ledger: &AuditWriter,
    id: &CallerId,
    version: i64,
    event: &AuditEvent,
) -> Result<()> {
    let mut session = engine.write().await?;
    session.run("DELETE FROM api_keys WHERE caller_id = $1", &[id.as_str().into()]).await?;
    session.run("DELETE FROM caller_trusts WHERE caller_id = $1", &[id.as_str().into()]).await?;
    let sql = "DELETE FROM callers WHERE id = $1 AND version = $2";
    if session.run(sql, &[id.as_str().into(), version.into()]).await? == 0 {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    record(&mut session, ledger, event, &[ChangedEntity::Caller(id.clone())]).await?;
    session.commit().await
}

/// One statement for all keys' uses would need an array, which SQLite does not know.
pub(super) async fn record_key_uses(engine: &Engine, uses: &[(KeyId, Timestamp)]) -> Result<()> {
    if uses.is_empty() {
        return Ok(());
    }
    let mut session = engine.write().await?;
    let sql = "UPDATE api_keys SET last_used_at = $1
         WHERE key_id = $2 AND (last_used_at IS NULL OR last_used_at < $1)";
    // In one order, so that two processes never wait for each other.
    for (key, at) in uses.iter().collect::<BTreeSet<_>>() {
        session.run(sql, &[at.as_millisecond().into(), key.as_str().into()]).await?;
    }
    session.commit().await
}

pub(super) async fn last_key_uses(engine: &Engine, caller: &CallerId) -> Result<BTreeMap<KeyId, Timestamp>> {
    let sql = "SELECT key_id, last_used_at FROM api_keys WHERE caller_id = $1 AND last_used_at IS NOT NULL";
    let rows = engine.read().await?.rows(sql, &[caller.as_str().into()]).await?;
    Ok(rows
        .iter()
        .filter_map(|row| {
            let key = KeyId::parse(&row.get::<String>("key_id")?).ok()?;
            Some((key, Timestamp::from_millisecond(row.get("last_used_at")?).ok()?))
        })
        .collect())
}
