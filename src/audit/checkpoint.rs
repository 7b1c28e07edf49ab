//! Checkpoints: signed statements of how far each chain goes.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChainTip, Day};
use crate::crypto::{AuditSigner, CryptoError, Signature, sha256_hex};
use crate::domain::id::WriterId;

/// A statement of the ends of the chains that have grown since the previous checkpoint, whose hash it contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its number; one more than that of the previous checkpoint.
    pub number: i64,
    /// The time at which it was created.
    pub at: Timestamp,
    /// SHA-256 of the content of the previous checkpoint, in lower-case hex; none in the first one.
    pub previous: Option<String>,
    /// The ends of the chains that have grown.
    pub heads: BTreeMap<WriterId, CheckpointHead>,
    /// The days that were dropped from the store, if any were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DroppedRange>,
    /// The export that this checkpoint ends, if it ends one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportManifest>,
}

/// The end of a chain in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointHead {
    /// The day of the chain.
    pub day: Day,
    /// The number of its last record.
    pub number: i64,
    /// The MAC of that record, in lower-case hex.
    pub mac: String,
}

impl CheckpointHead {
    /// Returns the end of a chain as a checkpoint contains it.
    #[must_use]
    pub fn new(day: Day, tip: ChainTip) -> Self {
        Self { day, number: tip.number, mac: HEXLOWER.encode(&tip.mac) }
    }
}

/// The days that were dropped on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedRange {
    /// All days before this one.
    pub before: Day,
    /// The number of the first checkpoint that was kept.
    pub first_kept: i64,
}

/// The range of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportManifest {
    /// The days.
    pub days: DayRange,
    /// The number of the first checkpoint.
    pub first: i64,
}

/// A range of days, including both ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayRange {
    /// The first day.
    pub since: Day,
    /// The last day.
    pub until: Day,
}

impl DayRange {
    /// All days.
    pub const ALL: Self = Self { since: Day(i64::MIN), until: Day(i64::MAX) };

    /// Returns true if the day is in the range.
    #[must_use]
    pub fn contains(&self, day: Day) -> bool {
        (self.since..=self.until).contains(&day)
    }
}

/// A checkpoint with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The number of the checkpoint.
    pub number: i64,
    /// The JSON of the checkpoint, exactly as it was signed.
    pub content: String,
    /// The signature.
    pub signature: Signature,
}

impl SignedCheckpoint {
    /// Signs a checkpoint.
    ///
    /// # Errors
    /// If it cannot be serialised, which does not happen in practice.
    pub fn sign(signer: &AuditSigner, checkpoint: &Checkpoint) -> Result<Self, serde_json::Error> {
        let content = serde_json::to_string(checkpoint)?;
        let signature = signer.sign(content.as_bytes());
        Ok(Self { number: checkpoint.number, content, signature })
    }

    /// Verifies the signature and returns the checkpoint.
    ///
    /// # Errors
    /// `KeyUnavailable` if its key is not in the key set; `Refused` if the signature does not fit.
    pub fn verify(&self, signer: &AuditSigner) -> Result<Checkpoint, CryptoError> {
        signer.verify(self.content.as_bytes(), &self.signature)?;
        let checkpoint: Checkpoint = serde_json::from_str(&self.content).map_err(|_| CryptoError::Refused)?;
        if checkpoint.number == self.number { Ok(checkpoint) } else { Err(CryptoError::Refused) }
    }

    /// Returns the hash by which the next checkpoint refers to this one: SHA-256 in lower-case hex.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256_hex(self.content.as_bytes())
    }
}
