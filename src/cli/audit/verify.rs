//! `audit verify`: checks that the audit is complete and unaltered, in an export or in the database.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::audit::{
    CheckpointClaims, Day, DayRange, ExportLine, IntegrityError, VerificationSummary, find_checkpoint_in_line,
};
use crate::crypto::{AuditSigner, Vault};
use crate::domain::id::WriterId;
use crate::store::Store;

use super::super::database;
use super::super::failure::Failure;
use super::super::settings::ConfigArg;
use super::super::terminal;
use super::BATCH_SIZE;

/// Check that the audit is complete and unchanged, and name the first record that is not.
///
/// Without FILE it checks the database. With FILE it checks an export and needs no database. Both need
/// the key set. Whoever has the database can cut off the records after the last checkpoint that is kept
/// elsewhere; `--seen` checks that such a checkpoint is still there.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  box-token-broker audit verify
  box-token-broker audit verify audit.jsonl
  box-token-broker audit verify --seen broker.log      checkpoints in a log in JSON

Exit codes:
  0  it is complete and unchanged
  1  it is not; the message names the first problem")]
pub(super) struct VerifyArgs {
    /// An export. Default: the database.
    file: Option<PathBuf>,
    /// A file with checkpoints that were kept elsewhere: log lines in JSON, answers of
    /// `GET /v1/audit/checkpoint`, or an earlier export. One JSON value per line.
    #[arg(long, value_name = "FILE")]
    seen: Option<PathBuf>,
    /// Print JSON: the number of records, and of those that no checkpoint covers yet.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArg,
}

pub(super) async fn run(args: VerifyArgs) -> Result<(), Failure> {
    let settings = args.config.load()?;
    let claims = CheckpointClaims::new(match &args.seen {
        Some(path) => seen(path)?,
        None => BTreeMap::new(),
    });
    let found = match &args.file {
        Some(path) => of_export(database::open_vault(&settings)?.audit_signer(), path, claims)?,
        None => {
            let (vault, store) = database::open(&settings).await?;
            of_store(&vault, &*store, claims).await?
        }
    };
    let VerificationSummary { records, uncovered } = found;
    if args.json {
        return terminal::print(json!({ "records": records, "uncovered": uncovered }));
    }
    terminal::print(format_args!("whole: {records} records, {uncovered} of them since the last checkpoint"))
}

impl From<IntegrityError> for Failure {
    fn from(broken: IntegrityError) -> Self {
        Self::failed(broken.to_string())
    }
}

/// Returns the checkpoints in a file, by number.
fn seen(path: &Path) -> Result<BTreeMap<i64, String>, Failure> {
    let mut seen = BTreeMap::new();
    for line in lines(path)? {
        seen.extend(find_checkpoint_in_line(&line?));
    }
    if seen.is_empty() {
        return Err(Failure::usage(format!("{}: there is no checkpoint in it", path.display())));
    }
    Ok(seen)
}

fn lines(path: &Path) -> Result<impl Iterator<Item = Result<String, Failure>>, Failure> {
    let named = path.display().to_string();
    let failed = move |error: std::io::Error| Failure::failed(format!("{named}: {error}"));
    let file = File::open(path).map_err(&failed)?;
    Ok(BufReader::new(file).lines().map(move |line| line.map_err(&failed)))
}

/// Verifies an export in two passes: its checkpoints first, then its records.
fn of_export(
    audit_signer: &AuditSigner,
    path: &Path,
    mut claims: CheckpointClaims,
) -> Result<VerificationSummary, Failure> {
    let mut ends_with_checkpoint = false;
    for (place, line) in (1..).zip(lines(path)?) {
        let line = parse(path, place, &line?)?;
        ends_with_checkpoint = matches!(line, ExportLine::Checkpoint(_));
        if let ExportLine::Checkpoint(line) = line {
            let signed = line.signed().map_err(|_| unreadable(path, place))?;
            claims.add(audit_signer, &signed)?;
        }
    }
    if !ends_with_checkpoint {
        return Err(IntegrityError::NoEnd.into());
    }
    let mut verifier = claims.into_export_verifier(audit_signer)?;
    for (place, line) in (1..).zip(lines(path)?) {
        if let ExportLine::Record(line) = parse(path, place, &line?)? {
            verifier.verify_next(&line.link())?;
        }
    }
    Ok(verifier.finish()?)
}

fn parse(path: &Path, place: usize, line: &str) -> Result<ExportLine, Failure> {
    serde_json::from_str(line).map_err(|_| unreadable(path, place))
}

fn unreadable(path: &Path, place: usize) -> Failure {
    Failure::failed(format!(
        "{}: line {place} is no line of an export: it was altered, or cut off",
        path.display()
    ))
}

async fn of_store(
    vault: &Vault,
    store: &dyn Store,
    mut claims: CheckpointClaims,
) -> Result<VerificationSummary, Failure> {
    // Numbers begin at 1, but a manual edit of the database may have inserted smaller ones.
    let mut behind = i64::MIN;
    loop {
        let checkpoints = store.checkpoints_after(behind, BATCH_SIZE).await?;
        let Some(last) = checkpoints.last() else { break };
        behind = last.number;
        for signed in &checkpoints {
            claims.add(vault.audit_signer(), signed)?;
        }
    }
    let mut verifier = claims.into_store_verifier(vault.audit_signer())?;
    let mut at: Option<(Day, WriterId, i64)> = None;
    loop {
        let behind = at.as_ref().map(|(day, writer, number)| (*day, writer, *number));
        let links = store.audit_chain_links(DayRange::ALL, behind, BATCH_SIZE).await?;
        let Some(last) = links.last().map(|stored| &stored.link) else { break };
        at = Some((last.day, last.writer.clone(), last.number));
        for stored in &links {
            verifier.verify_next(&stored.link)?;
            if !stored.columns_agree {
                return Err(IntegrityError::columns(&stored.link).into());
            }
        }
    }
    Ok(verifier.finish()?)
}
