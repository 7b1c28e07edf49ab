//! The public key of an app, with which assertions are verified.

use rsa::pkcs1::EncodeRsaPublicKey as _;
use rsa::pkcs8::DecodePublicKey as _;

/// A public key that the owner of an app uploaded to Box.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// The key's id, which assertions name in their header.
    pub kid: String,
    /// The key as PKCS#1 DER (RFC 8017, A.1.1).
    pub der: Vec<u8>,
}

impl PublicKey {
    /// Reads a PEM text (`BEGIN PUBLIC KEY`).
    ///
    /// # Errors
    /// The text is not an RSA public key.
    pub fn from_pem(kid: &str, pem: &str) -> Result<Self, String> {
        let key =
            rsa::PublicKey::from_public_key_pem(pem.trim()).map_err(|_| "not an RSA public key in PEM")?;
        Self::encode(kid, &key)
    }

    /// Returns the public half of a private key.
    pub(crate) fn of_private_key(kid: &str, key: &rsa::PrivateKey) -> Result<Self, String> {
        Self::encode(kid, &key.to_public_key())
    }

    fn encode(kid: &str, key: &rsa::PublicKey) -> Result<Self, String> {
        let der = key.to_pkcs1_der().map_err(|_| "the public key cannot be encoded")?;
        Ok(Self { kid: kid.to_owned(), der: der.as_bytes().to_vec() })
    }
}
