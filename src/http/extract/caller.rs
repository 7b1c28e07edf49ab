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

/// The authenticated caller of a request, and the query. A route that names no type for its query accepts none, so
/// that every route refuses unknown parameters.
#[derive(Debug)]
pub(crate) struct AuthenticatedRequest<Q = NoQuery> {
    pub context: RequestContext,
    /// The state of the change feed before the caller was looked up.
    pub since: ChangeToken,
    /// The log that collects facts about the request.
    pub log: RequestLog,
    pub query: Q,
}

impl<Q> AuthenticatedRequest<Q> {
    /// Returns the caller as it is now. A body can be slow to arrive, and the caller may have lost grants meanwhile.
    ///
    /// # Errors
    /// If the credential is no longer valid, or if that cannot be checked at the moment.
    pub(crate) async fn now(self, api: &Api) -> Result<Self, ApiError> {
        if api.change_feed.nothing_changed_since(&self.since) {
            return Ok(self);
        }
        Ok(Self { context: api.authenticator.again(&self.context).await?, ..self })
    }
}

impl AuthenticatedRequest {
    /// Creates the request of a caller that was not authenticated by a bearer token in the header.
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

/// Authenticates a credential and logs its caller. A missing or invalid one counts against the client's address.
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

/// Returns the one bearer credential of a request (RFC 6750, section 2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
