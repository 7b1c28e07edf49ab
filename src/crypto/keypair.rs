//! Generation of RSA keys, so that the private key never has to leave the broker.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};

use super::error::CryptoError;
use crate::secret::SecretBytes;

/// Generates an RSA key of 2048 bits, the size that Box uses, as unencrypted PKCS#8 (RFC 5208) in DER. It takes some
/// tenths of a second of one core, so call it where blocking is allowed.
///
/// # Errors
/// [`CryptoError::Wrapper`] if the library fails.
pub fn generate_rsa_key() -> Result<SecretBytes, CryptoError> {
    let failed = |_| CryptoError::Wrapper("no RSA key could be made".to_owned());
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
    Ok(SecretBytes::new(der.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::signing_key::SigningKey;

    #[test]
    fn a_generated_key_is_a_valid_signing_key() {
        let (one, other) = (generate_rsa_key().unwrap(), generate_rsa_key().unwrap());
        let (one, other) = (SigningKey::from_der(&one).unwrap(), SigningKey::from_der(&other).unwrap());
        assert_eq!((one.bits(), other.bits()), (2048, 2048));
        assert_ne!(one.public_sha256(), other.public_sha256());
        assert!(one.public_pem().starts_with("-----BEGIN PUBLIC KEY-----\n"));
        // Reading it again yields the same key, byte for byte.
        assert_eq!(SigningKey::from_der(one.pkcs8_der()).unwrap(), one);
    }
}
