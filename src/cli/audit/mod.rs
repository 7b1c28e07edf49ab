//! `audit`: exports, verifies and reports on the audit, and drops its old days.

mod drop;
mod export;
mod report;
mod verify;

use clap::Subcommand;

use crate::audit::Day;

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

fn day(text: &str) -> Result<Day, String> {
    Day::parse(text).map_err(|_| "write a day as 2026-01-31 (UTC)".to_owned())
}
