//! The caller of a request, found by the credential in its header.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::auth::{AuthError, RequestContext};
use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::extract::query::{NoQuery, query};
use crate::http::rate_limits as limits;
use crate::http::request_log::RequestLog;
use crate::store::change_feed::ChangeToken;

/// Who calls, in which request, and the query. A route that names no type for its query takes none,
/// so that no route forgets to refuse what it does not know.
#[derive(Debug)]
pub(crate) struct AuthenticatedRequest<Q = NoQuery> {
    pub context: RequestContext,
    /// From before the caller was looked up.
    pub since: ChangeToken,
    /// Where what becomes known of the request is told.
    pub log: RequestLog,
    pub query: Q,
}

impl<Q> AuthenticatedRequest<Q> {
    /// The caller as it stands now. A body may be slow to arrive, and what the caller lost meanwhile is
    /// not theirs to use.
    ///
    /// # Errors
    /// Where its credential opens nothing any more, or where that cannot be said at the moment.
    pub(crate) async fn now(self, api: &Api) -> Result<Self, ApiError> {
        if api.change_feed.nothing_changed_since(&self.since) {
            return Ok(self);
        }
        Ok(Self { context: api.authenticator.again(&self.context).await?, ..self })
    }
}

impl AuthenticatedRequest {
    /// A caller that was found otherwise than in a bearer's header.
    pub(crate) fn new(context: RequestContext, since: ChangeToken, log: RequestLog) -> Self {
        Self { context, since, log, query: NoQuery {} }
    }
}

impl<Q: DeserializeOwned> FromRequestParts<Api> for AuthenticatedRequest<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let log = parts.extensions.get::<RequestLog>().cloned().unwrap_or_default();
        let since = api.authenticator.change_token();
        let context = authenticate(api, &log, bearer(&parts.headers)).await?;
        let context = limits::count(api, context, parts).await?;
        let query = query(parts.uri.query().unwrap_or_default())?;
        Ok(Self { context, since, log, query })
    }
}

/// Whose credential this is, and takes note of it. One that opens nothing, or none, counts against its address.
pub(crate) async fn authenticate(
    api: &Api,
    log: &RequestLog,
    credential: Option<&str>,
) -> Result<RequestContext, ApiError> {
    let peer = log.peer();
    let Some(credential) = credential else {
        return Err(limits::unauthenticated(api, peer, AuthError::Unauthenticated));
    };
    let mut context = match api.authenticator.authenticate(credential).await {
        Ok(context) => context,
        Err(error @ (AuthError::Unauthenticated | AuthError::Token(_))) => {
            return Err(limits::unauthenticated(api, peer, error));
        }
        Err(other) => return Err(ApiError::Auth(other)),
    };
    log.fill_in(&mut context);
    log.set_caller(&context);
    Ok(context)
}

/// The one credential of a request (RFC 6750, section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
