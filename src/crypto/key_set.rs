//! The keys that the program holds, by kind, each with an id that whatever uses it stores.

mod document;

use std::fmt;

use zeroize::Zeroizing;

use crate::entropy::{Entropy, random_base62};
use crate::secret::SecretBytes;

/// How many bytes a key has.
const KEY_LEN: usize = 32;

/// All keys, of all kinds; one JSON document holds them:
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
/// Of each kind at most one key is active: it makes what is new, while every key still opens and
/// verifies what it made. So each kind rotates by itself: retire its active key, add a new one.
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

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// Wraps the data keys that secrets are sealed under.
    Encryption,
    /// Authenticates rows that decide something.
    Row,
    /// Goes into the stored form of API keys.
    Pepper,
    /// Signs browser sessions.
    Session,
    /// Chains audit records.
    Audit,
}

/// Whether a key makes anything new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyState {
    /// It makes what is new.
    Active,
    /// It only opens and verifies what it made before.
    Retired,
}

/// What may be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStatus {
    /// What it is for.
    pub kind: KeyKind,
    /// Its id.
    pub id: String,
    /// Whether it makes anything new.
    pub state: KeyState,
}

/// What is wrong with a key set. Places are JSON pointers (RFC 6901); no message repeats a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// The text is no JSON.
    #[error("the key set is not JSON: it stops being so at line {line}, column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// The document was written for another program version.
    #[error("the key set's `/version` is another than {}: use the program that wrote it", document::VERSION)]
    Version,
    /// A field is missing, unknown, there twice, or of another type.
    #[error(
        "the key set has a missing, unknown, repeated or ill-typed field {}; it looks like \
         {{\"version\": 1, \"encryption\": [{{\"id\": \"…\", \"key\": \"…\", \"state\": \"active\" or \
         \"retired\"}}], \"row\": […], \"pepper\": […], \"session\": […], \"audit\": […]}}",
        place(.pointer)
    )]
    InvalidField {
        /// Where; empty is the whole document.
        pointer: String,
    },
    /// A key is not 32 bytes in base64.
    #[error("the key set's `{pointer}` is not the base64 of 32 bytes (44 characters)")]
    InvalidKey {
        /// Where.
        pointer: String,
    },
    /// An id cannot be one.
    #[error("the key set's `{pointer}` is not 1 to 64 letters, digits, `-`, `_` and `.`")]
    InvalidId {
        /// Where.
        pointer: String,
    },
    /// An id names two keys.
    #[error("the key set's `{pointer}` is the id of an earlier key too: every key has its own")]
    RepeatedId {
        /// Where the second one stands.
        pointer: String,
    },
    /// One key stands under two ids.
    #[error("the key set's `{pointer}` is an earlier key again: no key serves twice")]
    RepeatedKey {
        /// Where the second one stands.
        pointer: String,
    },
    /// Two keys of one kind are active.
    #[error("the key set's `{pointer}` makes a second key of its kind active: retire one of them")]
    TwoActiveKeys {
        /// Where the second one stands.
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
    /// A new set with one active key of each kind.
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
    /// Where it is not exactly of the form that [`KeySet`] shows, an id or a key stands twice, or
    /// two keys of one kind are active.
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

    /// The JSON document, indented, with a line feed at its end.
    #[must_use]
    pub fn to_json(&self) -> SecretBytes {
        document::write(&self.keys)
    }

    /// What may be shown of each key, in the document's order.
    #[must_use]
    pub fn status(&self) -> Vec<KeyStatus> {
        let status = |key: &KeyEntry| KeyStatus { kind: key.kind, id: key.id.clone(), state: key.state };
        self.keys.iter().map(status).collect()
    }

    /// The kind's active key.
    ///
    /// # Errors
    /// Where it has none.
    pub(super) fn active(&self, kind: KeyKind) -> Result<&KeyEntry, KeySetError> {
        self.of(kind, KeyState::Active).next().ok_or(KeySetError::NoActiveKey { kind })
    }

    /// The kind's other keys.
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

    /// The kind's name in the document.
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
    /// The state's name in the document.
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
