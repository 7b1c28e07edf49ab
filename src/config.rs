//! Typed settings: what an operator may choose.

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use crate::secret::SecretString;

/// `box.*`
#[derive(Clone, Debug)]
pub struct BoxApi {
    /// The origin of Box's API: https, or http on loopback.
    pub api_url: Url,
    /// How long one try may take.
    pub timeout: Duration,
    /// The proxy through which Box is reached; its URL may hold a password.
    pub proxy: Option<SecretString>,
    /// PEM file of further certificate authorities to trust.
    pub ca_file: Option<PathBuf>,
    /// What to do where Box's `restricted_to` is not what was asked.
    pub restricted_to: RestrictedTo,
}

/// What to do with a downscoped token whose `restricted_to` is not what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestrictedTo {
    /// Keep it back.
    Enforce,
    /// Hand it out and say so in the log.
    Warn,
}
