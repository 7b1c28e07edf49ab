//! What handlers take out of a request, each part checked as it is read.

pub(crate) mod body;
pub(crate) mod browser_page;
pub(crate) mod form;
pub(crate) mod origin;
pub(crate) mod peer_address;

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::auth::{AuthError, RequestContext};
use crate::domain::id::{AppId, CallerId, KeyId, KeypairId, Name, SessionId, TrustId};
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::rate_limits as limits;
use crate::http::request_log::RequestLog;
use crate::registry::FieldError;
use crate::registry::callers::grants::parse_tenant;
use crate::registry::strict_json::{self, DecodeError};
use crate::store::change_feed::ChangeToken;
use crate::store::{AppRef, CallerRef, PageRequest, TenantRef};

/// Who calls, in which request, and the query. A route that names no type for its query takes none,
/// so that no route forgets to refuse what it does not know.
#[derive(Debug)]
pub(crate) struct AuthenticatedRequest<Q = NoQuery> {
    pub context: RequestContext,
    /// From before the caller was looked up.
    pub since: ChangeToken,
    /// Where what becomes known of the request is told.
    pub story: RequestLog,
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
    pub(crate) fn new(context: RequestContext, since: ChangeToken, story: RequestLog) -> Self {
        Self { context, since, story, query: NoQuery {} }
    }
}

/// The query of a route that takes no parameters.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoQuery {}

impl<Q: DeserializeOwned> FromRequestParts<Api> for AuthenticatedRequest<Q> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let story = parts.extensions.get::<RequestLog>().cloned().unwrap_or_default();
        let since = api.authenticator.change_token();
        let context = authenticate(api, &story, bearer(&parts.headers)).await?;
        let context = limits::count(api, context, parts).await?;
        let query = query(parts.uri.query().unwrap_or_default())?;
        Ok(Self { context, since, story, query })
    }
}

/// Whose credential this is, and takes note of it. One that opens nothing, or none, counts against its address.
pub(crate) async fn authenticate(
    api: &Api,
    story: &RequestLog,
    credential: Option<&str>,
) -> Result<RequestContext, ApiError> {
    let peer = story.peer();
    let Some(credential) = credential else {
        return Err(limits::stranger(api, peer, AuthError::Unauthenticated));
    };
    let mut context = match api.authenticator.authenticate(credential).await {
        Ok(context) => context,
        Err(error @ (AuthError::Unauthenticated | AuthError::Token(_))) => {
            return Err(limits::stranger(api, peer, error));
        }
        Err(other) => return Err(ApiError::Auth(other)),
    };
    story.complete(&mut context);
    story.caller(&context);
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

/// Reads the query, whose unknown parameters are refused.
pub(crate) fn query<Q: DeserializeOwned>(text: &str) -> Result<Q, ApiError> {
    let mut document = serde_json::Map::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()).into_owned() {
        if document.insert(name.clone(), serde_json::Value::String(value)).is_some() {
            return Err(ApiError::invalid("", format!("The query parameter `{name}` stands twice.")));
        }
    }
    strict_json::decode(serde_json::Value::Object(document)).map_err(|error| match error {
        DecodeError::Field(FieldError { pointer, detail }) => {
            ApiError::invalid(pointer, format!("In the query: {detail}"))
        }
        DecodeError::NotJson(error) => ApiError::Malformed(format!("The query cannot be read: {error}.")),
    })
}

/// The things that a path names: `{tenant}`, `{app}`, `{caller}`, `{key}`, `{trust}`, `{keypair}` and
/// `{session}`.
#[derive(Debug)]
pub(crate) struct PathParams<T>(pub T);

/// What a path can name.
pub(crate) trait PathParam: Sized {
    /// The name of the path's parameter.
    const PARAMETER: &'static str;
    /// Reads it; what cannot be the name of anything names nothing.
    fn parse(text: &str) -> Option<Self>;
}

impl PathParam for TenantRef {
    const PARAMETER: &'static str = "tenant";
    fn parse(text: &str) -> Option<Self> {
        parse_tenant(text)
    }
}

impl PathParam for AppRef {
    const PARAMETER: &'static str = "app";
    fn parse(text: &str) -> Option<Self> {
        AppId::parse(text).map(Self::Id).or_else(|_| Name::parse(text).map(Self::Name)).ok()
    }
}

impl PathParam for CallerRef {
    const PARAMETER: &'static str = "caller";
    fn parse(text: &str) -> Option<Self> {
        CallerId::parse(text).map(Self::Id).or_else(|_| Name::parse(text).map(Self::Name)).ok()
    }
}

impl PathParam for KeyId {
    const PARAMETER: &'static str = "key";
    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl PathParam for TrustId {
    const PARAMETER: &'static str = "trust";
    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl PathParam for KeypairId {
    const PARAMETER: &'static str = "keypair";
    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl PathParam for SessionId {
    const PARAMETER: &'static str = "session";
    fn parse(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl<T: PathParam, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let parameters =
            RawPathParams::from_request_parts(parts, state).await.map_err(|_| ApiError::NotFound)?;
        let text = parameters.iter().find(|(name, _)| *name == T::PARAMETER).map(|(_, text)| text);
        text.and_then(T::parse).map(Self).ok_or(ApiError::NotFound)
    }
}

/// Which version `If-Match` names; `None` where it names any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IfMatch(pub Option<i64>);

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let version =
            text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).and_then(|v| v.parse().ok());
        // What cannot be a version of ours matches none of them.
        Ok(Self(Some(version.unwrap_or(-1))))
    }
}

/// `?limit=` and `&cursor=` of a list.
#[derive(Debug, serde::Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// How many at most: 1 to 200, 50 where left out.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    pub limit: Option<String>,
    /// The `next_cursor` of the stretch before.
    pub cursor: Option<String>,
}

/// A time, as RFC 3339 writes it; for a field that may be left out.
pub(crate) fn time<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(field)? else { return Ok(None) };
    let told = "a time is written as RFC 3339 says, such as `2026-01-02T03:04:05Z`";
    text.parse().map(Some).map_err(|_| serde::de::Error::custom(told))
}

/// The stretch of a list that a query asks for.
pub(crate) fn page(limit: Option<&str>, cursor: Option<&str>) -> Result<PageRequest, ApiError> {
    let limit = self::limit(limit)?;
    let after = match cursor {
        None => None,
        Some(text) => {
            let name = data_encoding::BASE64URL_NOPAD
                .decode(text.as_bytes())
                .ok()
                .and_then(|bytes| Name::parse(std::str::from_utf8(&bytes).ok()?).ok());
            let detail = "A `cursor` is the `next_cursor` of an earlier answer.";
            Some(name.ok_or_else(|| ApiError::invalid("/cursor", detail))?)
        }
    };
    Ok(PageRequest { after, limit })
}

/// How many things of a list a query asks for.
pub(crate) fn limit(text: Option<&str>) -> Result<usize, ApiError> {
    match text.map(str::parse) {
        None => Ok(50),
        Some(Ok(limit @ 1..=200)) => Ok(limit),
        Some(_) => Err(ApiError::invalid("/limit", "A list's `limit` is a number from 1 to 200.")),
    }
}

/// The cursor of the stretch behind `name`.
pub(crate) fn cursor(name: &Name) -> String {
    data_encoding::BASE64URL_NOPAD.encode(name.as_str().as_bytes())
}
