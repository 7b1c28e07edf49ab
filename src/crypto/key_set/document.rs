//! The key set's JSON document, field by field.

use data_encoding::BASE64;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_path_to_error::Segment;
use zeroize::Zeroizing;

use super::{KEY_LEN, KeyEntry, KeyKind, KeySetError, KeyState};
use crate::secret::{SecretBytes, SecretString};

pub(super) const VERSION: u64 = 1;

/// The version alone, which is read first because another version may have any other form.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<K> {
    version: u64,
    encryption: Vec<Entry<K>>,
    row: Vec<Entry<K>>,
    pepper: Vec<Entry<K>>,
    session: Vec<Entry<K>>,
    audit: Vec<Entry<K>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry<K> {
    id: String,
    key: K,
    state: State,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Active,
    Retired,
}

/// Returns the document's keys, in its order.
pub(super) fn read(json: &[u8]) -> Result<Vec<KeyEntry>, KeySetError> {
    if parse::<Versioned>(json)?.version != VERSION {
        return Err(KeySetError::Version);
    }
    let document: Document<SecretString> = parse(json)?;
    let mut keys = Vec::new();
    for (kind, entries) in KeyKind::ALL.into_iter().zip(document.into_kinds()) {
        for (index, entry) in entries.into_iter().enumerate() {
            keys.push(entry.read(kind, index)?);
        }
    }
    Ok(keys)
}

/// Returns the document of these keys.
#[expect(clippy::expect_used, reason = "texts and numbers always serialise, and memory takes every byte")]
pub(super) fn write(keys: &[KeyEntry]) -> SecretBytes {
    let encoded: Vec<_> = keys.iter().map(|key| Zeroizing::new(BASE64.encode(key.secret.expose()))).collect();
    let entries = |kind: KeyKind| {
        let of_kind = keys.iter().zip(&encoded).filter(|(key, _)| key.kind == kind);
        of_kind.map(|(key, encoded)| Entry::write(key, encoded)).collect()
    };
    let document = Document {
        version: VERSION,
        encryption: entries(KeyKind::Encryption),
        row: entries(KeyKind::Row),
        pepper: entries(KeyKind::Pepper),
        session: entries(KeyKind::Session),
        audit: entries(KeyKind::Audit),
    };
    // Reserved in advance: a buffer that grows leaves copies of keys behind.
    let mut json = Zeroizing::new(Vec::with_capacity(512 + 256 * keys.len()));
    serde_json::to_writer_pretty(&mut *json, &document).expect("a document that serialises");
    json.push(b'\n');
    SecretBytes::new(std::mem::take(&mut *json))
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, KeySetError> {
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let document = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            KeySetError::InvalidField { pointer: pointer(error.path()) }
        } else {
            syntax(inner)
        }
    })?;
    deserializer.end().map_err(|error| syntax(&error))?;
    Ok(document)
}

fn syntax(error: &serde_json::Error) -> KeySetError {
    KeySetError::Syntax { line: error.line(), column: error.column() }
}

/// Returns the pointer of an error. It contains only the names that every key set has: an unknown name or state might
/// be a misplaced secret.
fn pointer(path: &serde_path_to_error::Path) -> String {
    let known = |key: &str| {
        ["version", "id", "key", "state"].contains(&key)
            || KeyKind::ALL.iter().any(|kind| kind.as_str() == key)
    };
    path.iter()
        .map_while(|segment| match segment {
            Segment::Map { key } if known(key) => Some(format!("/{key}")),
            Segment::Seq { index } => Some(format!("/{index}")),
            _ => None,
        })
        .collect()
}

impl<K> Document<K> {
    /// Returns the entries by kind, in the order of `KeyKind::ALL`.
    fn into_kinds(self) -> [Vec<Entry<K>>; 5] {
        [self.encryption, self.row, self.pepper, self.session, self.audit]
    }
}

impl Entry<SecretString> {
    fn read(self, kind: KeyKind, index: usize) -> Result<KeyEntry, KeySetError> {
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if !(1..=64).contains(&self.id.len()) || !self.id.bytes().all(letter) {
            return Err(KeySetError::InvalidId { pointer: format!("/{kind}/{index}/id") });
        }
        // The decoder accepts padding between blocks too; a key set may have it only at the end.
        let text = self.key.expose();
        let is_canonical = !text.trim_end_matches('=').contains('=');
        let secret = BASE64.decode(text.as_bytes()).map(SecretBytes::new);
        let Some(secret) = secret.ok().filter(|secret| is_canonical && secret.expose().len() == KEY_LEN)
        else {
            return Err(KeySetError::InvalidKey { pointer: format!("/{kind}/{index}/key") });
        };
        let state = match self.state {
            State::Active => KeyState::Active,
            State::Retired => KeyState::Retired,
        };
        Ok(KeyEntry { kind, id: self.id, state, secret })
    }
}

impl<'a> Entry<&'a str> {
    fn write(key: &KeyEntry, encoded: &'a str) -> Self {
        let state = match key.state {
            KeyState::Active => State::Active,
            KeyState::Retired => State::Retired,
        };
        Self { id: key.id.clone(), key: encoded, state }
    }
}
