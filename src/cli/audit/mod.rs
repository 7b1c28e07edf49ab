//! `audit`: exports, verifies and reports on the audit, and drops its old days.

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

/// Export the audit, verify it, report to a customer, or drop old days.
///
/// Works on the database itself, also beside a running `serve`. It needs no API key: whoever can read
/// the database's URL and the key set is trusted.
#[derive(Debug, clap::Args)]
pub(super) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    Export(export::ExportArgs),
    Verify(verify::VerifyArgs),
    Report(report::ReportArgs),
    Drop(drop::DropArgs),
}

pub(super) async fn run(args: AuditArgs) -> Result<(), Failure> {
    match args.command {
        AuditCommand::Export(args) => export::run(args).await,
        AuditCommand::Verify(args) => verify::run(args).await,
        AuditCommand::Report(args) => report::run(args).await,
        AuditCommand::Drop(args) => drop::run(args).await,
    }
}

/// The number of rows that one query reads.
const BATCH_SIZE: usize = 500;

/// Opens the key set and the database, beside a running `serve`.
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
