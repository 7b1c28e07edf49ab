//! `audit export`: writes the audit as JSON Lines that end with a signed checkpoint.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use crate::audit::{CheckpointLine, Day, DayRange, ExportLine, RecordLine, SignedCheckpoint};
use crate::clock::{Clock, SystemClock};
use crate::crypto::Vault;
use crate::domain::id::WriterId;
use crate::store::Store;

use super::super::database;
use super::super::failure::Failure;
use super::super::settings::ConfigArg;
use super::super::terminal;
use super::{BATCH_SIZE, day};

/// Write the audit to standard output, one record or checkpoint per line (JSON Lines).
///
/// The last line is a checkpoint that signs how far the export goes, so that nothing can be removed from
/// it unnoticed. `audit verify FILE` checks it without a database.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker audit export > audit.jsonl
  box-token-broker audit export --since 2026-01-01 --until 2026-01-31 > january.jsonl
  box-token-broker audit verify january.jsonl")]
pub(super) struct ExportArgs {
    /// The first day (UTC). Default: the first day on record.
    #[arg(long, value_name = "DAY", value_parser = day)]
    since: Option<Day>,
    /// The last day (UTC), as far as it is on record. Default: today.
    #[arg(long, value_name = "DAY", value_parser = day)]
    until: Option<Day>,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: ExportArgs) -> Result<(), Failure> {
    let (vault, store) = database::open(&args.config.load()?).await?;
    let DayRange { since, until } = DayRange::ALL;
    let range = DayRange { since: args.since.unwrap_or(since), until: args.until.unwrap_or(until) };
    if range.since > range.until {
        return Err(Failure::usage(format!(
            "{} is later than {}: turn them round",
            range.since, range.until
        )));
    }
    let mut out = LineWriter { out: BufWriter::new(io::stdout().lock()), records: 0 };
    export(&vault, &*store, range, &mut out).await?;
    let records = out.finish()?;
    terminal::remark(format_args!("exported {records} records"));
    Ok(())
}

/// Writes the range. The checkpoint is signed before the records are read, so that records which arrive
/// meanwhile belong to the next export.
async fn export(
    vault: &Vault,
    store: &dyn Store,
    range: DayRange,
    out: &mut LineWriter<'_>,
) -> Result<(), Failure> {
    let last = store.sign_checkpoint(SystemClock::new().wall(), Some(range)).await?;
    let last = last.ok_or_else(|| Failure::failed("the export cannot be signed"))?;
    let mut covered: HashMap<WriterId, i64> = HashMap::new();
    let first = first_of(vault, &last)?;
    let mut behind = first - 1;
    while behind + 1 < last.number {
        let checkpoints = store.checkpoints_after(behind, BATCH_SIZE).await?;
        let Some(newest) = checkpoints.last().map(|signed| signed.number) else { break };
        for signed in checkpoints.iter().filter(|signed| signed.number < last.number) {
            note(vault, signed, &mut covered);
            out.checkpoint(signed)?;
        }
        behind = newest;
    }
    note(vault, &last, &mut covered);
    let mut at: Option<(Day, WriterId, i64)> = None;
    loop {
        let behind = at.as_ref().map(|(day, writer, number)| (*day, writer, *number));
        let links = store.audit_chain_links(range, behind, BATCH_SIZE).await?;
        let Some(newest) = links.last().map(|stored| &stored.link) else { break };
        at = Some((newest.day, newest.writer.clone(), newest.number));
        for stored in &links {
            let link = &stored.link;
            if covered.get(&link.writer).is_some_and(|number| link.number <= *number) {
                out.line(&ExportLine::Record(
                    RecordLine::new(link).map_err(|_| altered(link.writer.as_str()))?,
                ))?;
                out.records += 1;
            }
        }
    }
    out.checkpoint(&last)
}

fn first_of(vault: &Vault, last: &SignedCheckpoint) -> Result<i64, Failure> {
    let checkpoint = last.verify(vault.audit_signer()).map_err(|error| Failure::failed(error.to_string()))?;
    Ok(checkpoint.export.map_or(last.number, |export| export.first))
}

/// Records how far a checkpoint says that each chain goes. An altered checkpoint is exported unchanged, so that
/// verification finds it.
fn note(vault: &Vault, signed: &SignedCheckpoint, covered: &mut HashMap<WriterId, i64>) {
    let Ok(checkpoint) = signed.verify(vault.audit_signer()) else { return };
    for (writer, head) in checkpoint.heads {
        let number = covered.entry(writer).or_default();
        *number = head.number.max(*number);
    }
}

fn altered(what: &str) -> Failure {
    Failure::failed(format!("{what} was altered so that it cannot even be exported: run `audit verify`"))
}

struct LineWriter<'a> {
    out: BufWriter<io::StdoutLock<'a>>,
    records: u64,
}

impl LineWriter<'_> {
    fn checkpoint(&mut self, signed: &SignedCheckpoint) -> Result<(), Failure> {
        let line = CheckpointLine::new(signed).map_err(|_| altered("a checkpoint"))?;
        self.line(&ExportLine::Checkpoint(line))
    }

    fn line(&mut self, line: &ExportLine) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.out, line).map_err(|error| unwritable(&error.into()))?;
        self.out.write_all(b"\n").map_err(|error| unwritable(&error))
    }

    fn finish(mut self) -> Result<u64, Failure> {
        self.out.flush().map_err(|error| unwritable(&error))?;
        Ok(self.records)
    }
}

fn unwritable(error: &io::Error) -> Failure {
    Failure::failed(format!("standard output cannot be written: {error}"))
}
