//! Browser sessions: opened by services for their pages, listed, and cancelled.
//!
//! It does not authenticate sessions, and it releases no tokens: `auth` and `broker` do.

mod opening;

use std::sync::Arc;

pub use self::opening::{CreatedSession, SessionSpec};

use super::deps::Deps;
use super::error::RegistryError;
use super::rows;
use super::session_cancellation::{BATCH_SIZE, cancel_filtered_sessions, cancel_sessions};
use crate::auth::RequestContext;
use crate::domain::audit_event::AuditContext;
use crate::domain::grant::Permission;
use crate::domain::id::SessionId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::AccessRequest;
use crate::domain::session::BrowserSession;
use crate::domain::tenant::Tenant;
use crate::store::{PageRequest, SessionCursor, SessionFilter, SessionSelector, TenantRef};

/// The number of batches that one list request reads at most to find sessions that the caller may cancel.
const MAX_BATCHES: usize = 10;

/// A page of sessions, and the position after which the next one begins.
pub type SessionPage = (Vec<BrowserSession>, Option<SessionCursor>);

/// The service of browser sessions.
#[derive(Debug)]
pub struct Sessions {
    deps: Arc<Deps>,
}

impl Sessions {
    pub(super) fn new(deps: Arc<Deps>) -> Self {
        Self { deps }
    }

    /// Returns a page of the tenant's unexpired sessions that the caller may cancel, oldest first.
    ///
    /// A page can be short and still have a next one: if the caller may cancel few of many sessions, the search stops
    /// after ten batches and the next page continues there.
    ///
    /// # Errors
    /// Those of [`RegistryError`].
    pub async fn list(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        on_behalf_of: Option<OnBehalfOf>,
        mut position: Option<SessionCursor>,
        limit: usize,
    ) -> Result<SessionPage, RegistryError> {
        let deps = &*self.deps;
        let (context, view) =
            rows::tenants::find_tenant(deps, context, tenant, Permission::SessionsCancel).await?;
        let selector = SessionSelector::Tenant(view.tenant.id.clone());
        let filter = SessionFilter { selector, on_behalf_of, expires_after: deps.now() };
        let may_cancel =
            |session: &BrowserSession| require_cancellation(&context, &view.tenant, session).is_some();
        let mut found = Vec::new();
        for _ in 0..MAX_BATCHES {
            let page = PageRequest { after: position.take(), limit: BATCH_SIZE };
            let page = deps.store.browser_sessions(&filter, &page).await?;
            found.extend(page.items.into_iter().filter(may_cancel));
            if found.len() > limit {
                found.truncate(limit);
                let next = found.last().map(SessionCursor::behind);
                return Ok((found, next));
            }
            position = page.next;
            if position.is_none() || found.len() == limit {
                break;
            }
        }
        Ok((found, position))
    }

    /// Cancels a session. Cancelling it again is a success.
    ///
    /// # Errors
    /// [`RegistryError::Absent`] if there is no such session, or the caller may not cancel it.
    pub async fn cancel(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        id: &SessionId,
    ) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        let (context, view) =
            rows::tenants::find_tenant(deps, context, tenant, Permission::SessionsCancel).await?;
        let session = deps.store.browser_session(id).await?;
        let session = session.filter(|session| session.tenant == view.tenant.id);
        let session = session.ok_or(RegistryError::Absent)?;
        let context = require_cancellation(&context, &view.tenant, &session).ok_or(RegistryError::Absent)?;
        let of = SessionSelector::Tenant(view.tenant.id.clone());
        cancel_sessions(deps, &of, &[session], &context.audit_context()).await?;
        Ok(())
    }

    /// Cancels all of a tenant's sessions for one person that the caller may cancel.
    ///
    /// # Errors
    /// Those of [`RegistryError`]. Sessions that are cancelled by then stay cancelled.
    pub async fn cancel_for_person(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        person: &OnBehalfOf,
    ) -> Result<(), RegistryError> {
        let deps = &*self.deps;
        let (context, view) =
            rows::tenants::find_tenant(deps, context, tenant, Permission::SessionsCancel).await?;
        let filter = SessionFilter {
            selector: SessionSelector::Tenant(view.tenant.id.clone()),
            on_behalf_of: Some(person.clone()),
            expires_after: deps.now(),
        };
        let cause = AuditContext { on_behalf_of: Some(person.clone()), ..context.audit_context() };
        let may_cancel =
            |session: &BrowserSession| require_cancellation(&context, &view.tenant, session).is_some();
        // The request is recorded even if there was nothing to cancel.
        if cancel_filtered_sessions(deps, &filter, &cause, may_cancel).await? == 0 {
            cancel_sessions(deps, &filter.selector, &[], &cause).await?;
        }
        Ok(())
    }
}

/// Returns the context of the callers that may cancel a session; `None` if there are none.
fn require_cancellation(
    context: &RequestContext,
    tenant: &Tenant,
    session: &BrowserSession,
) -> Option<RequestContext> {
    context.those_allowed(tenant, AccessRequest::SessionCancellation(Some(&session.subject))).ok()
}
