//! The page that sends a request: its browser session, the session's owner, and the page's origin.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use jiff::SignedDuration;

use crate::auth::{AuthError, RequestContext};
use crate::broker::TenantContext;
use crate::domain::session::BrowserSession;
use crate::domain::tenant::TenantState;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::error::problem::ErrorScope;
use crate::http::extract::origin::sole_origin;
use crate::http::extract::{AuthenticatedRequest, NoQuery, bearer, query};
use crate::http::rate_limits as limits;
use crate::http::request_log::RequestLog;
use crate::store::TenantRef;

/// A page with a valid session, at an origin that the session allows.
#[derive(Debug)]
pub(crate) struct BrowserPage {
    pub session: Arc<BrowserSession>,
    /// The caller that opened the session; the request acts as this caller.
    pub caller: AuthenticatedRequest,
    /// The session's tenant.
    pub view: Arc<TenantContext>,
    /// The page's origin, as the browser sent it.
    origin: String,
}

impl FromRequestParts<Api> for BrowserPage {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let log = parts.extensions.get::<RequestLog>().cloned().unwrap_or_default();
        let peer = log.peer();
        let unknown = || limits::unauthenticated(api, peer, AuthError::NoSession);
        let text = bearer(&parts.headers).ok_or_else(unknown)?;
        let since = api.authenticator.change_token();
        let proven = match api.authenticator.session(text).await {
            Err(AuthError::NoSession) => return Err(unknown()),
            proven => proven?,
        };
        log.set_session(&proven.session);
        // Counted by session, even an expired one: a page that was logged out learns it whatever others do at its address.
        let counted = api.limits.count_session(&proven.session.id);
        counted.map_err(|exceeded| limits::limited(ErrorScope::Request, exceeded))?;
        let mut context = api.authenticator.identify_opener(&proven)?;
        log.fill_in(&mut context);
        log.set_caller(&context);
        let origin = sole_origin(&parts.headers).and_then(|value| value.to_str().ok());
        let origin = origin.ok_or(ApiError::OriginNotAllowed)?.to_owned();
        let view = admitted(api, &proven.session, &context, &origin).await?;
        limits::count_tenant(api, &view.tenant)?;
        let query: NoQuery = query(parts.uri.query().unwrap_or_default())?;
        let caller = AuthenticatedRequest { context, since, log, query };
        Ok(Self { session: proven.session, caller, view, origin })
    }
}

impl BrowserPage {
    /// Returns the page as it is now. A body can be slow to arrive, and changes made meanwhile count.
    ///
    /// # Errors
    /// If the session has ended by now, or no longer allows the page.
    pub(crate) async fn now(self, api: &Api) -> Result<Self, ApiError> {
        if api.change_feed.nothing_changed_since(&self.caller.since) {
            return Ok(self);
        }
        let since = api.authenticator.change_token();
        let context = api.authenticator.again(&self.caller.context).await?;
        let view = admitted(api, &self.session, &context, &self.origin).await?;
        Ok(Self { caller: AuthenticatedRequest { context, since, ..self.caller }, view, ..self })
    }

    /// Returns the reference by which requests name the tenant.
    pub(crate) fn tenant(&self) -> TenantRef {
        TenantRef::Id(self.session.tenant.clone())
    }
}

/// Returns the session's tenant, if both the session and the tenant's current policy allow pages of that origin.
async fn admitted(
    api: &Api,
    session: &BrowserSession,
    context: &RequestContext,
    origin: &str,
) -> Result<Arc<TenantContext>, ApiError> {
    let tenant = TenantRef::Id(session.tenant.clone());
    let view =
        api.broker.tenants().find_for(context, &tenant).await.map_err(crate::broker::TokenError::Store)?;
    let in_grace = |view: &Arc<TenantContext>| view.tenant.state != TenantState::Deleted;
    let view = view.filter(in_grace).ok_or(AuthError::SessionCancelled)?;
    let policy = &view.tenant.policy;
    let longest =
        SignedDuration::from_secs(i64::try_from(policy.max_session_ttl.seconds()).unwrap_or(i64::MAX));
    if session.created_at.checked_add(longest).is_ok_and(|end| end <= api.clock.wall()) {
        return Err(AuthError::SessionExpired.into());
    }
    let names = |origins: &[crate::domain::origin::Origin]| origins.iter().any(|one| one.as_str() == origin);
    if names(&session.origins) && names(&policy.browser_origins) {
        Ok(view)
    } else {
        Err(ApiError::OriginNotAllowed)
    }
}
