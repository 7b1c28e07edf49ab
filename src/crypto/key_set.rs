//! The key set: the broker's own keys by kind, each with an id that is stored beside everything made with it.

mod document;

use std::fmt;

use zeroize::Zeroizing;

use crate::entropy::{Entropy, random_base62};
use crate::secret::SecretBytes;

/// The length of a key, in bytes.
const KEY_LEN: usize = 32;

/// All keys of all kinds, held in one JSON document:
///
/// ```json
/// {
///   "version": 1,
///   "encryption": [{"id": "encryption_x8Kd02Lq", "key": "(base64 of 32 bytes)", "state": "active"}],
///   "row": [],
///   "pepper": [],
///   "session": [],
///   "audit": []
/// }
/// ```
/// At most one key of each kind is active and used for new content; every key still opens and verifies what was made
/// with it. So each kind can be rotated by itself: retire its active key and add a new one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// In the order of the document; ids and keys are unique across all kinds.
    keys: Vec<KeyEntry>,
}

/// One key of the set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyEntry {
    pub(super) kind: KeyKind,
    pub(super) id: String,
    pub(super) state: KeyState,
    /// Always 32 bytes.
    pub(super) secret: SecretBytes,
}

/// The purpose of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Wraps the data keys under which secrets are sealed.
    Encryption,
    /// Authenticates the rows that affect decisions.
    Row,
    /// Hashes API keys for storage.
    Pepper,
    /// Signs browser sessions.
    Session,
    /// Chains audit records.
    Audit,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It is used for new content.
    Active,
    /// It only opens and verifies existing content.
    Retired,
}

/// The public facts about a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// The key's purpose.
    pub kind: KeyKind,
    /// Its id.
    pub id: String,
    /// Active or retired.
    pub state: KeyState,
}

/// A problem with a key set. Pointers are JSON pointers (RFC 6901); no message repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// The text is not JSON.
    #[error("the key set is not JSON: it stops being so at line {line}, column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The document was written by another version of the program.
    #[error("the key set's `/version` is another than {}: use the program that wrote it", document::VERSION)]
    Version,
    /// A field is missing, unknown, repeated or of the wrong type.
    #[error(
        "the key set has a missing, unknown, repeated or ill-typed field {}; it looks like \
         {{\"version\": 1, \"encryption\": [{{\"id\": \"…\", \"key\": \"…\", \"state\": \"active\" or \
         \"retired\"}}], \"row\": […], \"pepper\": […], \"session\": […], \"audit\": […]}}",
        place(.pointer)
    )]
    InvalidField {
        /// The field's pointer; empty for the whole document.
        pointer: String,
    },
    /// A key is not 32 bytes in base64.
    #[error("the key set's `{pointer}` is not the base64 of 32 bytes (44 characters)")]
    InvalidKey {
        /// The field's pointer.
        pointer: String,
    },
    /// An id is invalid.
    #[error("the key set's `{pointer}` is not 1 to 64 letters, digits, `-`, `_` and `.`")]
    InvalidId {
        /// The field's pointer.
        pointer: String,
    },
    /// An id names two keys.
    #[error("the key set's `{pointer}` is the id of an earlier key too: every key has its own")]
    RepeatedId {
        /// The second one's pointer.
        pointer: String,
    },
    /// One key has two ids.
    #[error("the key set's `{pointer}` is an earlier key again: no key serves twice")]
    RepeatedKey {
        /// The second one's pointer.
        pointer: String,
    },
    /// Two keys of one kind are active.
    #[error("the key set's `{pointer}` makes a second key of its kind active: retire one of them")]
    TwoActiveKeys {
        /// The second one's pointer.
        pointer: String,
    },
    /// A kind that is needed has no active key.
    #[error(
        "the key set has no active `{kind}` key: set the `state` of one to `active`, or add a new one \
         (32 random bytes in base64)"
    )]
    NoActiveKey {
        /// The kind.
        kind: KeyKind,
    },
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "at its top".to_owned() } else { format!("at `{pointer}`") }
}

impl KeySet {
    /// Returns a new set with one active key of each kind.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Self {
        let key = |kind: KeyKind| {
            let mut secret = Zeroizing::new(vec![0; KEY_LEN]);
            entropy.fill(&mut secret);
            KeyEntry {
                kind,
                id: format!("{kind}_{}", random_base62(entropy, 8)),
                state: KeyState::Active,
                secret: SecretBytes::new(std::mem::take(&mut *secret)),
            }
        };
        Self { keys: KeyKind::ALL.map(key).into() }
    }

    /// Reads the JSON document.
    ///
    /// # Errors
    /// [`KeySetError`] if it does not have exactly the form shown at [`KeySet`], repeats an id or a key, or has two
    /// active keys of one kind.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let keys = document::read(json)?;
        for (index, key) in keys.iter().enumerate() {
            let earlier = &keys[..index];
            let of_kind = earlier.iter().filter(|other| other.kind == key.kind);
            let pointer = |field: &str| format!("/{}/{}/{field}", key.kind, of_kind.clone().count());
            if earlier.iter().any(|other| other.id == key.id) {
                return Err(KeySetError::RepeatedId { pointer: pointer("id") });
            }
            if earlier.iter().any(|other| other.secret == key.secret) {
                return Err(KeySetError::RepeatedKey { pointer: pointer("key") });
            }
            let active = |key: &KeyEntry| key.state == KeyState::Active;
            if active(key) && of_kind.clone().any(active) {
                return Err(KeySetError::TwoActiveKeys { pointer: pointer("state") });
            }
        }
        Ok(Self { keys })
    }

    /// Returns the JSON document, indented, with a final line feed.
    #[must_use]
    pub fn to_json(&self) -> SecretBytes {
        document::write(&self.keys)
    }

    /// Returns the public facts about each key, in the document's order.
    #[must_use]
    pub fn status(&self) -> Vec<KeyStatus> {
        let status = |key: &KeyEntry| KeyStatus { kind: key.kind, id: key.id.clone(), state: key.state };
        self.keys.iter().map(status).collect()
    }

    /// Returns the kind's active key.
    ///
    /// # Errors
    /// [`KeySetError::NoActiveKey`] if it has none.
    pub(super) fn active(&self, kind: KeyKind) -> Result<&KeyEntry, KeySetError> {
        self.of(kind, KeyState::Active).next().ok_or(KeySetError::NoActiveKey { kind })
    }

    /// Returns the kind's retired keys.
    pub(super) fn retired(&self, kind: KeyKind) -> impl Iterator<Item = &KeyEntry> {
        self.of(kind, KeyState::Retired)
    }

    fn of(&self, kind: KeyKind, state: KeyState) -> impl Iterator<Item = &KeyEntry> {
        self.keys.iter().filter(move |key| key.kind == kind && key.state == state)
    }
}

impl KeyKind {
    /// Every kind, in the document's order.
    pub const ALL: [Self; 5] = [Self::Encryption, Self::Row, Self::Pepper, Self::Session, Self::Audit];

    /// Returns the kind's name in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Encryption => "encryption",
            Self::Row => "row",
            Self::Pepper => "pepper",
            Self::Session => "session",
            Self::Audit => "audit",
        }
    }
}

impl KeyState {
    /// Returns the state's name in the document.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for KeyState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests;
