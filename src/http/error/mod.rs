//! The one map from errors to problems: the layers below know nothing of HTTP.

pub(crate) mod box_shape;
mod lower_layers;
pub(crate) mod problem;
mod problems;

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use self::lower_layers::{of_crypto, of_registry, of_store, of_token};
use self::problems::{
    internal, invalid, issuer_down, not_found, rate_limited, store_unavailable, unauthenticated,
};
use crate::auth::AuthError;
use crate::broker::TokenError;
use crate::domain::policy::DenialReason;
use crate::http::error::problem::{ErrorScope, Problem};
use crate::registry::{FieldError, RegistryError};

/// The reason for which a request failed.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// Too many requests came.
    RateLimited {
        /// The scope of the limit.
        reach: ErrorScope,
        /// The time until the next request is allowed.
        retry_after: Duration,
    },
    /// There is no such thing.
    NotFound,
    /// There is no such path.
    NoRoute,
    /// The body is not JSON, not UTF-8, or broke off.
    Malformed(String),
    /// The body is longer than is read.
    TooLarge(usize),
    /// The body is of another media type.
    UnsupportedMediaType(&'static str),
    /// The path knows other methods.
    MethodNotAllowed,
    /// Fields that cannot be accepted.
    Invalid(Vec<FieldError>),
    /// A credential could not be judged.
    Auth(AuthError),
    /// A token does not leave.
    Token(TokenError),
    /// An admin's call failed.
    Registry(RegistryError),
    /// A browser session does not give tokens to pages of this origin.
    OriginNotAllowed,
    /// The same problem for each of several items, so that it holds for all of them.
    Told(Box<Problem>),
    /// The request is refused in OAuth's terms.
    OAuth(OAuthError),
    /// Not able to serve at all.
    NotReady(&'static str),
    /// A handler panicked.
    Panicked,
}

/// An error of the OAuth endpoints that no other error expresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OAuthError {
    /// The endpoint knows other grant types.
    GrantType,
    /// The scopes are none.
    Scope(&'static str),
    /// The enterprise is not the tenant's.
    OtherEnterprise,
    /// The token to be exchanged is no live full one of this broker's.
    SubjectToken,
    /// Nobody who was given the token to be exchanged may have what is wanted; by which rule is for the audit.
    NoneLeft(Option<DenialReason>),
}

impl From<OAuthError> for ApiError {
    fn from(fault: OAuthError) -> Self {
        Self::OAuth(fault)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

impl ApiError {
    /// One field that cannot be accepted.
    pub(crate) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::at(pointer, detail)])
    }

    pub(crate) fn problem(self) -> Problem {
        match self {
            Self::RateLimited { reach, retry_after } => rate_limited(reach, retry_after),
            Self::NotFound => not_found(),
            Self::NoRoute => not_found().oauth("invalid_request"),
            Self::Malformed(detail) => {
                Problem::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
            }
            Self::TooLarge(limit) => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "Request too large",
                format!("A request's body is at most {} KiB.", limit / 1024),
            ),
            Self::UnsupportedMediaType(wanted) => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
                format!("Send the body with `Content-Type: {wanted}`."),
            ),
            Self::MethodNotAllowed => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                "This path knows other methods; `Allow` lists them.",
            ),
            Self::Invalid(faults) => invalid(faults),
            Self::Auth(AuthError::Unauthenticated) => unauthenticated(),
            Self::Auth(AuthError::Token(fault)) => unauthenticated().cause(fault),
            Self::Auth(AuthError::NoSession) => Problem {
                detail: "Send `Authorization: Bearer` with a live browser session: no other credential counts \
                         here."
                    .to_owned(),
                ..unauthenticated()
            },
            Self::Auth(AuthError::SessionExpired) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "session_expired",
                "Session expired",
                "The browser session's time is over: open a new one.",
            ),
            Self::Auth(AuthError::SessionCancelled) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "session_cancelled",
                "Session cancelled",
                "The browser session was cancelled, or whoever opened it may not any more.",
            ),
            Self::OriginNotAllowed => Problem::new(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "Origin not allowed",
                "This browser session gives tokens to pages of its own origins alone, as `Origin` tells them.",
            )
            .reason("session.origins"),
            Self::Auth(AuthError::IssuerUnavailable(down)) => issuer_down(&down),
            Self::Auth(AuthError::Store(error)) => of_store(error),
            Self::Auth(AuthError::Crypto(error)) => of_crypto("the caller's key", error),
            Self::Token(error) => of_token(error),
            Self::Registry(error) => of_registry(error),
            Self::Told(problem) => *problem,
            Self::OAuth(fault) => of_oauth(fault),
            Self::NotReady(detail) => store_unavailable().cause(detail),
            Self::Panicked => internal().cause("a handler panicked"),
        }
    }
}

/// The problem of an error that came without one, from a library that answers by itself.
pub(crate) fn of_bare(status: StatusCode) -> Option<Problem> {
    match status {
        StatusCode::NOT_FOUND => Some(not_found()),
        StatusCode::METHOD_NOT_ALLOWED => Some(ApiError::MethodNotAllowed.problem()),
        _ if status.is_client_error() => {
            Some(ApiError::Malformed("This request cannot be understood.".to_owned()).problem())
        }
        _ if status.is_server_error() => Some(internal().cause(status)),
        _ => None,
    }
}

fn of_oauth(fault: OAuthError) -> Problem {
    let not_given = "The `subject_token` is no live full token that this broker gave to a caller who may have such a \
                     downscoped one today.";
    match fault {
        OAuthError::GrantType => {
            let detail = "The broker knows `client_credentials` and the token exchange. It signs assertions itself: \
                          configure the client for Box's client credentials grant.";
            invalid(vec![FieldError::at("/grant_type", detail)]).oauth("unsupported_grant_type")
        }
        OAuthError::Scope(detail) => invalid(vec![FieldError::at("/scope", detail)]).oauth("invalid_scope"),
        OAuthError::OtherEnterprise => {
            let detail = "`box_subject_id` is not the tenant's enterprise.";
            invalid(vec![FieldError::at("/box_subject_id", detail)]).oauth("invalid_grant")
        }
        OAuthError::SubjectToken | OAuthError::NoneLeft(_) => {
            let problem =
                Problem { detail: not_given.to_owned(), ..unauthenticated() }.oauth("invalid_grant");
            match fault {
                OAuthError::NoneLeft(Some(rule)) => problem.reason(rule.as_str()).cause(rule.as_str()),
                OAuthError::NoneLeft(None) => problem.cause("nobody who was given it has a grant any more"),
                _ => problem,
            }
        }
    }
}
