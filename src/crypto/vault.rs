//! Sealing, authenticating and hashing of the content of the store.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use super::envelope::Envelope;
use super::mac_keys::{MacKey, MacKeys};
use super::{
    AadContext, AuditSigner, CryptoError, KeyKind, KeySet, KeySetError, KeyWrapper, LocalKeyWrapper,
    SessionSigner, aead,
};
use crate::entropy::Entropy;
use crate::secret::SecretBytes;

/// All cryptographic operations between the program and its store.
#[derive(Debug)]
pub struct Vault {
    wrapper: Arc<dyn KeyWrapper>,
    rows: MacKeys,
    peppers: MacKeys,
    sessions: SessionSigner,
    audit_signer: AuditSigner,
    entropy: Arc<dyn Entropy>,
}

/// The MAC of a row's content, as stored in the row.
#[derive(Clone, Debug)]
pub struct RowMac {
    /// The id of its `row` key.
    pub key: String,
    /// HMAC-SHA-256, 32 bytes.
    pub mac: Vec<u8>,
}

/// The stored hash of a text that is only compared, such as an API key.
#[derive(Clone, Debug)]
pub struct PepperedHash {
    /// The id of its `pepper` key.
    pub pepper: String,
    /// HMAC-SHA-256, 32 bytes.
    pub digest: Vec<u8>,
}

/// The labels that separate seals, wraps and MACs; each ends in its format's version.
const SEAL: &str = "box-token-broker seal 1";
const WRAP: &str = "box-token-broker wrap 1";
const ROW: &str = "box-token-broker row 1";

const DATA_KEY_LEN: usize = 32;

impl Vault {
    /// Returns a vault whose data keys are wrapped by `wrapper`, with the other keys from the set.
    ///
    /// # Errors
    /// [`KeySetError::NoActiveKey`] if no `row`, `pepper`, `session` or `audit` key is active.
    pub fn new(
        keys: &KeySet,
        wrapper: Arc<dyn KeyWrapper>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, KeySetError> {
        Ok(Self {
            wrapper,
            rows: MacKeys::prepare(keys, KeyKind::Row)?,
            peppers: MacKeys::prepare(keys, KeyKind::Pepper)?,
            sessions: SessionSigner::prepare(keys)?,
            audit_signer: AuditSigner::prepare(keys)?,
            entropy,
        })
    }

    /// Returns a vault with all its keys from the set.
    ///
    /// # Errors
    /// [`KeySetError::NoActiveKey`] if a kind has no active key.
    pub fn local(keys: &KeySet, entropy: Arc<dyn Entropy>) -> Result<Self, KeySetError> {
        let wrapper = LocalKeyWrapper::new(keys, Arc::clone(&entropy))?;
        Self::new(keys, Arc::new(wrapper), entropy)
    }

    /// Seals `plain` for this place alone: AES-256-GCM under a fresh data key, which is wrapped and stored beside the
    /// ciphertext.
    ///
    /// # Errors
    /// `Wrapper` if the key service fails.
    pub async fn seal(&self, place: &AadContext<'_>, plain: &SecretBytes) -> Result<Vec<u8>, CryptoError> {
        let mut data_key = Zeroizing::new(vec![0; DATA_KEY_LEN]);
        self.entropy.fill(&mut data_key);
        let data_key = SecretBytes::new(std::mem::take(&mut *data_key));
        let wrapped = self.wrapper.wrap(&place.associated_data(WRAP, ""), &data_key).await?;
        let mut sealed = Envelope::header(&wrapped)?;
        let associated = place.associated_data(SEAL, &wrapped.key_ref);
        aead::seal(aes_key(&data_key)?, &*self.entropy, &associated, plain, &mut sealed);
        Ok(sealed)
    }

    /// Opens content that was sealed for this place.
    ///
    /// # Errors
    /// `KeyUnavailable` if its key does not exist, `Refused` if it was altered or sealed for another place, `Wrapper` if
    /// the key service fails.
    pub async fn open(&self, place: &AadContext<'_>, sealed: &[u8]) -> Result<SecretBytes, CryptoError> {
        let envelope = Envelope::parse(sealed)?;
        let context = place.associated_data(WRAP, "");
        let data_key = self.wrapper.unwrap(envelope.key_ref, &context, envelope.wrapped).await?;
        let associated = place.associated_data(SEAL, envelope.key_ref);
        aead::open(aes_key(&data_key)?, &associated, envelope.sealed)
    }

    /// Returns the MAC of a row's `content` at this place, under the active `row` key.
    #[must_use]
    pub fn authenticate(&self, place: &AadContext<'_>, content: &[u8]) -> RowMac {
        let key = self.rows.active();
        RowMac { key: key.id.clone(), mac: row_mac(key, place, content).as_ref().to_vec() }
    }

    /// Verifies that the program wrote `content` at this place.
    ///
    /// # Errors
    /// `KeyUnavailable` if the MAC's key does not exist; `Refused` if the content, the place or the MAC differs.
    pub fn verify(&self, place: &AadContext<'_>, content: &[u8], mac: &RowMac) -> Result<(), CryptoError> {
        let key = self.rows.find(&mac.key)?;
        verify_slices_are_equal(row_mac(key, place, content).as_ref(), &mac.mac)
            .map_err(|_| CryptoError::Refused)
    }

    /// Returns the signer of browser sessions.
    #[must_use]
    pub fn session_signer(&self) -> &SessionSigner {
        &self.sessions
    }

    /// Returns the signer of the audit.
    #[must_use]
    pub fn audit_signer(&self) -> &AuditSigner {
        &self.audit_signer
    }

    /// Returns the source of randomness, for ids of new content.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// Returns the stored form of `text`: its HMAC under the active `pepper` key. A slow hash is not needed, because the
    /// texts are too random to be guessed.
    #[must_use]
    pub fn hash_with_pepper(&self, text: &[u8]) -> PepperedHash {
        let MacKey { id, key } = self.peppers.active();
        PepperedHash { pepper: id.clone(), digest: hmac::sign(key, text).as_ref().to_vec() }
    }

    /// Returns true if `digest` is the stored form of `text` under that pepper, compared in constant time.
    ///
    /// # Errors
    /// `KeyUnavailable` if the pepper does not exist.
    pub fn verify_peppered(&self, pepper: &str, digest: &[u8], text: &[u8]) -> Result<bool, CryptoError> {
        Ok(hmac::verify(&self.peppers.find(pepper)?.key, text, digest).is_ok())
    }
}

fn row_mac(MacKey { id, key }: &MacKey, place: &AadContext<'_>, content: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    place.bind(ROW, id, content, |part| context.update(part));
    context.sign()
}

/// Returns the data key as an AES key.
///
/// # Errors
/// `Refused` if a key service returned something that is not a data key.
fn aes_key(data_key: &SecretBytes) -> Result<UnboundKey, CryptoError> {
    UnboundKey::new(&AES_256_GCM, data_key.expose()).map_err(|_| CryptoError::Refused)
}

#[cfg(test)]
mod tests;
