//! Hash chains of records: the MAC of each record covers the record before it.

use super::Day;
use crate::crypto::{AadContext, AuditSigner, CryptoError};
use crate::domain::audit_event::AuditEvent;
use crate::domain::id::WriterId;

/// The end of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainTip {
    /// The number of the last record; records are numbered from 1.
    pub number: i64,
    /// The MAC of that record; zeros before the first record.
    pub mac: [u8; 32],
}

impl ChainTip {
    /// The end of a chain without records.
    pub const NONE: Self = Self { number: 0, mac: [0; 32] };
}

/// A chain of one day, which one transaction at a time appends to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The id of the chain.
    pub writer: WriterId,
    /// The day of all its records, whatever the clock said when they were written.
    pub day: Day,
    /// Its end.
    pub tip: ChainTip,
}

/// A record in its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainLink {
    /// The id of the chain.
    pub writer: WriterId,
    /// The day of the chain.
    pub day: Day,
    /// The number of the record in the chain.
    pub number: i64,
    /// The event, as JSON.
    pub doc: String,
    /// The id of the `audit` key.
    pub key: String,
    /// The MAC over the chain's id, the number, the MAC of the record before, the day and the event.
    pub mac: Vec<u8>,
}

impl Chain {
    /// Creates a chain without records.
    #[must_use]
    pub fn new(writer: WriterId, day: Day) -> Self {
        Self { writer, day, tip: ChainTip::NONE }
    }

    /// Appends a record.
    ///
    /// # Errors
    /// If the signer has no key or the event cannot be serialised; neither happens in practice.
    pub fn append(&mut self, signer: &AuditSigner, event: &AuditEvent) -> Result<ChainLink, CryptoError> {
        let doc = serde_json::to_string(event).map_err(|error| CryptoError::Wrapper(error.to_string()))?;
        let (key, number) = (signer.key().to_owned(), self.tip.number + 1);
        let content = content(&self.tip.mac, self.day, &doc);
        let mac = signer.mac(&key, &aad(&self.writer, number), &content)?;
        self.tip = ChainTip { number, mac };
        Ok(ChainLink { writer: self.writer.clone(), day: self.day, number, doc, key, mac: mac.to_vec() })
    }
}

/// Verifies that a record was written after the record whose MAC is `before`, and returns its own MAC.
///
/// # Errors
/// `KeyUnavailable` if its key is not in the key set; `Refused` if it is a different record.
pub fn verify_link(
    signer: &AuditSigner,
    before: &[u8; 32],
    link: &ChainLink,
) -> Result<[u8; 32], CryptoError> {
    let content = content(before, link.day, &link.doc);
    signer.verify_mac(&link.key, &aad(&link.writer, link.number), &content, &link.mac)?;
    <[u8; 32]>::try_from(link.mac.as_slice()).map_err(|_| CryptoError::Refused)
}

fn aad(writer: &WriterId, number: i64) -> AadContext<'_> {
    AadContext { table: "audit", row: writer.as_str(), column: "record", version: number }
}

/// Returns the content that the MAC covers. The first two parts have a fixed length, so that no boundary can move.
fn content(before: &[u8; 32], day: Day, doc: &str) -> Vec<u8> {
    let mut content = Vec::with_capacity(before.len() + 8 + doc.len());
    content.extend_from_slice(before);
    content.extend_from_slice(&day.0.to_be_bytes());
    content.extend_from_slice(doc.as_bytes());
    content
}
