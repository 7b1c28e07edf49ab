//! Whether an audit is whole: in an export, or in the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use data_encoding::HEXLOWER;

use super::checkpoint::CheckpointHead;
use super::{ChainLink, ChainTip, Checkpoint, Day, DayRange, ExportManifest, SignedCheckpoint, verify_link};
use crate::crypto::{AuditSigner, CryptoError};
use crate::domain::id::WriterId;

/// The first thing that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// A record's content, place or MAC was altered, or somebody put it there.
    #[error("record {0} is not what the broker wrote there: it was altered, or put there from outside")]
    Record(RecordName),
    /// A record is gone.
    #[error("record {0} is missing")]
    Missing(RecordName),
    /// A record stands where it does not belong.
    #[error("record {0} is out of its place: it was moved, or stands twice")]
    Moved(RecordName),
    /// What a record is found by does not say what the record says.
    #[error("the columns beside record {0} were altered: they do not say what it says")]
    Columns(RecordName),
    /// A checkpoint was altered.
    #[error("checkpoint {0} is not what the broker signed: it was altered, or put there from outside")]
    Checkpoint(i64),
    /// A checkpoint is gone.
    #[error("checkpoint {0} is missing")]
    CheckpointMissing(i64),
    /// A checkpoint does not follow the one before it.
    #[error("checkpoint {0} does not follow the one before it: another stood there")]
    Forked(i64),
    /// A chain was shorter at a checkpoint than at one before.
    #[error("at checkpoint {checkpoint} chain {writer} had {now} records, after {before} at an earlier one")]
    Shrunk {
        /// The later checkpoint.
        checkpoint: i64,
        /// The chain.
        writer: WriterId,
        /// How many it had before.
        before: i64,
        /// How many it had then.
        now: i64,
    },
    /// A checkpoint that somebody saw is not there.
    #[error("checkpoint {0}, which was seen elsewhere, is not here, or is another here")]
    NotAsSeen(i64),
    /// An export does not end with its checkpoint.
    #[error("the export has no end: it was cut off, or something was put behind its last checkpoint")]
    NoEnd,
    /// Nothing was written under this key by a broker with this key set.
    #[error("{what} was verify_link for under key {key}, which is not in the key set")]
    KeyUnavailable {
        /// What.
        what: String,
        /// The id of the key.
        key: String,
    },
}

/// A record's name: its chain and its number in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordName {
    writer: WriterId,
    day: Day,
    number: i64,
}

impl RecordName {
    fn of(link: &ChainLink) -> Self {
        Self { writer: link.writer.clone(), day: link.day, number: link.number }
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writer, day, number } = self;
        write!(f, "{number} of chain {writer} of {day}")
    }
}

/// What the checkpoints say, read before the records.
#[derive(Debug, Default)]
pub struct CheckpointClaims {
    last: Option<(i64, String)>,
    first: Option<i64>,
    first_has_previous: bool,
    heads: HashMap<WriterId, ChainClaim>,
    dropped: Option<super::DroppedRange>,
    ends: Option<ExportManifest>,
    seen: BTreeMap<i64, String>,
}

#[derive(Debug)]
struct ChainClaim {
    day: Day,
    /// The MAC of each record that a checkpoint names.
    macs: BTreeMap<i64, [u8; 32]>,
}

impl CheckpointClaims {
    /// Nothing is claimed yet. `seen` are checkpoints that somebody kept elsewhere, by number, with the
    /// SHA-256 of their content: each has to be among those that follow.
    #[must_use]
    pub fn new(seen: BTreeMap<i64, String>) -> Self {
        Self { seen, ..Self::default() }
    }

    /// Takes the next checkpoint.
    ///
    /// # Errors
    /// Where it is not what was signed, or does not follow the one before.
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
        self.note(checkpoint)
    }

    fn note(&mut self, checkpoint: Checkpoint) -> Result<(), IntegrityError> {
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
        self.ends = checkpoint.export;
        Ok(())
    }

    /// Ends the checkpoints of a store.
    ///
    /// # Errors
    /// Where the first ones were taken away, or one that was seen elsewhere is not there.
    pub fn into_store_verifier(self, signer: &AuditSigner) -> Result<ChainVerifier<'_>, IntegrityError> {
        let first = self.dropped.as_ref().map_or(1, |dropped| dropped.first_kept);
        self.verifier(signer, ExportManifest { days: DayRange::ALL, first })
    }

    /// Ends the checkpoints of an export, the last of which has to be its last line.
    ///
    /// # Errors
    /// As [`CheckpointClaims::into_store_verifier`], or where the last checkpoint ends no export.
    pub fn into_export_verifier(self, signer: &AuditSigner) -> Result<ChainVerifier<'_>, IntegrityError> {
        let export = self.ends.ok_or(IntegrityError::NoEnd)?;
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
        let awaited = self.heads.iter().filter(|(_, claim)| range.contains(claim.day));
        let awaited = awaited.map(|(writer, claim)| (claim.day, writer.clone())).collect();
        Ok(ChainVerifier {
            signer,
            heads: self.heads,
            awaited,
            at: None,
            found: VerificationSummary::default(),
        })
    }
}

/// What was found to be whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerificationSummary {
    /// How many records.
    pub records: u64,
    /// How many of them no checkpoint covers yet.
    pub uncovered: u64,
}

/// Goes through the records, in the order of day, chain and number.
#[derive(Debug)]
pub struct ChainVerifier<'a> {
    signer: &'a AuditSigner,
    heads: HashMap<WriterId, ChainClaim>,
    /// The chains that have to come, by checkpoints, and did not yet.
    awaited: BTreeSet<(Day, WriterId)>,
    at: Option<(Day, WriterId, ChainTip)>,
    found: VerificationSummary,
}

impl ChainVerifier<'_> {
    /// Takes the next record.
    ///
    /// # Errors
    /// The first thing that is not as it was written.
    pub fn verify_next(&mut self, link: &ChainLink) -> Result<(), IntegrityError> {
        let same = self.at.as_ref().filter(|(day, writer, _)| *day == link.day && *writer == link.writer);
        let before = match same {
            Some((_, _, head)) => *head,
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
        self.found.records += 1;
        self.found.uncovered += u64::from(claim.and_then(last).is_none_or(|last| link.number > last));
        self.at = Some((link.day, link.writer.clone(), ChainTip { number: link.number, mac }));
        Ok(())
    }

    fn begin_chain(&mut self, link: &ChainLink) -> Result<(), IntegrityError> {
        let next = (link.day, link.writer.clone());
        if self.at.as_ref().is_some_and(|(day, writer, _)| (*day, writer) > (next.0, &next.1)) {
            return Err(IntegrityError::Moved(RecordName::of(link)));
        }
        if self.heads.get(&link.writer).is_some_and(|claim| claim.day != link.day) {
            return Err(IntegrityError::Record(RecordName::of(link)));
        }
        self.skip_to(Some(&next))?;
        self.awaited.remove(&next);
        Ok(())
    }

    /// Refuses where a chain was to come before this one and did not.
    fn skip_to(&self, next: Option<&(Day, WriterId)>) -> Result<(), IntegrityError> {
        match self.awaited.first() {
            Some(awaited) if next.is_none_or(|next| awaited < next) => {
                Err(IntegrityError::Missing(RecordName {
                    day: awaited.0,
                    writer: awaited.1.clone(),
                    number: 1,
                }))
            }
            _ => Ok(()),
        }
    }

    /// Refuses where a chain ends before its last checkpoint.
    fn end_chain(&self) -> Result<(), IntegrityError> {
        let Some((day, writer, head)) = &self.at else { return Ok(()) };
        let claimed = self.heads.get(writer).and_then(last).unwrap_or(0);
        if head.number < claimed {
            let name = RecordName { writer: writer.clone(), day: *day, number: head.number + 1 };
            return Err(IntegrityError::Missing(name));
        }
        Ok(())
    }

    /// Ends the records.
    ///
    /// # Errors
    /// Where some are missing at the end.
    pub fn finish(self) -> Result<VerificationSummary, IntegrityError> {
        self.end_chain()?;
        self.skip_to(None)?;
        Ok(self.found)
    }
}

impl IntegrityError {
    /// The columns beside this record were altered.
    #[must_use]
    pub fn columns(link: &ChainLink) -> Self {
        Self::Columns(RecordName::of(link))
    }
}

fn last(claim: &ChainClaim) -> Option<i64> {
    claim.macs.last_key_value().map(|(number, _)| *number)
}
