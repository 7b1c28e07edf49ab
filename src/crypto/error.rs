//! The error of opening sealed content and verifying authenticated content.

/// The error of a [`Vault`](super::Vault) or a [`KeyWrapper`](super::KeyWrapper).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The key is not in the key set: this row alone is unusable until the key is restored.
    #[error("the key `{id}` is not in the key set: put it back, with the state `retired`")]
    KeyUnavailable {
        /// The key's id, as stored in the row.
        id: String,
    },
    /// The content was altered, truncated or moved from another place; authentication cannot distinguish these.
    #[error("this row does not stand as it was written: it was altered or moved; restore it from a backup")]
    Refused,
    /// The service behind a [`KeyWrapper`](super::KeyWrapper) failed; a retry may help.
    #[error("the key service failed: {0}")]
    Wrapper(String),
}

impl CryptoError {
    /// Returns the error for a key that the set does not hold. The id was read from storage, so it is repeated only if
    /// it has the form of one.
    pub(super) fn unavailable(id: &str) -> Self {
        if is_key_ref(id) { Self::KeyUnavailable { id: id.to_owned() } } else { Self::Refused }
    }
}

/// Returns true for a valid key reference: 1 to 255 visible ASCII characters, which covers the ids of a key set and
/// the resource names of key services.
pub(super) fn is_key_ref(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
