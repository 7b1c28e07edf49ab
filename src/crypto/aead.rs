//! AES-256-GCM (NIST SP 800-38D) with the nonce in front: `nonce ‖ ciphertext ‖ tag`.
//!
//! Each key seals a single message, so random nonces cannot collide.

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::CryptoError;
use crate::entropy::Entropy;
use crate::secret::SecretBytes;

const TAG_LEN: usize = 16;

/// Appends `nonce ‖ ciphertext ‖ tag` to `sealed`.
#[expect(clippy::expect_used, reason = "AES-256-GCM refuses only messages past 64 GiB")]
pub(super) fn seal(
    key: UnboundKey,
    entropy: &dyn Entropy,
    associated: &[u8],
    plain: &SecretBytes,
    sealed: &mut Vec<u8>,
) {
    let mut nonce = [0; NONCE_LEN];
    entropy.fill(&mut nonce);
    let plain = plain.expose();
    // Reserved in advance: a buffer that moves while it holds the plaintext would leave a copy behind.
    sealed.reserve(NONCE_LEN + plain.len() + TAG_LEN);
    sealed.extend_from_slice(&nonce);
    let start = sealed.len();
    sealed.extend_from_slice(plain);
    let tag = LessSafeKey::new(key)
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(associated),
            &mut sealed[start..],
        )
        .expect("a message below 64 GiB");
    sealed.extend_from_slice(tag.as_ref());
}

/// Decrypts the whole of `sealed`.
///
/// # Errors
/// `Refused` if any bit of it, of the key or of the associated data differs.
pub(super) fn open(key: UnboundKey, associated: &[u8], sealed: &[u8]) -> Result<SecretBytes, CryptoError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(CryptoError::Refused)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(CryptoError::Refused)?;
    let mut plain = Zeroizing::new(vec![0; ciphertext.len()]);
    LessSafeKey::new(key)
        .open_separate_gather(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(associated),
            ciphertext,
            tag,
            &mut plain,
        )
        .map_err(|_| CryptoError::Refused)?;
    Ok(SecretBytes::new(std::mem::take(&mut *plain)))
}
