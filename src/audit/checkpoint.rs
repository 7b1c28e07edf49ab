//! Checkpoints: signed statements of how far each chain goes.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ChainTip, Day};
use crate::crypto::{AuditSigner, CryptoError, Signature, sha256_hex};
use crate::domain::id::WriterId;

/// How far the chains go that grew since the checkpoint before, which it names by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// Its number; one more than that of the checkpoint before.
    pub number: i64,
    /// When it was made.
    pub at: Timestamp,
    /// SHA-256 of the content of the checkpoint before, in lower-case hex; none before the first.
    pub previous: Option<String>,
    /// The chains that grew, each with its day, its last record's number and that record's MAC.
    pub heads: BTreeMap<WriterId, CheckpointHead>,
    /// Which days were dropped from the store, where some were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DroppedRange>,
    /// Which days it ends the export of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportManifest>,
}

/// How far a chain goes, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointHead {
    /// The chain's day.
    pub day: Day,
    /// Its last record's number.
    pub number: i64,
    /// That record's MAC, in lower-case hex.
    pub mac: String,
}

impl CheckpointHead {
    /// A chain's head.
    #[must_use]
    pub fn new(day: Day, tip: ChainTip) -> Self {
        Self { day, number: tip.number, mac: HEXLOWER.encode(&tip.mac) }
    }
}

/// What was dropped on purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedRange {
    /// Every day before this one.
    pub before: Day,
    /// The number of the first checkpoint that was kept.
    pub first_kept: i64,
}

/// What an export holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportManifest {
    /// Its days.
    pub days: DayRange,
    /// The number of its first checkpoint.
    pub first: i64,
}

/// Days, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DayRange {
    /// The first.
    pub since: Day,
    /// The last.
    pub until: Day,
}

impl DayRange {
    /// Every day.
    pub const ALL: Self = Self { since: Day(i64::MIN), until: Day(i64::MAX) };

    /// True for a day in it.
    #[must_use]
    pub fn contains(&self, day: Day) -> bool {
        (self.since..=self.until).contains(&day)
    }
}

/// A checkpoint with its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The checkpoint's number, for finding it.
    pub number: i64,
    /// Its JSON, exactly as it was signed.
    pub content: String,
    /// The signature.
    pub signature: Signature,
}

impl SignedCheckpoint {
    /// Signs a checkpoint.
    ///
    /// # Errors
    /// Where it does not serialise, which does not come about.
    pub fn sign(signer: &AuditSigner, checkpoint: &Checkpoint) -> Result<Self, serde_json::Error> {
        let content = serde_json::to_string(checkpoint)?;
        let signature = signer.sign(content.as_bytes());
        Ok(Self { number: checkpoint.number, content, signature })
    }

    /// What it says.
    ///
    /// # Errors
    /// `KeyUnavailable` where its key is not in the set; `Refused` where it was not signed like this.
    pub fn verify(&self, signer: &AuditSigner) -> Result<Checkpoint, CryptoError> {
        signer.verify(self.content.as_bytes(), &self.signature)?;
        let checkpoint: Checkpoint = serde_json::from_str(&self.content).map_err(|_| CryptoError::Refused)?;
        if checkpoint.number == self.number { Ok(checkpoint) } else { Err(CryptoError::Refused) }
    }

    /// By what the next checkpoint names it.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256_hex(self.content.as_bytes())
    }
}
