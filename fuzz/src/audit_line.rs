//! Exports of the audit, and lines in which somebody kept a checkpoint.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use box_token_broker::audit::{
    Chain, ChainLink, Checkpoint, CheckpointClaims, CheckpointHead, CheckpointLine, Day, DayRange,
    ExportLine, ExportManifest, RecordLine, SignedCheckpoint, VerificationSummary, find_checkpoint_in_line,
};
use box_token_broker::crypto::Vault;
use box_token_broker::domain::audit_event::{AuditAction, AuditContext, AuditEvent};
use box_token_broker::domain::id::WriterId;
use jiff::{SignedDuration, Timestamp};

use super::key_set::vault;

/// The only audit that the keys of this target ever verify_link for.
struct Genuine {
    vault: Vault,
    records: Vec<ChainLink>,
    /// Its export.
    lines: Vec<String>,
}

static GENUINE: LazyLock<Genuine> = LazyLock::new(genuine);

/// An export is whole only where it has every record that was written and no other, whatever somebody
/// did to its lines; a checkpoint that is seen in a line is in it.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for line in text.lines() {
        check_seen(line);
        check_written_again(line);
    }
    if let Some((found, records)) = whole(text) {
        assert_eq!(records, GENUINE.records);
        assert_eq!(found, VerificationSummary { records: records.len() as u64, uncovered: 0 });
    }
}

/// The export that is whole, as a seed.
#[must_use]
pub fn export() -> String {
    GENUINE.lines.join("\n")
}

/// The number of a checkpoint stands in its line, and the digest is one.
fn check_seen(line: &str) {
    if let Some((number, digest)) = find_checkpoint_in_line(line) {
        assert!(line.contains(&number.to_string()), "{number}");
        assert!(digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    }
}

/// A line says the same once it was read and written.
fn check_written_again(line: &str) {
    let Ok(read) = serde_json::from_str::<ExportLine>(line) else { return };
    let Ok(text) = serde_json::to_string(&read) else { panic!("a line that was read is written") };
    let Ok(again) = serde_json::from_str::<ExportLine>(&text) else { panic!("a line is read again: {text}") };
    match (&read, &again) {
        (ExportLine::Record(one), ExportLine::Record(other)) => assert_eq!(one.link(), other.link()),
        (ExportLine::Checkpoint(one), ExportLine::Checkpoint(other)) => {
            assert_eq!(one.signed().ok(), other.signed().ok())
        }
        _ => panic!("a line of one kind became another: {text}"),
    }
}

/// What an export holds, where it is whole; read as `audit verify` reads it.
fn whole(text: &str) -> Option<(VerificationSummary, Vec<ChainLink>)> {
    let audit_signer = GENUINE.vault.audit_signer();
    let mut claims = CheckpointClaims::new(BTreeMap::new());
    let mut records = Vec::new();
    let mut ends_with_checkpoint = false;
    for line in text.lines() {
        let line = serde_json::from_str(line).ok()?;
        ends_with_checkpoint = matches!(line, ExportLine::Checkpoint(_));
        match line {
            ExportLine::Checkpoint(line) => claims.add(audit_signer, &line.signed().ok()?).ok()?,
            ExportLine::Record(line) => records.push(line.link()),
        }
    }
    let mut verifier = ends_with_checkpoint.then_some(claims.into_export_verifier(audit_signer).ok()?)?;
    records.iter().try_for_each(|link| verifier.verify_next(link)).ok()?;
    Some((verifier.finish().ok()?, records))
}

/// Two chains of one day with three records each, and the checkpoint that ends their export.
fn genuine() -> Genuine {
    let vault = vault();
    let day = Day(20_000);
    let (mut records, mut heads) = (Vec::new(), BTreeMap::new());
    for writer in ["wri_a", "wri_b"] {
        let mut chain = Chain::new(id(writer), day);
        for action in [AuditAction::TokenMint, AuditAction::TokenRelease, AuditAction::TokenRevoke] {
            let Ok(link) = chain.append(vault.audit_signer(), &event(day.start(), action)) else {
                panic!("a audit_signer links every event")
            };
            records.push(link);
        }
        heads.insert(chain.writer.clone(), CheckpointHead::new(day, chain.tip));
    }
    let export = ExportManifest { days: DayRange { since: day, until: day }, first: 1 };
    let at = day.plus_days(1).start();
    let checkpoint = Checkpoint { number: 1, at, previous: None, heads, dropped: None, export: Some(export) };
    let signed = SignedCheckpoint::sign(vault.audit_signer(), &checkpoint).ok();
    let ends = signed.and_then(|signed| CheckpointLine::new(&signed).ok()).map(ExportLine::Checkpoint);
    let lines = records.iter().map(|link| RecordLine::new(link).ok().map(ExportLine::Record)).chain([ends]);
    let lines = lines.map(|line| serde_json::to_string(&line).unwrap_or_default()).collect();
    Genuine { vault, records, lines }
}

fn event(at: Timestamp, action: AuditAction) -> AuditEvent {
    let at = at.checked_add(SignedDuration::from_hours(1)).unwrap_or(at);
    AuditEvent {
        count: 3,
        detail: Some("as the broker writes it".to_owned()),
        ..AuditContext::BROKER.event(at, action)
    }
}

fn id(text: &str) -> WriterId {
    let Ok(id) = WriterId::parse(text) else { panic!("{text} is a writer's id") };
    id
}
