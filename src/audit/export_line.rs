//! The lines of an export: JSON Lines, one record or checkpoint each.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ChainLink, Day, SignedCheckpoint};
use crate::crypto::{Signature, sha256_hex};
use crate::domain::id::WriterId;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportLine {
    /// A record.
    Record(RecordLine),
    /// A checkpoint.
    Checkpoint(CheckpointLine),
}

/// A record where it stands in its chain.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    /// Of which chain.
    writer: WriterId,
    /// The chain's day, counted from 1970-01-01.
    day: Day,
    /// The record's number in the chain.
    number: i64,
    /// The id of the `audit` key.
    key: String,
    /// The MAC, in lower-case hex.
    mac: String,
    /// The event, exactly as its MAC covers it.
    event: Box<RawValue>,
}

/// A checkpoint and its signature.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    /// The id of the `audit` key.
    pub key: String,
    /// Ed25519 (RFC 8032), in base64.
    pub signature: String,
    /// The checkpoint, exactly as it was signed.
    pub content: Box<RawValue>,
}

/// The one field of a checkpoint that is needed to find it.
#[derive(Deserialize)]
struct CheckpointNumber {
    number: i64,
}

impl RecordLine {
    /// A record's line.
    ///
    /// # Errors
    /// Where the record is no JSON: somebody altered it.
    pub fn new(link: &ChainLink) -> Result<Self, serde_json::Error> {
        Ok(Self {
            writer: link.writer.clone(),
            day: link.day,
            number: link.number,
            key: link.key.clone(),
            mac: HEXLOWER.encode(&link.mac),
            event: RawValue::from_string(link.doc.clone())?,
        })
    }

    /// The record that the line tells; one whose MAC is no hex has an empty one.
    #[must_use]
    pub fn link(&self) -> ChainLink {
        ChainLink {
            writer: self.writer.clone(),
            day: self.day,
            number: self.number,
            doc: self.event.get().to_owned(),
            key: self.key.clone(),
            mac: HEXLOWER.decode(self.mac.as_bytes()).unwrap_or_default(),
        }
    }
}

impl CheckpointLine {
    /// A checkpoint's line.
    ///
    /// # Errors
    /// Where the checkpoint is no JSON: somebody altered it.
    pub fn new(signed: &SignedCheckpoint) -> Result<Self, serde_json::Error> {
        Ok(Self {
            key: signed.signature.key.clone(),
            signature: BASE64.encode(&signed.signature.bytes),
            content: RawValue::from_string(signed.content.clone())?,
        })
    }

    /// The checkpoint that the line tells.
    ///
    /// # Errors
    /// Where it has no number.
    pub fn signed(&self) -> Result<SignedCheckpoint, serde_json::Error> {
        let CheckpointNumber { number } = serde_json::from_str(self.content.get())?;
        let bytes = BASE64.decode(self.signature.as_bytes()).unwrap_or_default();
        Ok(SignedCheckpoint {
            number,
            content: self.content.get().to_owned(),
            signature: Signature { key: self.key.clone(), bytes },
        })
    }
}

/// Where in a line a checkpoint may stand: an export's, an answer's of the API, or the log's.
#[derive(Deserialize)]
struct CheckpointReference<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    checkpoint: Option<&'a RawValue>,
    #[serde(borrow)]
    fields: Option<&'a RawValue>,
}

/// The number of the checkpoint that a line of JSON tells of, and the SHA-256 of its content in
/// lower-case hex; `None` where it tells of none. It may be a line of an export, of the log in JSON, or
/// an answer of `GET /v1/audit/checkpoint`.
#[must_use]
pub fn find_checkpoint_in_line(line: &str) -> Option<(i64, String)> {
    seen_within(line, LEVELS)
}

/// So many objects in one another are looked through at most: a log's line has a checkpoint's line in
/// its `fields`, and that its content.
const LEVELS: usize = 3;

fn seen_within(line: &str, levels: usize) -> Option<(i64, String)> {
    let levels = levels.checked_sub(1)?;
    let CheckpointReference { content, checkpoint, fields } = serde_json::from_str(line).ok()?;
    if let Some(content) = content {
        return named(content.get());
    }
    if let Some(inner) = checkpoint {
        // The log has it as text, the others as it is.
        let text = serde_json::from_str::<String>(inner.get());
        let text = text.as_deref().unwrap_or(inner.get());
        return named(text).or_else(|| seen_within(text, levels));
    }
    seen_within(fields?.get(), levels)
}

fn named(content: &str) -> Option<(i64, String)> {
    let CheckpointNumber { number } = serde_json::from_str(content).ok()?;
    Some((number, sha256_hex(content.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_nothing_but_fields_within_fields_tells_of_none() {
        for field in ["fields", "checkpoint"] {
            let deep = format!(r#"{{"{field}":"#).repeat(100_000) + "{}" + &"}".repeat(100_000);
            assert_eq!(find_checkpoint_in_line(&deep), None, "{field}");
        }
    }

    #[test]
    fn a_checkpoint_is_found_wherever_it_was_kept() {
        let content = r#"{"number":7,"at":"2026-01-01T00:00:00Z"}"#;
        let expected = Some((7, sha256_hex(content.as_bytes())));
        let text = serde_json::to_string(content).unwrap();
        let lines = [
            format!(r#"{{"checkpoint":{{"key":"k","signature":"s","content":{content}}}}}"#),
            format!(r#"{{"checkpoint":{content},"key":"k","signature":"s"}}"#),
            format!(r#"{{"level":"INFO","fields":{{"message":"m","checkpoint":{text}}}}}"#),
        ];
        for line in lines {
            assert_eq!(find_checkpoint_in_line(&line), expected, "{line}");
        }
        for none in ["", "{}", "plain text", r#"{"fields":{"message":"x"}}"#, r#"{"record":{"number":1}}"#] {
            assert_eq!(find_checkpoint_in_line(none), None, "{none}");
        }
    }
}
