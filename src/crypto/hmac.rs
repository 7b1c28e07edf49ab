//! Verification of HMAC-SHA-256 (RFC 2104) with keys from outside, such as Box's webhook keys.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{Context, HMAC_SHA256, Key};

/// Returns true if `tag` is the HMAC-SHA-256 of the concatenated parts. The comparison takes constant time.
#[must_use]
pub fn verify_hmac_sha256(key: &[u8], parts: &[&[u8]], tag: &[u8]) -> bool {
    let mut context = Context::with_key(&Key::new(HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    verify_slices_are_equal(context.sign().as_ref(), tag).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hmac_matches_the_standards_example() {
        // RFC 4231, test case 2.
        let tag = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let tag = hex::decode(tag).unwrap();
        assert!(verify_hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"], &tag));
        assert!(!verify_hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing!"], &tag));
        assert!(!verify_hmac_sha256(b"jefe", &[b"what do ya want ", b"for nothing?"], &tag));
        assert!(!verify_hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"], &tag[..31]));
    }
}
