//! `keys`: creates and lists the broker's own key set, which opens everything that it stored.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::crypto::{KeySet, KeyStatus, key_file};
use crate::entropy::SystemEntropy;

use super::failure::Failure;
use super::settings::ConfigArg;
use super::terminal;

/// Generate the broker's own keys, or list the keys of a key set.
#[derive(Debug, clap::Args)]
pub(super) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Generate a key set and write it to a file that only you can read. Never overwrites a file.
    ///
    /// Keep a copy away from the database and its backups. Whoever has both can read every customer's
    /// key; without the key set nobody can.
    #[command(after_help = "\
Examples:
  box-token-broker keys generate
  box-token-broker keys generate --file /etc/box-token-broker/keys.json")]
    Generate(KeySetFile),
    /// List the keys of a key set: kind, ID and state, never the keys themselves.
    Status {
        #[command(flatten)]
        file: KeySetFile,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, clap::Args)]
struct KeySetFile {
    /// The key set's file. Default: `keys.file` of the settings (keys.json).
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
}

impl KeySetFile {
    fn path(&self) -> Result<PathBuf, Failure> {
        match &self.file {
            Some(file) => Ok(file.clone()),
            None => Ok(self.config.load()?.keys.file),
        }
    }
}

pub(super) fn run(args: &KeysArgs) -> Result<(), Failure> {
    match &args.command {
        KeysCommand::Generate(file) => generate(file),
        KeysCommand::Status { file, json } => status(file, *json),
    }
}

fn generate(file: &KeySetFile) -> Result<(), Failure> {
    let path = file.path()?;
    let keys = KeySet::generate(&SystemEntropy);
    key_file::write_new(&path, &keys)?;
    terminal::remark(format_args!(
        "wrote a new key set to {}: keep a copy of it in a safe place, apart from the database",
        path.display()
    ));
    Ok(())
}

fn status(file: &KeySetFile, as_json: bool) -> Result<(), Failure> {
    let keys = key_file::read(&file.path()?)?;
    let keys = keys.status();
    if as_json {
        let row =
            |key: &KeyStatus| json!({ "kind": key.kind.as_str(), "id": key.id, "state": key.state.as_str() });
        return terminal::print(json!({ "keys": keys.iter().map(row).collect::<Vec<_>>() }));
    }
    keys.iter().try_for_each(|key| {
        terminal::print(format_args!("{:<12} {:<24} {}", key.kind.as_str(), key.id, key.state.as_str()))
    })
}
