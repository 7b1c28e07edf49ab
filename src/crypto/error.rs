//! Why something that was sealed or authenticated could not be opened or verified.

/// What a [`Vault`](super::Vault) or a [`KeyWrapper`](super::KeyWrapper) refuses with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CryptoError {
    /// The key is not in the key set: this row alone is unusable until it is put back.
    #[error("the key `{id}` is not in the key set: put it back, with the state `retired`")]
    KeyUnavailable {
        /// The id by which the row names the key.
        id: String,
    },
    /// The content was altered, truncated, or moved here from another place. Nothing says which:
    /// authentication cannot tell them apart.
    #[error("this row does not stand as it was written: it was altered or moved; restore it from a backup")]
    Refused,
    /// The service behind a [`KeyWrapper`](super::KeyWrapper) failed; trying again may help.
    #[error("the key service failed: {0}")]
    Wrapper(String),
}

impl CryptoError {
    /// The error for a key that the set does not hold. The id was read from storage, so it is
    /// repeated only where it could be one.
    pub(super) fn unavailable(id: &str) -> Self {
        if is_key_ref(id) { Self::KeyUnavailable { id: id.to_owned() } } else { Self::Refused }
    }
}

/// True for what may name a key in storage: 1 to 255 visible ASCII characters, which holds every key
/// id of a key set and the resource names of key services.
pub(super) fn is_key_ref(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
