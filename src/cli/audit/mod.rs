//! `audit`: taking the audit out of the database, and finding out whether it is whole.

mod drop;
mod export;
mod report;
mod verify;

use std::sync::Arc;

use clap::Subcommand;

use crate::audit::Day;
use crate::config::Settings;
use crate::crypto::{Vault, key_file};
use crate::entropy::SystemEntropy;
use crate::store::{self, OpenMode, Store};

use super::failure::Failure;

/// Export the audit, verify it, report to a customer, drop old days.
///
/// Works on the database itself, beside a running `serve` too. It needs no API key: whoever can read
/// the database's URL and the key set is trusted.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Export(export::Args),
    Verify(verify::Args),
    Report(report::Args),
    Drop(drop::Args),
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.command {
        Command::Export(args) => export::run(args).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Report(args) => report::run(args).await,
        Command::Drop(args) => drop::run(args).await,
    }
}

/// How many rows are read at a time.
const AT_ONCE: usize = 500;

/// The keys, and the database beside a running `serve`.
async fn open(settings: &Settings) -> Result<(Arc<Vault>, Arc<dyn Store>), Failure> {
    let vault = vault(settings)?;
    let store = store::open(&settings.database, Arc::clone(&vault), OpenMode::Shared).await?;
    Ok((vault, store))
}

fn vault(settings: &Settings) -> Result<Arc<Vault>, Failure> {
    let keys = key_file::read(&settings.keys.file)?;
    Ok(Arc::new(Vault::local(&keys, Arc::new(SystemEntropy))?))
}

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).map_err(|_| "write a day as 2026-01-31 (UTC)".to_owned())
}
