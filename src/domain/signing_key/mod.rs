//! The RSA key that signs assertions, read from every form in which customers' files hold one.
//!
//! A PEM text is repaired and parsed (`pem`), decrypted with the passphrase (`pbes2`, `pem_encryption`), and its
//! RSA components are validated (`components`). The text comes from outside, so the work is bounded (`limits`)
//! before any of it is done. Nothing here signs.

mod components;
mod der;
mod key_problem;
mod limits;
mod pbes2;
mod pem;
mod pem_encryption;

use rsa::pkcs8::{EncodePrivateKey, EncodePublicKey, LineEnding};
use rsa::sha2::{Digest, Sha256};

pub use self::key_problem::KeyProblem;
use crate::secret::{SecretBytes, SecretString};

/// A valid private RSA key of 2048 to 4096 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pkcs8: SecretBytes,
    bits: u32,
    public_sha256: String,
    public_pem: String,
}

impl SigningKey {
    /// Reads a key from its PEM text. If the key is not encrypted, the passphrase is ignored.
    ///
    /// The key derivation takes up to a few tenths of a second of one core, so call this where blocking is allowed.
    ///
    /// # Errors
    /// [`KeyProblem`] for an invalid text or a wrong passphrase.
    pub fn parse(pem: &SecretString, passphrase: Option<&SecretString>) -> Result<Self, KeyProblem> {
        let block = pem::PemBlock::find(pem.expose())?;
        let passphrase = passphrase.filter(|text| !text.is_empty());
        let decrypted = match (&block.encryption, block.is_encrypted_pkcs8()) {
            (Some(encryption), _) => Some(encryption.decrypt(&block.der, passphrase)?),
            (None, true) => Some(pbes2::decrypt(&block.der, passphrase)?),
            (None, false) => None,
        };
        let key = match decrypted {
            // One wrong passphrase in 256 yields valid padding, so damaged content means a wrong passphrase.
            Some(der) => components::read_and_validate(&der).map_err(|problem| match problem {
                KeyProblem::Damaged => KeyProblem::WrongPassphrase,
                other => other,
            })?,
            None => components::read_and_validate(&block.der)?,
        };
        Self::from_validated(&key)
    }

    /// Reads a key from unencrypted PKCS#8 or PKCS#1 in DER.
    ///
    /// # Errors
    /// [`KeyProblem`] for an invalid key.
    pub fn from_der(der: &SecretBytes) -> Result<Self, KeyProblem> {
        Self::from_validated(&components::read_and_validate(der.expose())?)
    }

    fn from_validated(key: &components::ConsistentRsaKey) -> Result<Self, KeyProblem> {
        let private = key.private.to_pkcs8_der().map_err(|_| KeyProblem::Inconsistent)?;
        let public = key.private.to_public_key();
        let public_pem = public.to_public_key_pem(LineEnding::LF).map_err(|_| KeyProblem::Inconsistent)?;
        let public = public.to_public_key_der().map_err(|_| KeyProblem::Inconsistent)?;
        Ok(Self {
            pkcs8: SecretBytes::new(private.as_bytes().to_vec()),
            bits: key.bits,
            public_sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(public.as_bytes())),
            public_pem,
        })
    }

    /// Returns the key as unencrypted PKCS#8 v1 (RFC 5208) in DER: the same bytes for the same key, whichever form it
    /// was read from.
    #[must_use]
    pub fn pkcs8_der(&self) -> &SecretBytes {
        &self.pkcs8
    }

    /// Returns the modulus' length in bits.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// Returns the SHA-256 of the public key (SubjectPublicKeyInfo, DER) in lower-case hex, as printed by
    /// `openssl pkey -pubout -outform DER | sha256sum`.
    #[must_use]
    pub fn public_sha256(&self) -> &str {
        &self.public_sha256
    }

    /// Returns the public key (SubjectPublicKeyInfo) in PEM, as Box's console accepts it.
    #[must_use]
    pub fn public_pem(&self) -> &str {
        &self.public_pem
    }
}
