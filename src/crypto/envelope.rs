//! The binary form of a sealed value: the key reference, the wrapped data key and the ciphertext.
//!
//! ```text
//! format version   1 byte, always 1
//! key reference    1 byte length, then that many visible ASCII characters
//! wrapped key      2 bytes length (big-endian), then that many bytes
//! sealed           the rest: nonce (12), ciphertext, tag (16)
//! ```
//! Every byte affects something that the tag covers, so no second form of a value is accepted.

use super::error::is_key_ref;
use super::{CryptoError, WrappedKey};

const FORMAT: u8 = 1;

/// The parts of a sealed value.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) key_ref: &'a str,
    pub(super) wrapped: &'a [u8],
    pub(super) sealed: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the parts.
    ///
    /// # Errors
    /// `Refused` if the version is unknown or a part is cut off.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, CryptoError> {
        Self::read(bytes).ok_or(CryptoError::Refused)
    }

    fn read(bytes: &'a [u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&[FORMAT])?;
        let (&length, rest) = rest.split_first()?;
        let (key_ref, rest) = rest.split_at_checked(usize::from(length))?;
        let key_ref = std::str::from_utf8(key_ref).ok().filter(|text| is_key_ref(text))?;
        let (&length, rest) = rest.split_first_chunk::<2>()?;
        let (wrapped, sealed) = rest.split_at_checked(usize::from(u16::from_be_bytes(length)))?;
        Some(Self { key_ref, wrapped, sealed })
    }

    /// Returns the bytes before the sealed part.
    ///
    /// # Errors
    /// `Wrapper` if the key service returned a reference or a wrapped key that does not fit.
    pub(super) fn header(wrapped: &WrappedKey) -> Result<Vec<u8>, CryptoError> {
        let key_ref = Some(&wrapped.key_ref).filter(|text| is_key_ref(text));
        let key_ref = key_ref.and_then(|text| Some((u8::try_from(text.len()).ok()?, text)));
        let (key_ref_length, key_ref) = key_ref.ok_or_else(|| {
            CryptoError::Wrapper("its key reference is not 1 to 255 visible ASCII characters".to_owned())
        })?;
        let wrapped_length = u16::try_from(wrapped.bytes.len())
            .map_err(|_| CryptoError::Wrapper("its wrapped key is longer than 65,535 bytes".to_owned()))?;
        let mut bytes = Vec::with_capacity(4 + key_ref.len() + wrapped.bytes.len());
        bytes.extend([FORMAT, key_ref_length]);
        bytes.extend_from_slice(key_ref.as_bytes());
        bytes.extend_from_slice(&wrapped_length.to_be_bytes());
        bytes.extend_from_slice(&wrapped.bytes);
        Ok(bytes)
    }
}
