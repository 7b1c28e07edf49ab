//! The tenant, app, caller or other thing that a path names.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use crate::domain::id::{AppId, CallerId, KeyId, KeypairId, Name, SessionId, TrustId};
use crate::http::error::ApiError;
use crate::registry::callers::grants::parse_tenant;
use crate::store::{AppRef, CallerRef, TenantRef};

/// The things that a path names: `{tenant}`, `{app}`, `{caller}`, `{key}`, `{trust}`, `{keypair}` and
/// `{session}`.
#[derive(Debug)]
pub(crate) struct PathParams<T>(pub T);

/// A thing that a path can name.
pub(crate) trait PathParam: Sized {
    /// The name of the path's parameter.
    const PARAMETER: &'static str;
    /// Parses the parameter; returns `None` if it cannot be a name or id.
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
