//! How a call to Box can end without what was asked.

use std::path::PathBuf;
use std::time::Duration;

use super::assertion::SigningError;
use super::upstream::UpstreamMessage;
use crate::domain::box_refusal::BoxRefusal;

/// Why a call to Box did not succeed. No variant ever holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxError {
    /// Box refuses, and will until somebody changes something: trying again does not help.
    #[error("Box refuses ({}): {} [{upstream}]", refusal.code(), refusal.detail())]
    Refused {
        /// What has to change.
        refusal: BoxRefusal,
        /// Box's own words.
        upstream: UpstreamMessage,
    },
    /// The token that was to be downscoped is dead at Box: mint a new one and ask again.
    #[error("the token to downscope is no longer valid at Box [{upstream}]")]
    ParentDead {
        /// Box's own words.
        upstream: UpstreamMessage,
    },
    /// The token that an API call was made with is dead at Box.
    #[error("the token is no longer valid at Box [{upstream}]")]
    TokenDead {
        /// Box's own words.
        upstream: UpstreamMessage,
    },
    /// Box wants fewer calls (429); the call was not repeated.
    #[error("Box's rate limit is reached: wait {} s", retry_after.as_secs())]
    RateLimited {
        /// How long Box wants to be left alone: 1 s to an hour.
        retry_after: Duration,
    },
    /// Box cannot be reached, does not answer in time, or fails by its own account.
    #[error("Box is unavailable: {reason}")]
    Unavailable {
        /// What happened, in words.
        reason: String,
        /// How long Box wants to be left alone, where it said so: 1 s to an hour.
        retry_after: Option<Duration>,
    },
    /// Box's answer made no sense, or was not what may be trusted.
    #[error("Box's answer makes no sense: {reason}")]
    Protocol {
        /// What was wrong with it, in words.
        reason: String,
    },
    /// The assertion could not be signed, so Box was not asked.
    #[error("the assertion could not be signed: {0}")]
    Signing(#[from] SigningError),
}

impl BoxError {
    /// True where Box is away or wants to be left alone, whoever asks for whatever.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::RateLimited { .. })
    }

    pub(super) fn protocol(reason: impl Into<String>) -> Self {
        Self::Protocol { reason: reason.into() }
    }

    pub(super) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { reason: reason.into(), retry_after: None }
    }
}

/// Why no client can be made of the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxClientError {
    /// The API's address is not one that secrets may be sent to.
    #[error("box.api_url {0}")]
    ApiUrl(&'static str),
    /// The time for one try is zero.
    #[error("box.timeout must be longer than nothing")]
    Timeout,
    /// The proxy's address cannot be used. It may hold a password, so it is not repeated.
    #[error("box.proxy must be the URL of an HTTP proxy, as in `http://proxy.example:3128`")]
    Proxy,
    /// The file of certificate authorities cannot be used.
    #[error("box.ca_file {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The machine's own certificate authorities, or its TLS, cannot be used.
    #[error("no TLS client can be made: {0}; install the system's CA certificates or name box.ca_file")]
    Tls(String),
}
