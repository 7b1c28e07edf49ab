//! Sealing, authenticating and peppering what goes into the store.

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

/// Everything that is done with keys between the program and its store.
#[derive(Debug)]
pub struct Vault {
    wrapper: Arc<dyn KeyWrapper>,
    rows: MacKeys,
    peppers: MacKeys,
    sessions: SessionSigner,
    audit_signer: AuditSigner,
    entropy: Arc<dyn Entropy>,
}

/// The MAC of a row's content, as it stands in the row.
#[derive(Clone, Debug)]
pub struct RowMac {
    /// The id of the `row` key that made it.
    pub key: String,
    /// HMAC-SHA-256, 32 bytes.
    pub mac: Vec<u8>,
}

/// The stored form of a text that is only ever compared, such as an API key.
#[derive(Clone, Debug)]
pub struct PepperedHash {
    /// The id of the `pepper` key that made it.
    pub pepper: String,
    /// HMAC-SHA-256, 32 bytes.
    pub digest: Vec<u8>,
}

/// The labels that keep seals, wraps and MACs apart; each ends in its format's version.
const SEAL: &str = "box-token-broker seal 1";
const WRAP: &str = "box-token-broker wrap 1";
const ROW: &str = "box-token-broker row 1";

const DATA_KEY_LEN: usize = 32;

impl Vault {
    /// A vault whose data keys are wrapped by `wrapper`, with the other keys from the set.
    ///
    /// # Errors
    /// Where no `row`, `pepper`, `session` or `audit` key is active.
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

    /// A vault that takes all its keys from the set.
    ///
    /// # Errors
    /// Where a kind of key has no active one.
    pub fn local(keys: &KeySet, entropy: Arc<dyn Entropy>) -> Result<Self, KeySetError> {
        let wrapper = LocalKeyWrapper::new(keys, Arc::clone(&entropy))?;
        Self::new(keys, Arc::new(wrapper), entropy)
    }

    /// Seals `plain` for this place alone: AES-256-GCM under a fresh data key, which is wrapped and
    /// kept beside the ciphertext.
    ///
    /// # Errors
    /// `Wrapper` where the key service fails.
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

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// `KeyUnavailable` where the key it names is not there, `Refused` where it was altered or
    /// sealed for another place, `Wrapper` where the key service fails.
    pub async fn open(&self, place: &AadContext<'_>, sealed: &[u8]) -> Result<SecretBytes, CryptoError> {
        let envelope = Envelope::parse(sealed)?;
        let context = place.associated_data(WRAP, "");
        let data_key = self.wrapper.unwrap(envelope.key_ref, &context, envelope.wrapped).await?;
        let associated = place.associated_data(SEAL, envelope.key_ref);
        aead::open(aes_key(&data_key)?, &associated, envelope.sealed)
    }

    /// The MAC of a row's `content` at this place, under the active `row` key.
    #[must_use]
    pub fn authenticate(&self, place: &AadContext<'_>, content: &[u8]) -> RowMac {
        let key = self.rows.active();
        RowMac { key: key.id.clone(), mac: row_mac(key, place, content).as_ref().to_vec() }
    }

    /// Whether `content` is what the program wrote at this place.
    ///
    /// # Errors
    /// `KeyUnavailable` where the key it names is not there; `Refused` where the content, the place
    /// or the MAC is another.
    pub fn verify(&self, place: &AadContext<'_>, content: &[u8], mac: &RowMac) -> Result<(), CryptoError> {
        let key = self.rows.find(&mac.key)?;
        verify_slices_are_equal(row_mac(key, place, content).as_ref(), &mac.mac)
            .map_err(|_| CryptoError::Refused)
    }

    /// What signs browser sessions.
    #[must_use]
    pub fn session_signer(&self) -> &SessionSigner {
        &self.sessions
    }

    /// What vouches for the audit.
    #[must_use]
    pub fn audit_signer(&self) -> &AuditSigner {
        &self.audit_signer
    }

    /// A new random id's source, for what is made beside the rows.
    #[must_use]
    pub fn entropy(&self) -> &dyn Entropy {
        &*self.entropy
    }

    /// The form in which `text` is stored: its HMAC under the active `pepper` key. No slow hash: the
    /// texts are random enough that none can be guessed.
    #[must_use]
    pub fn hash_with_pepper(&self, text: &[u8]) -> PepperedHash {
        let MacKey { id, key } = self.peppers.active();
        PepperedHash { pepper: id.clone(), digest: hmac::sign(key, text).as_ref().to_vec() }
    }

    /// Whether `digest` is the stored form of `text` under that pepper, in constant time.
    ///
    /// # Errors
    /// `KeyUnavailable` where the pepper is not there.
    pub fn verify_peppered(&self, pepper: &str, digest: &[u8], text: &[u8]) -> Result<bool, CryptoError> {
        Ok(hmac::verify(&self.peppers.find(pepper)?.key, text, digest).is_ok())
    }
}

fn row_mac(MacKey { id, key }: &MacKey, place: &AadContext<'_>, content: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    place.bind(ROW, id, content, |part| context.update(part));
    context.sign()
}

/// # Errors
/// `Refused` where a key service unwrapped something that is no data key.
fn aes_key(data_key: &SecretBytes) -> Result<UnboundKey, CryptoError> {
    UnboundKey::new(&AES_256_GCM, data_key.expose()).map_err(|_| CryptoError::Refused)
}

#[cfg(test)]
mod tests;
