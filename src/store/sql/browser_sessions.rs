//! Browser sessions. That one was cancelled stands in its own authenticated row, and a row that is
//! missing opens nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::audit_writer::AuditWriter;
use super::authenticated_row::{AuthenticatedDocument, StoredDocument, left_out, read, read_each, write};
use super::change_log::record;
use super::connection::Connection;
use super::engine::Engine;
use super::statement::{SqlRow, SqlValue, holding};
use super::{
    ChangedEntity, Conflict, NewBrowserSession, Result, SessionCursor, SessionFilter, SessionPage,
    SessionSelector, StoreError, apps, callers, tenants,
};
use crate::crypto::Vault;
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::SessionId;
use crate::domain::session::BrowserSession;

/// For how long the row of a session is kept that has ended, so that whoever comes with it still hears
/// that it has.
const KEPT_MILLISECONDS: i64 = 24 * 60 * 60 * 1000;

macro_rules! select {
    ($($rest:literal),+) => {
        concat!(
            "SELECT id, tenant_id, caller_id, on_behalf_of, created_at, expires_at, version, doc, mac_key, mac ",
            "FROM sessions ",
            $($rest),+
        )
    };
}

/// A stretch of those that go on, the oldest first.
macro_rules! behind {
    ($($condition:literal),+) => {
        select!(
            "WHERE expires_at > $1 AND created_at >= $2 AND (created_at > $2 OR id > $3) ",
            $($condition),+,
            " ORDER BY created_at, id LIMIT $4"
        )
    };
}

impl StoredDocument for BrowserSession {
    const TABLE: &'static str = "sessions";

    fn id(&self) -> &str {
        self.id.as_str()
    }

    fn version(&self) -> i64 {
        self.version
    }

    fn agrees_with(&self, row: &SqlRow) -> bool {
        let says = |column, text: &str| row.get::<String>(column).as_deref() == Some(text);
        says("tenant_id", self.tenant.as_str())
            && says("caller_id", self.opener.caller.as_str())
            && row.maybe::<String>("on_behalf_of")
                == Some(self.on_behalf_of.as_ref().map(ToString::to_string))
            && row.get("created_at") == Some(self.created_at.as_millisecond())
            && row.get("expires_at") == Some(self.expires_at.as_millisecond())
    }
}

pub(super) async fn find(engine: &Engine, vault: &Vault, id: &SessionId) -> Result<Option<BrowserSession>> {
    let row = engine.read().await?.row(select!("WHERE id = $1"), &[id.as_str().into()]).await?;
    row.map(|row| read(vault, &row)).transpose()
}

/// Adds a session, where tenant, app and opener are those by which it was judged.
pub(super) async fn insert(
    engine: &Engine,
    ledger: &AuditWriter,
    new: &NewBrowserSession<'_>,
    event: &AuditEvent,
) -> Result<()> {
    let mut connection = engine.write().await?;
    if !is_as_judged(&mut connection, ledger, new).await? {
        return Err(StoreError::Conflict(Conflict::Version));
    }
    let session = new.session;
    let AuthenticatedDocument { doc, mac } = write(ledger, session)?;
    let sql = "INSERT INTO sessions
         (id, tenant_id, caller_id, on_behalf_of, created_at, expires_at, version, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = [
        session.id.as_str().into(),
        session.tenant.as_str().into(),
        session.opener.caller.as_str().into(),
        session.on_behalf_of.as_ref().map(|who| who.as_str()).into(),
        session.created_at.as_millisecond().into(),
        session.expires_at.as_millisecond().into(),
        session.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    connection.run(sql, &values).await?;
    record(&mut connection, ledger, event, &[ChangedEntity::Session(session.id.clone())]).await?;
    connection.commit().await
}

/// Whoever locks one of them from here on finds the session in its place.
async fn is_as_judged(
    connection: &mut Connection,
    vault: &Vault,
    new: &NewBrowserSession<'_>,
) -> Result<bool> {
    let tenant = tenants::hold(connection, vault, &new.session.tenant).await?;
    let app = apps::hold(connection, vault, &new.app.id).await?;
    let caller = callers::hold(connection, vault, &new.session.opener.caller).await?;
    Ok(tenant.is_some_and(|tenant| tenant.version == new.tenant.version)
        && app.is_some_and(|app| app.version == new.app.version)
        && caller.is_some_and(|caller| caller.version == new.caller.version))
}

pub(super) async fn stretch(
    engine: &Engine,
    vault: &Vault,
    filter: &SessionFilter,
    behind: Option<&SessionCursor>,
    limit: usize,
) -> Result<SessionPage> {
    let (created_at, id) = behind.map_or((i64::MIN, ""), |behind| (behind.created_at, behind.id.as_str()));
    let (sql, of) = match &filter.selector {
        SessionSelector::Tenant(id) if filter.on_behalf_of.is_some() => {
            (behind!("AND tenant_id = $5 ", "AND on_behalf_of = $6"), id.as_str())
        }
        SessionSelector::Tenant(id) => (behind!("AND tenant_id = $5"), id.as_str()),
        SessionSelector::App(id) => {
            (behind!("AND tenant_id IN (SELECT id FROM tenants WHERE app_id = $5)"), id.as_str())
        }
        SessionSelector::Caller(id) => (behind!("AND caller_id = $5"), id.as_str()),
    };
    let limited = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut values: Vec<SqlValue<'_>> = vec![
        filter.expires_after.as_millisecond().into(),
        created_at.into(),
        id.into(),
        limited.into(),
        of.into(),
    ];
    if let (SessionSelector::Tenant(_), Some(who)) = (&filter.selector, &filter.on_behalf_of) {
        values.push(who.as_str().into());
    }
    let rows = engine.read().await?.rows(sql, &values).await?;
    let next = rows.last().filter(|_| rows.len() == limit).and_then(position);
    Ok(SessionPage { sessions: read_each(vault, &rows).collect(), next })
}

fn position(row: &SqlRow) -> Option<SessionCursor> {
    Some(SessionCursor { created_at: row.get("created_at")?, id: row.get("id")? })
}

/// Cancels sessions, and tells how many were not cancelled before.
pub(super) async fn cancel(
    engine: &Engine,
    ledger: &AuditWriter,
    sessions: &[SessionId],
    event: &AuditEvent,
) -> Result<usize> {
    let mut connection = engine.write().await?;
    let mut changed = Vec::new();
    // In one order, so that two who do it never wait for each other.
    for id in sessions.iter().collect::<BTreeSet<_>>() {
        let sql = holding!(select!("WHERE id = $1"), "FOR UPDATE");
        let row = connection.row(sql, &[id.as_str().into()]).await?;
        // One that is refused opens nothing anyway.
        let Some(session) = row.and_then(|row| left_out(read::<BrowserSession>(ledger, &row))) else {
            continue;
        };
        if session.cancelled_at.is_some() {
            continue;
        }
        let version = session.version + 1;
        replace(
            &mut connection,
            ledger,
            &BrowserSession { cancelled_at: Some(event.at), version, ..session },
        )
        .await?;
        changed.push(ChangedEntity::Session(id.clone()));
    }
    record(&mut connection, ledger, event, &changed).await?;
    connection.commit().await?;
    Ok(changed.len())
}

async fn replace(connection: &mut Connection, vault: &Vault, session: &BrowserSession) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = write(vault, session)?;
    let sql = "UPDATE sessions SET version = $1, doc = $2, mac_key = $3, mac = $4 WHERE id = $5";
    let values = [
        session.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        session.id.as_str().into(),
    ];
    connection.run(sql, &values).await.map(drop)
}

/// Erases what ended a day ago.
pub(super) async fn sweep(connection: &mut Connection, now: Timestamp) -> Result<()> {
    let ended = now.as_millisecond().saturating_sub(KEPT_MILLISECONDS);
    connection.run("DELETE FROM sessions WHERE expires_at <= $1", &[ended.into()]).await.map(drop)
}
