//! The errors of calls to Box.

use std::path::PathBuf;
use std::time::Duration;

use super::assertion::SigningError;
use super::upstream::UpstreamMessage;
use crate::domain::box_refusal::BoxRefusal;

/// The error of a call to Box. No variant ever holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxError {
    /// Box refuses until somebody changes something: a retry does not help.
    #[error("Box refuses ({}): {} [{upstream}]", refusal.code(), refusal.detail())]
    Refused {
        /// The change that is needed.
        refusal: BoxRefusal,
        /// Box's own message.
        upstream: UpstreamMessage,
    },
    /// The token to downscope is dead at Box: mint a new one and try again.
    #[error("the token to downscope is no longer valid at Box [{upstream}]")]
    ParentDead {
        /// Box's own message.
        upstream: UpstreamMessage,
    },
    /// The token of an API call is dead at Box.
    #[error("the token is no longer valid at Box [{upstream}]")]
    TokenDead {
        /// Box's own message.
        upstream: UpstreamMessage,
    },
    /// Box's rate limit is reached (429), and the call was not repeated.
    #[error("Box's rate limit is reached: wait {} s", retry_after.as_secs())]
    RateLimited {
        /// The time that Box demands before the next call: 1 s to an hour.
        retry_after: Duration,
    },
    /// Box cannot be reached, does not answer in time, or reports a failure of its own.
    #[error("Box is unavailable: {reason}")]
    Unavailable {
        /// The cause, in words.
        reason: String,
        /// The time that Box demands before the next call, if it said so: 1 s to an hour.
        retry_after: Option<Duration>,
    },
    /// Box's answer is not what the protocol allows, or cannot be trusted.
    #[error("Box's answer makes no sense: {reason}")]
    Protocol {
        /// The cause, in words.
        reason: String,
    },
    /// The assertion could not be signed, so Box was not called.
    #[error("the assertion could not be signed: {0}")]
    Signing(#[from] SigningError),
}

impl BoxError {
    /// Returns true if Box is away or demands a pause, for everybody and everything.
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

/// The reason why no client can be built from the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BoxClientError {
    /// The API's address is not one that secrets may be sent to.
    #[error("box.api_url {0}")]
    ApiUrl(&'static str),
    /// The time for one attempt is zero.
    #[error("box.timeout must be longer than nothing")]
    Timeout,
    /// The proxy's address cannot be used. It may contain a password, so it is not repeated.
    #[error("box.proxy must be the URL of an HTTP proxy, as in `http://proxy.example:3128`")]
    Proxy,
    /// The file of certificate authorities cannot be used.
    #[error("box.ca_file {}: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// The machine's own certificate authorities, or its TLS, cannot be used.
    #[error("no TLS client can be made: {0}; install the system's CA certificates or name box.ca_file")]
    Tls(String),
}
