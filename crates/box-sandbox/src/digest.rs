//! Digests in lower-case hexadecimal, as Box writes them.
//!
//! Nothing is secured by them: the sandbox keeps tokens by their SHA-256, and Box shows the SHA-1 of each file.

use rsa::sha2::Sha256;
use sha1::{Digest as _, Sha1};

/// Returns the SHA-256 of a text in hexadecimal.
pub(crate) fn sha256_hex(text: &str) -> String {
    hex(&Sha256::digest(text))
}

/// Returns the SHA-1 of some bytes in hexadecimal.
pub(crate) fn sha1_hex(bytes: &[u8]) -> String {
    hex(&Sha1::digest(bytes))
}

/// Returns bytes in lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
