//! A chain of records: each is bound to the one before it.

use super::Day;
use crate::crypto::{AadContext, AuditSigner, CryptoError};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::WriterId;

/// How far a chain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTip {
    /// The number of its last record; records are numbered from 1.
    pub number: i64,
    /// That record's MAC; zeros before the first.
    pub mac: [u8; 32],
}

impl ChainTip {
    /// Before the first record.
    pub const NONE: Self = Self { number: 0, mac: [0; 32] };
}

/// A chain of one day, to which one writer at a time adds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Whose it is: a new id for each chain.
    pub writer: WriterId,
    /// Its day: every record's, whatever clock wrote it.
    pub day: Day,
    /// How far it goes.
    pub tip: ChainTip,
}

/// A record where it stands in its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// Of which chain.
    pub writer: WriterId,
    /// The chain's day.
    pub day: Day,
    /// The record's number in the chain.
    pub number: i64,
    /// The event, as JSON.
    pub doc: String,
    /// The id of the `audit` key.
    pub key: String,
    /// The MAC over the place, the MAC before, the day and the event.
    pub mac: Vec<u8>,
}

impl Chain {
    /// A chain without records.
    #[must_use]
    pub fn new(writer: WriterId, day: Day) -> Self {
        Self { writer, day, tip: ChainTip::NONE }
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Where the signer has no key, or the event does not serialise: neither comes about.
    pub fn append(&mut self, signer: &AuditSigner, event: &AuditEvent) -> Result<ChainLink, CryptoError> {
        let doc = serde_json::to_string(event).map_err(|error| CryptoError::Wrapper(error.to_string()))?;
        let (key, number) = (signer.key().to_owned(), self.tip.number + 1);
        let content = content(&self.tip.mac, self.day, &doc);
        let mac = signer.mac(&key, &place(&self.writer, number), &content)?;
        self.tip = ChainTip { number, mac };
        Ok(ChainLink { writer: self.writer.clone(), day: self.day, number, doc, key, mac: mac.to_vec() })
    }
}

/// Whether a record is what was written behind the record whose MAC is `before`.
///
/// # Errors
/// `KeyUnavailable` where its key is not in the set; `Refused` where it is another.
pub fn verify_link(
    signer: &AuditSigner,
    before: &[u8; 32],
    link: &ChainLink,
) -> Result<[u8; 32], CryptoError> {
    let content = content(before, link.day, &link.doc);
    signer.verify_mac(&link.key, &place(&link.writer, link.number), &content, &link.mac)?;
    <[u8; 32]>::try_from(link.mac.as_slice()).map_err(|_| CryptoError::Refused)
}

fn place(writer: &WriterId, number: i64) -> AadContext<'_> {
    AadContext { table: "audit", row: writer.as_str(), column: "record", version: number }
}

/// The first two parts have a length of their own, so that no boundary can move.
fn content(before: &[u8; 32], day: Day, doc: &str) -> Vec<u8> {
    let mut content = Vec::with_capacity(before.len() + 8 + doc.len());
    content.extend_from_slice(before);
    content.extend_from_slice(&day.0.to_be_bytes());
    content.extend_from_slice(doc.as_bytes());
    content
}
