//! The error of a verification. Its texts name the record or checkpoint for the operator.

use std::fmt;

use super::{ChainLink, Day};
use crate::domain::id::WriterId;

/// The first difference between an audit and what the broker wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntegrityError {
    /// A record was altered, or inserted from outside.
    #[error("record {0} is not what the broker wrote there: it was altered, or put there from outside")]
    Record(RecordName),
    /// A record is missing.
    #[error("record {0} is missing")]
    Missing(RecordName),
    /// A record is in the wrong place.
    #[error("record {0} is out of its place: it was moved, or stands twice")]
    Moved(RecordName),
    /// The columns that index a record do not agree with it.
    #[error("the columns beside record {0} were altered: they do not say what it says")]
    Columns(RecordName),
    /// A checkpoint was altered.
    #[error("checkpoint {0} is not what the broker signed: it was altered, or put there from outside")]
    Checkpoint(i64),
    /// A checkpoint is missing.
    #[error("checkpoint {0} is missing")]
    CheckpointMissing(i64),
    /// A checkpoint does not follow the previous one.
    #[error("checkpoint {0} does not follow the one before it: another stood there")]
    Forked(i64),
    /// A chain is shorter in a checkpoint than in an earlier one.
    #[error("at checkpoint {checkpoint} chain {writer} had {now} records, after {before} at an earlier one")]
    Shrunk {
        /// The later checkpoint.
        checkpoint: i64,
        /// The chain.
        writer: WriterId,
        /// Its number of records in the earlier one.
        before: i64,
        /// Its number of records in the later one.
        now: i64,
    },
    /// A checkpoint that was seen elsewhere is missing or different.
    #[error("checkpoint {0}, which was seen elsewhere, is not here, or is another here")]
    NotAsSeen(i64),
    /// An export does not end with its checkpoint.
    #[error("the export has no end: it was cut off, or something was put behind its last checkpoint")]
    NoEnd,
    /// The key of a record or checkpoint is not in the key set.
    #[error("{what} was verify_link for under key {key}, which is not in the key set")]
    KeyUnavailable {
        /// The record or checkpoint.
        what: String,
        /// The id of the key.
        key: String,
    },
}

/// The name of a record: its chain, and its number in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordName {
    pub(super) writer: WriterId,
    pub(super) day: Day,
    pub(super) number: i64,
}

impl RecordName {
    pub(super) fn of(link: &ChainLink) -> Self {
        Self { writer: link.writer.clone(), day: link.day, number: link.number }
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { writer, day, number } = self;
        write!(f, "{number} of chain {writer} of {day}")
    }
}

impl IntegrityError {
    /// Returns the error for a record whose columns do not agree with it.
    #[must_use]
    pub fn columns(link: &ChainLink) -> Self {
        Self::Columns(RecordName::of(link))
    }
}
