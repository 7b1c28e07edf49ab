//! The audit's keys: one chains its records, the other signs its checkpoints.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::key_set::KeyEntry;
use super::{AadContext, CryptoError, KeyKind, KeySet, KeySetError};

/// Authenticates the audit's records and signs its checkpoints. Both keys of a pair are derived from one `audit` key of
/// the set, so that they are rotated together and no key has two purposes.
#[derive(Debug)]
pub struct AuditSigner {
    active: SigningPair,
    retired: Vec<SigningPair>,
}

#[derive(Debug)]
struct SigningPair {
    id: String,
    chain: hmac::Key,
    signer: Ed25519KeyPair,
}

/// A signature, with the id of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The id of the `audit` key.
    pub key: String,
    /// Ed25519 (RFC 8032), 64 bytes.
    pub bytes: Vec<u8>,
}

/// The labels that separate the derived keys and their uses; each ends in its version.
const CHAIN_KEY: &[u8] = b"box-token-broker audit chain key 1";
const SIGNING_KEY: &[u8] = b"box-token-broker audit signing key 1";
const RECORD: &str = "box-token-broker audit record 1";

impl AuditSigner {
    /// Derives the key pairs from the `audit` keys of the set.
    ///
    /// # Errors
    /// [`KeySetError::NoActiveKey`] if no `audit` key is active.
    pub(super) fn prepare(keys: &KeySet) -> Result<Self, KeySetError> {
        let active = SigningPair::derive(keys.active(KeyKind::Audit)?)?;
        let retired = keys.retired(KeyKind::Audit).map(SigningPair::derive).collect::<Result<_, _>>()?;
        Ok(Self { active, retired })
    }

    /// Returns the id of the active key.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.active.id
    }

    /// Returns the MAC of a record's `content` at its place, under the key with this id.
    ///
    /// # Errors
    /// `KeyUnavailable` if the set does not hold the key.
    pub fn mac(&self, key: &str, place: &AadContext<'_>, content: &[u8]) -> Result<[u8; 32], CryptoError> {
        let SigningPair { id, chain, .. } = self.find(key)?;
        let mut context = hmac::Context::with_key(chain);
        place.bind(RECORD, id, content, |part| context.update(part));
        let mut mac = [0; 32];
        mac.copy_from_slice(context.sign().as_ref());
        Ok(mac)
    }

    /// Verifies the MAC of the content at this place, in constant time.
    ///
    /// # Errors
    /// `KeyUnavailable` if the set does not hold the key, `Refused` if the MAC differs.
    pub fn verify_mac(
        &self,
        key: &str,
        place: &AadContext<'_>,
        content: &[u8],
        mac: &[u8],
    ) -> Result<(), CryptoError> {
        verify_slices_are_equal(&self.mac(key, place, content)?, mac).map_err(|_| CryptoError::Refused)
    }

    /// Signs a checkpoint.
    #[must_use]
    pub fn sign(&self, content: &[u8]) -> Signature {
        Signature { key: self.active.id.clone(), bytes: self.active.signer.sign(content).as_ref().to_vec() }
    }

    /// Verifies the signature of `content`.
    ///
    /// # Errors
    /// `KeyUnavailable` if the set does not hold the key, `Refused` if the signature is not valid.
    pub fn verify(&self, content: &[u8], signature: &Signature) -> Result<(), CryptoError> {
        let public = self.find(&signature.key)?.signer.public_key();
        UnparsedPublicKey::new(&ED25519, public.as_ref())
            .verify(content, &signature.bytes)
            .map_err(|_| CryptoError::Refused)
    }

    /// Returns the Ed25519 public key (32 bytes) with which anybody can verify the active key's signatures.
    #[must_use]
    pub fn public_key(&self) -> &[u8] {
        self.active.signer.public_key().as_ref()
    }

    fn find(&self, id: &str) -> Result<&SigningPair, CryptoError> {
        std::iter::once(&self.active)
            .chain(&self.retired)
            .find(|pair| pair.id == id)
            .ok_or_else(|| CryptoError::unavailable(id))
    }
}

impl SigningPair {
    fn derive(key: &KeyEntry) -> Result<Self, KeySetError> {
        let master = hmac::Key::new(hmac::HMAC_SHA256, key.secret.expose());
        let derived = |label: &[u8]| Zeroizing::new(hmac::sign(&master, label).as_ref().to_vec());
        let signer = Ed25519KeyPair::from_seed_unchecked(&derived(SIGNING_KEY))
            .map_err(|_| KeySetError::NoActiveKey { kind: KeyKind::Audit })?;
        let chain = hmac::Key::new(hmac::HMAC_SHA256, &derived(CHAIN_KEY));
        Ok(Self { id: key.id.clone(), chain, signer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    const PLACE: AadContext<'_> = AadContext { table: "audit", row: "wri_a", column: "record", version: 1 };

    #[test]
    fn only_the_original_content_is_verified() {
        let audit_signer = AuditSigner::prepare(&KeySet::generate(&SystemEntropy)).unwrap();
        let mac = audit_signer.mac(audit_signer.key(), &PLACE, b"a").unwrap();
        assert_eq!(audit_signer.verify_mac(audit_signer.key(), &PLACE, b"a", &mac), Ok(()));
        let elsewhere = AadContext { version: 2, ..PLACE };
        assert_eq!(
            audit_signer.verify_mac(audit_signer.key(), &elsewhere, b"a", &mac),
            Err(CryptoError::Refused)
        );
        assert_eq!(
            audit_signer.verify_mac(audit_signer.key(), &PLACE, b"b", &mac),
            Err(CryptoError::Refused)
        );
        let signature = audit_signer.sign(b"a");
        assert_eq!(audit_signer.verify(b"a", &signature), Ok(()));
        assert_eq!(audit_signer.verify(b"b", &signature), Err(CryptoError::Refused));
        let other = Signature { key: "another".to_owned(), ..signature };
        assert!(matches!(audit_signer.verify(b"a", &other), Err(CryptoError::KeyUnavailable { .. })));
    }
}
