//! Wrapping of data keys under a key-encryption key.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk};
use zeroize::Zeroizing;

use super::{CryptoError, KeyKind, KeySet, KeySetError, aead};
use crate::entropy::Entropy;
use crate::secret::SecretBytes;

/// A holder of key-encryption keys: the key set, a key service or a hardware module.
#[async_trait]
pub trait KeyWrapper: Send + Sync + Debug {
    /// Returns the reference of the active key: a key id or a key service's resource name.
    fn active(&self) -> &str;

    /// Wraps a data key, bound to `context`: the same bytes are needed to unwrap it.
    ///
    /// # Errors
    /// `Wrapper` if the key service fails.
    async fn wrap(&self, context: &[u8], data_key: &SecretBytes) -> Result<WrappedKey, CryptoError>;

    /// Unwraps a data key that was wrapped under `key_ref` with the same `context`.
    ///
    /// # Errors
    /// `KeyUnavailable` if that key does not exist, `Refused` if the key, the context or the wrapped bytes differ,
    /// `Wrapper` if the key service fails.
    async fn unwrap(&self, key_ref: &str, context: &[u8], wrapped: &[u8])
    -> Result<SecretBytes, CryptoError>;
}

/// A wrapped data key.
#[derive(Clone, Debug)]
pub struct WrappedKey {
    /// The reference of the wrapping key: 1 to 255 visible ASCII characters.
    pub key_ref: String,
    /// The wrapped data key, at most 65,535 bytes.
    pub bytes: Vec<u8>,
}

/// Wraps with the key set's `encryption` keys.
///
/// Each wrap derives its own AES-256-GCM key from the key-encryption key with a fresh salt (HKDF-Expand, RFC 5869).
/// Without that, a key with random nonces would have to be replaced after 2³² wraps (NIST SP 800-38D §8.3), and each
/// minted token is one.
///
/// The wrapped form is the salt (32 bytes), a nonce (12), the ciphertext (32) and the tag (16).
#[derive(Debug)]
pub struct LocalKeyWrapper {
    active: WrappingKey,
    retired: Vec<WrappingKey>,
    entropy: Arc<dyn Entropy>,
}

#[derive(Debug)]
struct WrappingKey {
    id: String,
    key: Prk,
}

const FORMAT: &[u8] = b"box-token-broker wrapped key 1";
const SALT_LEN: usize = 32;

impl LocalKeyWrapper {
    /// Returns a wrapper with the `encryption` keys of the set.
    ///
    /// # Errors
    /// [`KeySetError::NoActiveKey`] if no `encryption` key is active.
    pub fn new(keys: &KeySet, entropy: Arc<dyn Entropy>) -> Result<Self, KeySetError> {
        let prepare = |key: &super::key_set::KeyEntry| WrappingKey {
            id: key.id.clone(),
            key: Prk::new_less_safe(HKDF_SHA256, key.secret.expose()),
        };
        Ok(Self {
            active: prepare(keys.active(KeyKind::Encryption)?),
            retired: keys.retired(KeyKind::Encryption).map(prepare).collect(),
            entropy,
        })
    }
}

#[async_trait]
impl KeyWrapper for LocalKeyWrapper {
    fn active(&self) -> &str {
        &self.active.id
    }

    async fn wrap(&self, context: &[u8], data_key: &SecretBytes) -> Result<WrappedKey, CryptoError> {
        let mut salt = [0; SALT_LEN];
        self.entropy.fill(&mut salt);
        let mut bytes = salt.to_vec();
        aead::seal(self.active.derive(&salt), &*self.entropy, context, data_key, &mut bytes);
        Ok(WrappedKey { key_ref: self.active.id.clone(), bytes })
    }

    async fn unwrap(
        &self,
        key_ref: &str,
        context: &[u8],
        wrapped: &[u8],
    ) -> Result<SecretBytes, CryptoError> {
        let key = std::iter::once(&self.active)
            .chain(&self.retired)
            .find(|key| key.id == key_ref)
            .ok_or_else(|| CryptoError::unavailable(key_ref))?;
        let (salt, sealed) = wrapped.split_first_chunk::<SALT_LEN>().ok_or(CryptoError::Refused)?;
        aead::open(key.derive(salt), context, sealed)
    }
}

impl WrappingKey {
    /// Derives the key of the wrap with this salt. The id is included, so that even equal keys with two ids cannot
    /// unwrap each other's data keys.
    #[expect(clippy::expect_used, reason = "32 bytes are within HKDF's bound, and an AES-256 key")]
    fn derive(&self, salt: &[u8; SALT_LEN]) -> UnboundKey {
        let mut key = Zeroizing::new([0; 32]);
        let name = [FORMAT, salt, self.id.as_bytes()];
        let expanded = self.key.expand(&name, HKDF_SHA256).expect("within HKDF's bound");
        expanded.fill(&mut *key).expect("as many bytes as asked for");
        UnboundKey::new(&AES_256_GCM, &*key).expect("an AES-256 key")
    }
}
