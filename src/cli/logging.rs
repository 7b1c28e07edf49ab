//! The log: lines on standard error, for people or for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

use crate::config::{LogFormat, LogSettings};

use super::failure::Failure;

/// Starts the log as the settings say.
pub(super) fn begin(log: &LogSettings) -> Result<(), Failure> {
    let filter = EnvFilter::builder().parse(&log.level).map_err(|error| {
        Failure::usage(format!(
            "log.level: {error}; write a level such as `info`, or `info,box_token_broker=debug`"
        ))
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let begun = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
        LogFormat::Pretty => lines.with_target(false).try_init(),
    };
    begun.map_err(|error| Failure::failed(format!("log lines cannot be written: {error}")))
}
