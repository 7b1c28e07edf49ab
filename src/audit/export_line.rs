//! The format of an export: JSON Lines, each of them a record or a checkpoint.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{ChainLink, Day, SignedCheckpoint};
use crate::crypto::{Signature, sha256_hex};
use crate::domain::id::WriterId;

/// One line of an export.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportLine {
    /// A record.
    Record(RecordLine),
    /// A checkpoint.
    Checkpoint(CheckpointLine),
}

/// A record in its chain.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordLine {
    /// The id of the chain.
    writer: WriterId,
    /// The day of the chain, counted from 1970-01-01.
    day: Day,
    /// The number of the record in the chain.
    number: i64,
    /// The id of the `audit` key.
    key: String,
    /// The MAC, in lower-case hex.
    mac: String,
    /// The event, exactly as the MAC covers it.
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

/// The one field of a checkpoint that identifies it.
#[derive(Deserialize)]
struct CheckpointNumber {
    number: i64,
}

impl RecordLine {
    /// Returns the line for a record.
    ///
    /// # Errors
    /// If the record is not JSON, because it was altered.
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

    /// Returns the record of the line. A MAC that is not hex becomes an empty one.
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
    /// Returns the line for a checkpoint.
    ///
    /// # Errors
    /// If the checkpoint is not JSON, because it was altered.
    pub fn new(signed: &SignedCheckpoint) -> Result<Self, serde_json::Error> {
        Ok(Self {
            key: signed.signature.key.clone(),
            signature: BASE64.encode(&signed.signature.bytes),
            content: RawValue::from_string(signed.content.clone())?,
        })
    }

    /// Returns the checkpoint of the line.
    ///
    /// # Errors
    /// If it has no number.
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

/// The fields in which a line may contain a checkpoint: a line of an export, a response of the API, or a log line.
#[derive(Deserialize)]
struct CheckpointReference<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    checkpoint: Option<&'a RawValue>,
    #[serde(borrow)]
    fields: Option<&'a RawValue>,
}

/// Returns the number of the checkpoint in a line of JSON, and the SHA-256 of its content in lower-case hex; `None`
/// if there is none. The line may be one of an export, one of the log in JSON, or a response of
/// `GET /v1/audit/checkpoint`.
#[must_use]
pub fn find_checkpoint_in_line(line: &str) -> Option<(i64, String)> {
    find_within(line, MAX_DEPTH)
}

/// The maximum depth of the search: a log line contains the line of a checkpoint in its `fields`, and that contains
/// the content.
const MAX_DEPTH: usize = 3;

fn find_within(line: &str, depth: usize) -> Option<(i64, String)> {
    let depth = depth.checked_sub(1)?;
    let CheckpointReference { content, checkpoint, fields } = serde_json::from_str(line).ok()?;
    if let Some(content) = content {
        return identify(content.get());
    }
    if let Some(inner) = checkpoint {
        // The log contains it as a string, the others as an object.
        let text = serde_json::from_str::<String>(inner.get());
        let text = text.as_deref().unwrap_or(inner.get());
        return identify(text).or_else(|| find_within(text, depth));
    }
    find_within(fields?.get(), depth)
}

fn identify(content: &str) -> Option<(i64, String)> {
    let CheckpointNumber { number } = serde_json::from_str(content).ok()?;
    Some((number, sha256_hex(content.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deeply_nested_fields_contain_no_checkpoint() {
        for field in ["fields", "checkpoint"] {
            let deep = format!(r#"{{"{field}":"#).repeat(100_000) + "{}" + &"}".repeat(100_000);
            assert_eq!(find_checkpoint_in_line(&deep), None, "{field}");
        }
    }

    #[test]
    fn a_checkpoint_is_found_in_every_format_that_contains_one() {
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
