//! The verification of an audit, in an export or in the store: first its checkpoints, then its records.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use data_encoding::HEXLOWER;

use super::checkpoint::CheckpointHead;
use super::integrity_error::{IntegrityError, RecordName};
use super::{ChainLink, ChainTip, Checkpoint, Day, DayRange, ExportManifest, SignedCheckpoint, verify_link};
use crate::crypto::{AuditSigner, CryptoError};
use crate::domain::id::WriterId;

/// The claims of the checkpoints about the chains, which are read before the records.
#[derive(Debug, Default)]
pub struct CheckpointClaims {
    last: Option<(i64, String)>,
    first: Option<i64>,
    first_has_previous: bool,
    heads: HashMap<WriterId, ChainClaim>,
    dropped: Option<super::DroppedRange>,
    export: Option<ExportManifest>,
    seen: BTreeMap<i64, String>,
}

#[derive(Debug)]
struct ChainClaim {
    day: Day,
    /// The MAC of each record that a checkpoint contains, by number.
    macs: BTreeMap<i64, [u8; 32]>,
}

impl CheckpointClaims {
    /// Creates an empty set of claims. `seen` are checkpoints that were kept elsewhere, by number, with the SHA-256 of
    /// their content: each of them has to be among those that are added.
    #[must_use]
    pub fn new(seen: BTreeMap<i64, String>) -> Self {
        Self { seen, ..Self::default() }
    }

    /// Adds the next checkpoint.
    ///
    /// # Errors
    /// If its signature does not fit, or it does not follow the previous one.
    pub fn add(&mut self, signer: &AuditSigner, signed: &SignedCheckpoint) -> Result<(), IntegrityError> {
        let number = signed.number;
        let checkpoint = signed.verify(signer).map_err(|error| match error {
            CryptoError::KeyUnavailable { id } => {
                IntegrityError::KeyUnavailable { what: format!("checkpoint {number}"), key: id }
            }
            CryptoError::Refused | CryptoError::Wrapper(_) => IntegrityError::Checkpoint(number),
        })?;
        match &self.last {
            Some((last, _)) if number > last + 1 => return Err(IntegrityError::CheckpointMissing(last + 1)),
            Some((_, hash)) if checkpoint.previous.as_ref() != Some(hash) => {
                return Err(IntegrityError::Forked(number));
            }
            Some(_) => {}
            None => {
                self.first = Some(number);
                self.first_has_previous = checkpoint.previous.is_some();
            }
        }
        self.last = Some((number, signed.hash()));
        if let Some(seen) = self.seen.remove(&number)
            && seen != signed.hash()
        {
            return Err(IntegrityError::NotAsSeen(number));
        }
        self.add_claims(checkpoint)
    }

    fn add_claims(&mut self, checkpoint: Checkpoint) -> Result<(), IntegrityError> {
        for (writer, CheckpointHead { day, number, mac }) in checkpoint.heads {
            let mac: [u8; 32] = HEXLOWER
                .decode(mac.as_bytes())
                .ok()
                .and_then(|mac| mac.try_into().ok())
                .ok_or(IntegrityError::Checkpoint(checkpoint.number))?;
            let claim = self.heads.entry(writer.clone());
            let claim = claim.or_insert_with(|| ChainClaim { day, macs: BTreeMap::new() });
            let before = claim.macs.last_key_value().map_or(0, |(number, _)| *number);
            if number < before || claim.day != day {
                return Err(IntegrityError::Shrunk {
                    checkpoint: checkpoint.number,
                    writer,
                    before,
                    now: number,
                });
            }
            claim.macs.insert(number, mac);
        }
        if checkpoint.dropped.is_some() {
            self.dropped = checkpoint.dropped;
        }
        self.export = checkpoint.export;
        Ok(())
    }

    /// Returns the verifier of the records in a store, after its last checkpoint.
    ///
    /// # Errors
    /// If the first checkpoints are missing, or one that was seen elsewhere is.
    pub fn into_store_verifier(self, signer: &AuditSigner) -> Result<ChainVerifier<'_>, IntegrityError> {
        let first = self.dropped.as_ref().map_or(1, |dropped| dropped.first_kept);
        self.verifier(signer, ExportManifest { days: DayRange::ALL, first })
    }

    /// Returns the verifier of the records in an export, whose last line has to be its last checkpoint.
    ///
    /// # Errors
    /// Those of [`CheckpointClaims::into_store_verifier`], and `NoEnd` if the last checkpoint ends no export.
    pub fn into_export_verifier(self, signer: &AuditSigner) -> Result<ChainVerifier<'_>, IntegrityError> {
        let export = self.export.ok_or(IntegrityError::NoEnd)?;
        self.verifier(signer, export)
    }

    fn verifier(
        self,
        signer: &AuditSigner,
        export: ExportManifest,
    ) -> Result<ChainVerifier<'_>, IntegrityError> {
        if let Some((number, _)) = self.seen.first_key_value() {
            return Err(IntegrityError::NotAsSeen(*number));
        }
        match self.first {
            Some(first) if first > export.first => {
                return Err(IntegrityError::CheckpointMissing(export.first));
            }
            Some(1) if self.first_has_previous => return Err(IntegrityError::Forked(1)),
            _ => {}
        }
        let since = self.dropped.as_ref().map_or(Day(i64::MIN), |dropped| dropped.before);
        let range = DayRange { since: export.days.since.max(since), until: export.days.until };
        let expected = self.heads.iter().filter(|(_, claim)| range.contains(claim.day));
        let expected = expected.map(|(writer, claim)| (claim.day, writer.clone())).collect();
        Ok(ChainVerifier {
            signer,
            heads: self.heads,
            expected,
            position: None,
            summary: VerificationSummary::default(),
        })
    }
}

/// The numbers of records that were verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerificationSummary {
    /// All records.
    pub records: u64,
    /// The records that no checkpoint covers yet.
    pub uncovered: u64,
}

/// The verifier of the records, in the order of day, chain and number.
#[derive(Debug)]
pub struct ChainVerifier<'a> {
    signer: &'a AuditSigner,
    heads: HashMap<WriterId, ChainClaim>,
    /// The chains that the checkpoints contain and that have not come yet.
    expected: BTreeSet<(Day, WriterId)>,
    position: Option<(Day, WriterId, ChainTip)>,
    summary: VerificationSummary,
}

impl ChainVerifier<'_> {
    /// Verifies the next record.
    ///
    /// # Errors
    /// The first difference from what was written.
    pub fn verify_next(&mut self, link: &ChainLink) -> Result<(), IntegrityError> {
        let same =
            self.position.as_ref().filter(|(day, writer, _)| *day == link.day && *writer == link.writer);
        let before = match same {
            Some((_, _, tip)) => *tip,
            None => {
                self.end_chain()?;
                self.begin_chain(link)?;
                ChainTip::NONE
            }
        };
        if link.number <= before.number {
            return Err(IntegrityError::Moved(RecordName::of(link)));
        }
        if link.number > before.number + 1 {
            return Err(IntegrityError::Missing(RecordName {
                number: before.number + 1,
                ..RecordName::of(link)
            }));
        }
        let mac = verify_link(self.signer, &before.mac, link).map_err(|error| match error {
            CryptoError::KeyUnavailable { id } => {
                IntegrityError::KeyUnavailable { what: format!("record {}", RecordName::of(link)), key: id }
            }
            CryptoError::Refused | CryptoError::Wrapper(_) => IntegrityError::Record(RecordName::of(link)),
        })?;
        let claim = self.heads.get(&link.writer);
        if claim.and_then(|claim| claim.macs.get(&link.number)).is_some_and(|claimed| *claimed != mac) {
            return Err(IntegrityError::Record(RecordName::of(link)));
        }
        self.summary.records += 1;
        self.summary.uncovered +=
            u64::from(claim.and_then(last_covered).is_none_or(|last| link.number > last));
        self.position = Some((link.day, link.writer.clone(), ChainTip { number: link.number, mac }));
        Ok(())
    }

    fn begin_chain(&mut self, link: &ChainLink) -> Result<(), IntegrityError> {
        let next = (link.day, link.writer.clone());
        if self.position.as_ref().is_some_and(|(day, writer, _)| (*day, writer) > (next.0, &next.1)) {
            return Err(IntegrityError::Moved(RecordName::of(link)));
        }
        if self.heads.get(&link.writer).is_some_and(|claim| claim.day != link.day) {
            return Err(IntegrityError::Record(RecordName::of(link)));
        }
        self.check_none_missing_before(Some(&next))?;
        self.expected.remove(&next);
        Ok(())
    }

    /// Fails if a chain is missing before this one.
    fn check_none_missing_before(&self, next: Option<&(Day, WriterId)>) -> Result<(), IntegrityError> {
        match self.expected.first() {
            Some(expected) if next.is_none_or(|next| expected < next) => {
                Err(IntegrityError::Missing(RecordName {
                    day: expected.0,
                    writer: expected.1.clone(),
                    number: 1,
                }))
            }
            _ => Ok(()),
        }
    }

    /// Fails if the current chain is shorter than a checkpoint says.
    fn end_chain(&self) -> Result<(), IntegrityError> {
        let Some((day, writer, tip)) = &self.position else { return Ok(()) };
        let claimed = self.heads.get(writer).and_then(last_covered).unwrap_or(0);
        if tip.number < claimed {
            let name = RecordName { writer: writer.clone(), day: *day, number: tip.number + 1 };
            return Err(IntegrityError::Missing(name));
        }
        Ok(())
    }

    /// Ends the verification.
    ///
    /// # Errors
    /// If records are missing at the end.
    pub fn finish(self) -> Result<VerificationSummary, IntegrityError> {
        self.end_chain()?;
        self.check_none_missing_before(None)?;
        Ok(self.summary)
    }
}

/// Returns the number of the last record that a checkpoint covers.
fn last_covered(claim: &ChainClaim) -> Option<i64> {
    claim.macs.last_key_value().map(|(number, _)| *number)
}
