//! The ASN.1 elements that several readers of keys share.

use pkcs8::der::asn1::{OctetStringRef, UintRef};
use pkcs8::der::{self, Decode, SliceReader};
use pkcs8::spki::AlgorithmIdentifierRef;

/// Returns the number, or `u64::MAX` if it is larger.
pub(super) fn saturating_u64(number: UintRef<'_>) -> u64 {
    let bytes = number.as_bytes();
    if bytes.len() > 8 {
        return u64::MAX;
    }
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// Reads an `AlgorithmIdentifier` (RFC 5280, section 4.1.1.2).
pub(super) fn algorithm<'a>(reader: &mut SliceReader<'a>) -> der::Result<AlgorithmIdentifierRef<'a>> {
    AlgorithmIdentifierRef::decode(reader)
}

/// Reads an `OCTET STRING`.
pub(super) fn octets<'a>(reader: &mut SliceReader<'a>) -> der::Result<&'a [u8]> {
    <&OctetStringRef>::decode(reader).map(OctetStringRef::as_bytes)
}
