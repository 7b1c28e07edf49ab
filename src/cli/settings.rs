//! The settings of the commands that work on the broker's own files and database.

use std::path::PathBuf;

use crate::config::Settings;

use super::failure::Failure;

/// The argument that names the settings file.
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArg {
    /// Settings file (TOML). Variables `BTB_<SECTION>__<KEY>` override it.
    #[arg(long, value_name = "FILE", env = "BTB_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

impl ConfigArg {
    /// Loads the settings from that file and the environment.
    pub(super) fn load(&self) -> Result<Settings, Failure> {
        // A variable that is not UTF-8 must not be ignored: invalid bytes are replaced.
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
        Settings::load(self.config.as_deref(), env).map_err(|error| Failure::usage(error.to_string()))
    }
}
