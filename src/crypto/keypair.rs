//! RSA keys that are made here, so that nobody ever had to carry the private half.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};

use super::error::CryptoError;
use crate::secret::SecretBytes;

/// A fresh RSA key of 2048 bits, the size that Box makes: unencrypted PKCS#8 (RFC 5208) in DER. Costs
/// some tenths of a second of one core: call it where blocking is allowed.
///
/// # Errors
/// [`CryptoError::Wrapper`] where the library makes none.
pub fn new_rsa_key() -> Result<SecretBytes, CryptoError> {
    let failed = |_| CryptoError::Wrapper("no RSA key could be made".to_owned());
    let key = KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
    let der: Pkcs8V1Der<'_> = key.as_der().map_err(failed)?;
    Ok(SecretBytes::new(der.as_ref().to_vec()))
}
