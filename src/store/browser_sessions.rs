//! What is asked of the store about browser sessions.

use jiff::Timestamp;

use crate::domain::app::App;
use crate::domain::caller::Caller;
use crate::domain::id::{AppId, CallerId, TenantId};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::session::BrowserSession;
use crate::domain::tenant::Tenant;

/// A browser session to be added, and by what it was judged.
#[derive(Clone, Copy, Debug)]
pub struct NewBrowserSession<'a> {
    /// The session.
    pub session: &'a BrowserSession,
    /// Its tenant.
    pub tenant: &'a Tenant,
    /// The app that serves the tenant.
    pub app: &'a App,
    /// Who opens it.
    pub caller: &'a Caller,
}

/// Whose browser sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionSelector {
    /// A tenant's.
    Tenant(TenantId),
    /// Those of every tenant that an app serves.
    App(AppId),
    /// Those that a caller opened.
    Caller(CallerId),
}

/// Which browser sessions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFilter {
    /// Whose.
    pub selector: SessionSelector,
    /// Of a tenant's, those for this one alone.
    pub on_behalf_of: Option<OnBehalfOf>,
    /// Those that end after this.
    pub expires_after: Timestamp,
}

/// Behind which row a stretch begins, whatever stands in it: rows that are refused are passed over, and end
/// no walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCursor {
    /// When its session was opened, in milliseconds of Unix time.
    pub created_at: i64,
    /// Its id.
    pub id: String,
}

impl SessionCursor {
    /// Behind this session.
    #[must_use]
    pub fn behind(session: &BrowserSession) -> Self {
        Self { created_at: session.created_at.as_millisecond(), id: session.id.to_string() }
    }
}

/// A stretch of sessions, and behind what the next one begins; `None` where this was the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<BrowserSession>,
    /// Where it goes on.
    pub next: Option<SessionCursor>,
}
