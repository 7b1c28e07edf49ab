//! The cancellation of browser sessions, one by one or all that depend on a tenant, an app or a caller.

use super::audit_detail::truncate;
use super::deps::Deps;
use super::error::RegistryError;
use crate::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use crate::domain::caller::Caller;
use crate::domain::id::SessionId;
use crate::domain::session::BrowserSession;
use crate::store::{ChangedEntity, PageRequest, SessionFilter, SessionSelector};

/// The number of sessions that are read or cancelled at a time.
pub(super) const BATCH_SIZE: usize = 100;

/// Cancels all matching sessions of a tenant, an app or a caller, and returns how many were still open.
///
/// # Errors
/// Those of the store. Sessions that are cancelled by then stay cancelled.
pub(super) async fn cancel_matching_sessions(
    deps: &Deps,
    of: SessionSelector,
    cause: &AuditContext,
    matches: impl Fn(&BrowserSession) -> bool,
) -> Result<usize, RegistryError> {
    cancel_filtered_sessions(
        deps,
        &SessionFilter { selector: of, on_behalf_of: None, expires_after: deps.now() },
        cause,
        matches,
    )
    .await
}

/// Cancels all matching sessions that a filter finds, and returns how many were still open.
///
/// # Errors
/// Those of the store. Sessions that are cancelled by then stay cancelled.
pub(super) async fn cancel_filtered_sessions(
    deps: &Deps,
    filter: &SessionFilter,
    cause: &AuditContext,
    matches: impl Fn(&BrowserSession) -> bool,
) -> Result<usize, RegistryError> {
    let (mut position, mut cancelled) = (None, 0);
    loop {
        let page = PageRequest { after: position, limit: BATCH_SIZE };
        let page = deps.store.browser_sessions(filter, &page).await?;
        let is_open = |session: &BrowserSession| session.cancelled_at.is_none() && matches(session);
        let sessions: Vec<BrowserSession> = page.items.into_iter().filter(is_open).collect();
        if !sessions.is_empty() {
            cancelled += cancel_sessions(deps, &filter.selector, &sessions, cause).await?;
        }
        position = match page.next {
            None => return Ok(cancelled),
            next => next,
        };
    }
}

/// Cancels these sessions and records it, even for an empty list. Returns how many were still open.
///
/// # Errors
/// Those of the store.
pub(super) async fn cancel_sessions(
    deps: &Deps,
    of: &SessionSelector,
    sessions: &[BrowserSession],
    cause: &AuditContext,
) -> Result<usize, RegistryError> {
    let ids: Vec<SessionId> = sessions.iter().map(|session| session.id.clone()).collect();
    let names: Vec<&str> = ids.iter().map(SessionId::as_str).collect();
    let detail = match names.len() {
        1 => names.concat(),
        count => format!("{count} browser sessions: {}", names.join(" ")),
    };
    let mut event =
        AuditEvent { detail: Some(truncate(detail)), ..cause.event(deps.now(), AuditAction::SessionCancel) };
    match of {
        SessionSelector::Tenant(id) => event.tenant = Some(id.clone()),
        SessionSelector::App(id) => event.app = Some(id.clone()),
        SessionSelector::Caller(id) => event.caller = Some(id.clone()),
    }
    let cancelled = deps.store.cancel_browser_sessions(&ids, &event).await;
    // After an error too: the write may have taken effect.
    ids.into_iter().for_each(|id| deps.broker.forget(&ChangedEntity::Session(id)));
    Ok(cancelled?)
}

/// Cancels sessions whose owner lost the credential that opened them, so that lists show it.
///
/// The sessions are refused already, because each use checks the owner. So an error is only logged.
pub(super) async fn cancel_orphaned_sessions(
    deps: &Deps,
    caller: &Caller,
    cause: &AuditContext,
    matches: impl Fn(&BrowserSession) -> bool,
) {
    let of = SessionSelector::Caller(caller.id.clone());
    if let Err(error) = cancel_matching_sessions(deps, of, cause, matches).await {
        tracing::warn!(caller = %caller.id, %error, "sessions that open nothing any more stay listed");
    }
}
