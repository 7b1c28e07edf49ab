//! Failures of a command: an exit code and a message.

use std::fmt;
use std::process::ExitCode;

use crate::crypto::KeySetError;
use crate::crypto::key_file::KeyFileError;
use crate::store::{OpenError, StoreError};

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    /// The command was refused or failed.
    Failed = 1,
    /// The command line, the environment or the settings are wrong; clap uses the same code.
    Usage = 2,
    /// The caller is not authenticated or not allowed, or there is no such thing: the broker does not
    /// distinguish these.
    NotAllowed = 3,
    /// A later attempt may succeed.
    RetryLater = 4,
    /// Box refuses until somebody fixes the cause there.
    BoxRefuses = 5,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failed command: the exit code for scripts and the message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// Creates a failure. Each line of `message` says what is wrong and what to do.
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// Creates a failure with [`Exit::Failed`] from a message or an error.
    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Exit::Failed, message.to_string())
    }

    /// Creates a failure with [`Exit::Usage`].
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Returns the exit code.
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
