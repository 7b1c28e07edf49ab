//! Browser sessions: how the rest of the broker opens, lists and cancels them.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Page, PageRequest, Result};
use crate::domain::app::App;
use crate::domain::audit_event::AuditEvent;
use crate::domain::caller::Caller;
use crate::domain::id::{AppId, CallerId, SessionId, TenantId};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::session::BrowserSession;
use crate::domain::tenant::Tenant;

/// A browser session to be inserted, and the entities that the decision to open it was based on.
#[derive(Clone, Copy, Debug)]
pub struct NewBrowserSession<'a> {
    /// The session.
    pub session: &'a BrowserSession,
    /// Its tenant.
    pub tenant: &'a Tenant,
    /// The app that serves the tenant.
    pub app: &'a App,
    /// The caller that opens it.
    pub caller: &'a Caller,
}

/// The owner whose browser sessions are selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionSelector {
    /// A tenant.
    Tenant(TenantId),
    /// Every tenant that an app serves.
    App(AppId),
    /// The caller that opened them.
    Caller(CallerId),
}

/// The browser sessions that a list contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFilter {
    /// Their owner.
    pub selector: SessionSelector,
    /// Of a tenant's sessions, only those for this person.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// Only those that end after this time.
    pub expires_after: Timestamp,
}

/// A position in the list of browser sessions. It is that of a row, whatever its content: rows that fail
/// verification are skipped and do not end the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCursor {
    /// When the session was opened, in milliseconds of Unix time.
    pub created_at: i64,
    /// The id of the session.
    pub id: String,
}

impl SessionCursor {
    /// Returns the position behind this session.
    #[must_use]
    pub fn behind(session: &BrowserSession) -> Self {
        Self { created_at: session.created_at.as_millisecond(), id: session.id.to_string() }
    }
}

/// The browser sessions in the database.
#[async_trait]
pub trait BrowserSessionStore {
    /// Returns a browser session, until it is erased a day after its end.
    async fn browser_session(&self, id: &SessionId) -> Result<Option<BrowserSession>>;
    /// Inserts a browser session. Fails with [`Conflict::Version`](super::Conflict::Version) if tenant, app
    /// or caller changed since the decision to open it.
    async fn insert_browser_session(&self, new: &NewBrowserSession<'_>, event: &AuditEvent) -> Result<()>;
    /// Lists browser sessions that have not ended, the oldest first. A row that fails verification is left
    /// out and logged.
    async fn browser_sessions(
        &self,
        filter: &SessionFilter,
        page: &PageRequest<SessionCursor>,
    ) -> Result<Page<BrowserSession, SessionCursor>>;
    /// Cancels browser sessions at the event's time and returns how many were not cancelled before. Sessions
    /// that no longer exist are skipped.
    async fn cancel_browser_sessions(&self, sessions: &[SessionId], event: &AuditEvent) -> Result<usize>;
}
