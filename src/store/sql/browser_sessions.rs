//! The store of browser sessions on SQL. That a session was cancelled is in its own authenticated row, and a
//! missing row permits nothing.

use std::collections::BTreeSet;

use async_trait::async_trait;
use jiff::Timestamp;

use super::authenticated_row::{
    AuthenticatedDocument, StoredDocument, authenticate, fetch_document, ok_or_log, verify_row, verify_rows,
};
use super::connection::Connection;
use super::statement::{SqlRow, SqlValue, locking};
use super::timeout::with_timeout;
use super::{SqlStore, app_rows, callers, tenant_rows};
use crate::crypto::Vault;
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::SessionId;
use crate::domain::session::BrowserSession;
use crate::store::{
    BrowserSessionStore, ChangedEntity, Conflict, NewBrowserSession, Page, PageRequest, Result,
    SessionCursor, SessionFilter, SessionSelector, StoreError,
};

/// The time that the row of a session is kept after its end, in milliseconds, so that requests with the session
/// still learn that it has ended.
const RETENTION_MILLISECONDS: i64 = 24 * 60 * 60 * 1000;

macro_rules! select {
    ($($rest:literal),+) => {
        concat!(
            "SELECT id, tenant_id, caller_id, on_behalf_of, created_at, expires_at, version, doc, mac_key, mac ",
            "FROM sessions ",
            $($rest),+
        )
    };
}

/// Selects a page of the sessions that have not ended, the oldest first.
macro_rules! select_page {
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
        let holds = |column, text: &str| row.get::<String>(column).as_deref() == Some(text);
        holds("tenant_id", self.tenant.as_str())
            && holds("caller_id", self.owner.caller.as_str())
            && row.get_nullable::<String>("on_behalf_of")
                == Some(self.on_behalf_of.as_ref().map(ToString::to_string))
            && row.get("created_at") == Some(self.created_at.as_millisecond())
            && row.get("expires_at") == Some(self.expires_at.as_millisecond())
    }
}

#[async_trait]
impl BrowserSessionStore for SqlStore {
    async fn browser_session(&self, id: &SessionId) -> Result<Option<BrowserSession>> {
        with_timeout(async {
            let mut connection = self.engine.reader().await?;
            fetch_document(&mut connection, &self.vault, select!("WHERE id = $1"), &[id.as_str().into()])
                .await
        })
        .await
    }

    async fn insert_browser_session(&self, new: &NewBrowserSession<'_>, event: &AuditEvent) -> Result<()> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            if !lock_and_compare(&mut transaction, &self.vault, new).await? {
                return Err(StoreError::Conflict(Conflict::Version));
            }
            insert(&mut transaction, &self.vault, new.session).await?;
            let changed = [ChangedEntity::Session(new.session.id.clone())];
            transaction.commit_change(&self.vault, event, &changed).await
        })
        .await
    }

    async fn browser_sessions(
        &self,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<BrowserSession, SessionCursor>> {
        let (created_at, id) =
            page.after.as_ref().map_or((i64::MIN, ""), |after| (after.created_at, after.id.as_str()));
        let (sql, owner) = match &filter.selector {
            SessionSelector::Tenant(id) if filter.on_behalf_of.is_some() => {
                (select_page!("AND tenant_id = $5 ", "AND on_behalf_of = $6"), id.as_str())
            }
            SessionSelector::Tenant(id) => (select_page!("AND tenant_id = $5"), id.as_str()),
            SessionSelector::App(id) => {
                (select_page!("AND tenant_id IN (SELECT id FROM tenants WHERE app_id = $5)"), id.as_str())
            }
            SessionSelector::Caller(id) => (select_page!("AND caller_id = $5"), id.as_str()),
        };
        let expires_after = filter.expires_after.as_millisecond();
        let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
        let mut values: Vec<SqlValue<'_>> =
            vec![expires_after.into(), created_at.into(), id.into(), limit.into(), owner.into()];
        if let (SessionSelector::Tenant(_), Some(who)) = (&filter.selector, &filter.on_behalf_of) {
            values.push(who.as_str().into());
        }
        let rows = with_timeout(async { self.engine.reader().await?.fetch_all(sql, &values).await }).await?;
        let next = rows.last().filter(|_| rows.len() == page.limit).and_then(cursor);
        let items: Vec<_> = verify_rows(&self.vault, &rows).collect();
        Ok(Page { refused: rows.len() - items.len(), items, next })
    }

    async fn cancel_browser_sessions(&self, sessions: &[SessionId], event: &AuditEvent) -> Result<usize> {
        with_timeout(async {
            let mut transaction = self.begin_audited().await?;
            let mut changed = Vec::new();
            // Always in the same order, so that two transactions cannot deadlock.
            for id in sessions.iter().collect::<BTreeSet<_>>() {
                if cancel(&mut transaction, &self.vault, id, event.at).await? {
                    changed.push(ChangedEntity::Session(id.clone()));
                }
            }
            transaction.commit_change(&self.vault, event, &changed).await?;
            Ok(changed.len())
        })
        .await
    }
}

/// Locks tenant, app and caller and returns true if they are those that the decision to open the session was
/// based on. A transaction that locks one of them later sees the session.
async fn lock_and_compare(
    connection: &mut Connection,
    vault: &Vault,
    new: &NewBrowserSession<'_>,
) -> Result<bool> {
    let tenant = tenant_rows::lock(connection, vault, &new.session.tenant).await?;
    let app = app_rows::lock(connection, vault, &new.app.id).await?;
    let caller = callers::lock(connection, vault, &new.session.owner.caller).await?;
    Ok(tenant.is_some_and(|tenant| tenant.version == new.tenant.version)
        && app.is_some_and(|app| app.version == new.app.version)
        && caller.is_some_and(|caller| caller.version == new.caller.version))
}

async fn insert(connection: &mut Connection, vault: &Vault, session: &BrowserSession) -> Result<()> {
    let AuthenticatedDocument { doc, mac } = authenticate(vault, session)?;
    let sql = "INSERT INTO sessions
         (id, tenant_id, caller_id, on_behalf_of, created_at, expires_at, version, doc, mac_key, mac)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = [
        session.id.as_str().into(),
        session.tenant.as_str().into(),
        session.owner.caller.as_str().into(),
        session.on_behalf_of.as_ref().map(|who| who.as_str()).into(),
        session.created_at.as_millisecond().into(),
        session.expires_at.as_millisecond().into(),
        session.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
    ];
    connection.execute(sql, &values).await.map(drop)
}

fn cursor(row: &SqlRow) -> Option<SessionCursor> {
    Some(SessionCursor { created_at: row.get("created_at")?, id: row.get("id")? })
}

/// Cancels a session and returns true unless it was cancelled before, does not exist, or fails verification:
/// such a session permits nothing anyway.
async fn cancel(connection: &mut Connection, vault: &Vault, id: &SessionId, at: Timestamp) -> Result<bool> {
    let sql = locking!(select!("WHERE id = $1"), "FOR UPDATE");
    let row = connection.fetch_optional(sql, &[id.as_str().into()]).await?;
    let session = row.and_then(|row| ok_or_log(verify_row::<BrowserSession>(vault, &row)));
    let Some(session) = session.filter(|session| session.cancelled_at.is_none()) else { return Ok(false) };
    let session = BrowserSession { cancelled_at: Some(at), version: session.version + 1, ..session };
    let AuthenticatedDocument { doc, mac } = authenticate(vault, &session)?;
    let sql = "UPDATE sessions SET version = $1, doc = $2, mac_key = $3, mac = $4 WHERE id = $5";
    let values = [
        session.version.into(),
        (&doc).into(),
        (&mac.key).into(),
        (&mac.mac).into(),
        session.id.as_str().into(),
    ];
    connection.execute(sql, &values).await.map(|_| true)
}

/// Erases sessions that ended a day ago.
pub(super) async fn delete_expired(connection: &mut Connection, now: Timestamp) -> Result<()> {
    let ended = now.as_millisecond().saturating_sub(RETENTION_MILLISECONDS);
    connection.execute("DELETE FROM sessions WHERE expires_at <= $1", &[ended.into()]).await.map(drop)
}
