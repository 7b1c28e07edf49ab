//! `audit drop`: drops whole days of the audit.

use crate::audit::Day;
use crate::clock::{Clock, SystemClock};

use super::super::database;
use super::super::failure::Failure;
use super::super::settings::ConfigArg;
use super::super::terminal;
use super::day;

/// Drop the audit's days before a given one.
///
/// A signature records that this was done on purpose, and the rest can still be verified. The setting
/// `audit.retention` does the same automatically.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker audit export --until 2026-03-31 > first-quarter.jsonl
  box-token-broker audit drop --before 2026-04-01")]
pub(super) struct DropArgs {
    /// The first day that is kept (UTC).
    #[arg(long, value_name = "DAY", value_parser = day)]
    before: Day,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: DropArgs) -> Result<(), Failure> {
    let now = SystemClock::new().wall();
    if args.before > Day::of(now) {
        return Err(Failure::usage("--before: today is the last day that can be kept alone"));
    }
    let (_, store) = database::open(&args.config.load()?).await?;
    match store.drop_audit_before(args.before, now).await? {
        Some(_) => terminal::print(format_args!("every day before {} is dropped", args.before)),
        None => terminal::print("there was nothing to drop"),
    }
}
