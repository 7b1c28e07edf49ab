//! The HMAC-SHA-256 keys of one kind, prepared once so that each use needs no key schedule.

use aws_lc_rs::hmac::{HMAC_SHA256, Key};

use super::{CryptoError, KeyKind, KeySet, KeySetError};

/// The keys of one kind: the active one creates MACs, every one verifies them.
#[derive(Debug)]
pub(super) struct MacKeys {
    active: MacKey,
    retired: Vec<MacKey>,
}

/// A prepared key and its id.
#[derive(Debug)]
pub(super) struct MacKey {
    pub(super) id: String,
    pub(super) key: Key,
}

impl MacKeys {
    /// Prepares the keys of one kind.
    ///
    /// # Errors
    /// [`KeySetError::NoActiveKey`] if the kind has no active key.
    pub(super) fn prepare(keys: &KeySet, kind: KeyKind) -> Result<Self, KeySetError> {
        let prepare = |key: &super::key_set::KeyEntry| MacKey {
            id: key.id.clone(),
            key: Key::new(HMAC_SHA256, key.secret.expose()),
        };
        Ok(Self { active: prepare(keys.active(kind)?), retired: keys.retired(kind).map(prepare).collect() })
    }

    pub(super) fn active(&self) -> &MacKey {
        &self.active
    }

    /// Returns the key with this id, active or not. A kind has few keys, so a linear search is enough.
    ///
    /// # Errors
    /// `KeyUnavailable` if the set does not hold it.
    pub(super) fn find(&self, id: &str) -> Result<&MacKey, CryptoError> {
        self.all().find(|key| key.id == id).ok_or_else(|| CryptoError::unavailable(id))
    }

    /// Returns every key, the active one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &MacKey> {
        std::iter::once(&self.active).chain(&self.retired)
    }
}
