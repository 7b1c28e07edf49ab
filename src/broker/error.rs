//! The reasons for which no token is released.
//!
//! The errors know nothing of HTTP; `http::error` maps them.

use std::sync::Arc;
use std::time::Duration;

use super::request::BOX_WAIT_LIMIT;
use crate::box_api::BoxError;
use crate::crypto::CryptoError;
use crate::domain::box_refusal::BoxRefusal;
use crate::domain::policy::DenialReason;
use crate::store::StoreError;

/// The extent of an outage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutageScope {
    /// One subject.
    Subject,
    /// One tenant.
    Tenant,
    /// Every tenant of an app.
    App,
    /// All of Box.
    Box,
}

/// The reason for which a token is not released. All callers that waited for the same mint share it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// The tenant does not exist, or the caller has no grant on it.
    #[error("no such tenant, or no grant on it")]
    Absent,
    /// The caller has a grant on the tenant, but not for this request. The rule is for the log.
    #[error("refused by {}", .0.as_str())]
    Forbidden(DenialReason),
    /// The tenant, or its app, is suspended or locked.
    #[error("the tenant is out of service")]
    Suspended,
    /// The tenant was never tested at Box.
    #[error("the tenant is pending")]
    Pending,
    /// Box does not give tokens that live as long as the caller demands.
    #[error("Box gives a life of {given:?}, which cannot promise {asked:?}")]
    MinTtlUnavailable {
        /// The lifetime that the caller demands.
        asked: Duration,
        /// The lifetime that Box gives.
        given: Duration,
    },
    /// Box reports another enterprise for this user, or none.
    #[error("Box shows another enterprise for this user than the tenant's, or none")]
    ForeignUser,
    /// Box did not give a token.
    #[error(transparent)]
    Box(Arc<BoxError>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sealed value cannot be opened.
    #[error("{what}: {error}")]
    Sealed {
        /// The name of the value, for the log.
        what: &'static str,
        /// The cause.
        error: CryptoError,
    },
    /// A sealed value was opened, but its content is invalid.
    #[error("{0}")]
    Corrupt(&'static str),
    /// The tenant's credentials, policy or state changed during the mint; the token was discarded.
    #[error("the tenant changed during the mint")]
    Superseded,
    /// Box, or a part of it, failed recently. Only probes are sent until it works again.
    #[error("not asked again yet: {error}")]
    Down {
        /// The extent of the outage.
        scope: OutageScope,
        /// The last failure.
        error: Box<TokenError>,
        /// The time until the next attempt is admitted.
        retry_after: Duration,
    },
    /// Too many mints are in flight.
    #[error("too many mints are under way")]
    Overloaded,
    /// The mint's task ended without a result.
    #[error("the mint's task ended without a result")]
    Crashed,
}

impl From<BoxError> for TokenError {
    fn from(error: BoxError) -> Self {
        Self::Box(Arc::new(error))
    }
}

impl TokenError {
    /// Returns the error of a caller that waited for Box as long as it may.
    #[must_use]
    pub fn timed_out() -> Self {
        let reason = format!("nothing came within {} s", BOX_WAIT_LIMIT.as_secs());
        BoxError::Unavailable { reason, retry_after: None }.into()
    }

    /// Returns the time after which a retry makes sense, if Box or the broker named one.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Down { retry_after, .. } => Some(*retry_after),
            Self::Box(error) => match error.as_ref() {
                BoxError::RateLimited { retry_after } => Some(*retry_after),
                BoxError::Unavailable { retry_after, .. } => *retry_after,
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns the failure itself; for an open circuit, the last failure.
    #[must_use]
    pub fn root_cause(&self) -> &Self {
        match self {
            Self::Down { error, .. } => error.root_cause(),
            other => other,
        }
    }

    /// Returns the reason for which Box refused the request, if it did.
    #[must_use]
    pub fn refusal(&self) -> Option<BoxRefusal> {
        match self {
            Self::ForeignUser => Some(BoxRefusal::SubjectInvalid),
            Self::Box(error) => match error.as_ref() {
                BoxError::Refused { refusal, .. } => Some(*refusal),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns true if Box was unreachable or failed, rather than refused.
    pub(super) fn is_outage(&self) -> bool {
        let Self::Box(error) = self else { return false };
        error.is_outage()
    }

    /// Returns true if Box sent a response that makes no sense.
    pub(super) fn is_protocol_error(&self) -> bool {
        matches!(self, Self::Box(error) if matches!(error.as_ref(), BoxError::Protocol { .. }))
    }
}
