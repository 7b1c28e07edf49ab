//! Why a token does not leave.

use std::sync::Arc;
use std::time::Duration;

use super::PATIENCE;
use crate::box_api::BoxError;
use crate::broker::upstream::circuit_breaker::OutageScope;
use crate::crypto::CryptoError;
use crate::domain::box_refusal::BoxRefusal;
use crate::domain::policy::DenialReason;
use crate::store::StoreError;

/// Why a token does not leave. It knows nothing of HTTP, and is shared by all who waited.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TokenError {
    /// To this caller there is no such tenant.
    #[error("no such tenant, or no grant on it")]
    Absent,
    /// The caller has a grant on the tenant, but not for this. The rule is for the log.
    #[error("refused by {}", .0.as_str())]
    Forbidden(DenialReason),
    /// The tenant, or its app, is out of service.
    #[error("the tenant is out of service")]
    Suspended,
    /// The tenant was never tested at Box.
    #[error("the tenant is pending")]
    Pending,
    /// Box does not give tokens that live as long as was asked.
    #[error("Box gives a life of {given:?}, which cannot promise {asked:?}")]
    MinTtlUnavailable {
        /// What was asked.
        asked: Duration,
        /// What Box gives.
        given: Duration,
    },
    /// Box showed another enterprise for this user, or none.
    #[error("Box shows another enterprise for this user than the tenant's, or none")]
    ForeignUser,
    /// Box did not give a token.
    #[error(transparent)]
    Box(Arc<BoxError>),
    /// The store did not do its part.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What was sealed cannot be opened.
    #[error("{what}: {error}")]
    Sealed {
        /// What it was.
        what: &'static str,
        /// Why not.
        error: CryptoError,
    },
    /// What was sealed opened, but is not what it should be.
    #[error("{0}")]
    Corrupt(&'static str),
    /// Credentials, policy or state changed while the token was minted; it was thrown away.
    #[error("the tenant changed during the mint")]
    Superseded,
    /// Box, or a part of it, failed a moment ago, and is tried again from time to time.
    #[error("not asked again yet: {error}")]
    Down {
        /// How far the outage reaches.
        extent: OutageScope,
        /// With what it last failed.
        error: Box<TokenError>,
        /// When it may be asked again.
        retry_after: Duration,
    },
    /// Too many mints are under way.
    #[error("too many mints are under way")]
    Overloaded,
    /// The task ended without a result.
    #[error("the mint's task ended without a result")]
    Crashed,
}

impl From<BoxError> for TokenError {
    fn from(error: BoxError) -> Self {
        Self::Box(Arc::new(error))
    }
}

impl TokenError {
    /// Nothing came in the time that a caller waits.
    #[must_use]
    pub fn too_late() -> Self {
        let reason = format!("nothing came within {} s", PATIENCE.as_secs());
        BoxError::Unavailable { reason, retry_after: None }.into()
    }

    /// How long Box, or the broker, wants to be left alone, where it is known.
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

    /// The failure itself: with what a line that is down failed last.
    #[must_use]
    pub fn last(&self) -> &Self {
        match self {
            Self::Down { error, .. } => error.last(),
            other => other,
        }
    }

    /// What Box refuses, where it does.
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
}
