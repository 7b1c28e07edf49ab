//! How a command ends when it does not succeed.

use std::fmt;
use std::process::ExitCode;

use crate::crypto::KeySetError;
use crate::crypto::key_file::KeyFileError;
use crate::store::{OpenError, StoreError};

/// What a script is told by the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// Refused or failed.
    Failed = 1,
    /// Wrong usage or settings; clap ends with the same code.
    Usage = 2,
    /// Not authenticated, not allowed, or no such thing, which the broker does not tell apart.
    NotAllowed = 3,
    /// Trying again later may help.
    RetryLater = 4,
    /// Box refuses until somebody fixes it there.
    BoxRefuses = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What to tell the person, and the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with its exit code. Each line of `message` says what is wrong and what to do.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// Something failed.
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command line, the environment or the settings are wrong.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The exit code.
    pub(super) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<KeySetError> for Failure {
    fn from(error: KeySetError) -> Self {
        Self::failed(error.to_string())
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        let away = matches!(&error, OpenError::Database { reason: StoreError::Unavailable(_), .. });
        Self::new(if away { Exit::RetryLater } else { Exit::Failed }, error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let away = matches!(&error, StoreError::Unavailable(_));
        Self::new(if away { Exit::RetryLater } else { Exit::Failed }, error.to_string())
    }
}
