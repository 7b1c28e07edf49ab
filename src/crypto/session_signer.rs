//! The text of a browser session: the key that signed it, the session's id, and a MAC over the session's content. A
//! page sends it with each request, so it is short and needs no escaping.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::mac_keys::{MacKey, MacKeys};
use super::{AadContext, KeyKind, KeySet, KeySetError, sha256};
use crate::secret::SecretString;

/// The prefix of every session's text.
const PREFIX: &str = "btbs_";
/// The number of characters that identify the signing key.
const TAG_LEN: usize = 8;
/// The length of the check, which shows without a lookup that the broker made the text: 35 bits.
const CHECK_LEN: usize = 6;
/// The length of a whole MAC, in characters.
const PROOF_LEN: usize = 43;

/// The labels that separate the two uses of a key; each ends in its format's version.
const CHECK_LABEL: &str = "box-token-broker browser session check 1";
const PROOF_LABEL: &str = "box-token-broker browser session 1";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Signs the texts of browser sessions and verifies them.
#[derive(Debug)]
pub struct SessionSigner(MacKeys);

/// A text that one of the keys made for a session with this id. Its content has yet to be verified.
#[derive(Debug)]
pub struct ClaimedSession<'a> {
    key: &'a MacKey,
    /// The session's id without its prefix.
    pub id: &'a str,
    proof: &'a str,
}

impl SessionSigner {
    /// Prepares the `session` keys of the set.
    ///
    /// # Errors
    /// [`KeySetError::NoActiveKey`] if no `session` key is active.
    pub(super) fn prepare(keys: &KeySet) -> Result<Self, KeySetError> {
        MacKeys::prepare(keys, KeyKind::Session).map(Self)
    }

    /// Returns the text of the session with this id (without its prefix) and `content`, signed with the active key.
    #[must_use]
    pub fn sign(&self, id: &str, content: &[u8]) -> SecretString {
        let key = self.0.active();
        // Reserved in advance: a text that grows leaves copies of itself behind.
        let mut text =
            String::with_capacity(PREFIX.len() + TAG_LEN + 1 + id.len() + 1 + CHECK_LEN + PROOF_LEN);
        text.push_str(PREFIX);
        text.extend(tag(key).map(char::from));
        text.push('_');
        text.push_str(id);
        text.push('_');
        text.extend(check(key, id).map(char::from));
        text.extend(proof(key, id, content).map(char::from));
        SecretString::new(text)
    }

    /// Returns the id in a text without verifying it. It may serve as a cache key and for nothing else.
    #[must_use]
    pub fn claimed_id(text: &str) -> Option<&str> {
        text.strip_prefix(PREFIX)?.split('_').nth(1)
    }

    /// Reads a text. Returns `None` if no key of the set made it, which needs no lookup.
    #[must_use]
    pub fn parse<'a>(&'a self, text: &'a str) -> Option<ClaimedSession<'a>> {
        let mut parts = text.strip_prefix(PREFIX)?.split('_');
        let (signer, id, macs) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || macs.len() != CHECK_LEN + PROOF_LEN || !macs.is_ascii() {
            return None;
        }
        let (checked, proof) = macs.split_at(CHECK_LEN);
        let made_it = |key: &&MacKey| {
            tag(key) == *signer.as_bytes()
                && verify_slices_are_equal(&check(key, id), checked.as_bytes()).is_ok()
        };
        Some(ClaimedSession { key: self.0.all().find(made_it)?, id, proof })
    }
}

impl ClaimedSession<'_> {
    /// Returns true if the text was made for a session with this content. The comparison takes constant time.
    #[must_use]
    pub fn verify(&self, content: &[u8]) -> bool {
        verify_slices_are_equal(&proof(self.key, self.id, content), self.proof.as_bytes()).is_ok()
    }
}

/// Returns the characters that identify a key in a text. A key's id may be long and hold other characters.
fn tag(key: &MacKey) -> [u8; TAG_LEN] {
    digits(&sha256(key.id.as_bytes()))
}

fn check(key: &MacKey, id: &str) -> [u8; CHECK_LEN] {
    digits(mac(key, CHECK_LABEL, id, &[]).as_ref())
}

fn proof(key: &MacKey, id: &str, content: &[u8]) -> [u8; PROOF_LEN] {
    digits(mac(key, PROOF_LABEL, id, content).as_ref())
}

fn mac(MacKey { id: key_id, key }: &MacKey, label: &str, id: &str, content: &[u8]) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    let place = AadContext { table: "sessions", row: id, column: "text", version: 1 };
    place.bind(label, key_id, content, |part| context.update(part));
    context.sign()
}

/// Returns the last `N` digits of a number in base 62, the last one first.
fn digits<const N: usize>(number: &[u8]) -> [u8; N] {
    let mut number = number.to_vec();
    std::array::from_fn(|_| {
        let mut rest = 0_u32;
        for byte in &mut number {
            let dividend = rest << 8 | u32::from(*byte);
            // A remainder is below 62, so the quotient is below 256.
            *byte = (dividend / 62) as u8;
            rest = dividend % 62;
        }
        ALPHABET[rest as usize]
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn keys() -> SessionSigner {
        SessionSigner::prepare(&KeySet::generate(&SystemEntropy)).unwrap()
    }

    #[test]
    fn a_text_is_read_back_and_any_one_changed_character_is_refused() {
        let keys = keys();
        let text = keys.sign("aB3", b"content");
        let text = text.expose();
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{text}");
        let accepted = |text: &str, content: &[u8]| {
            let claimed = keys.parse(text);
            claimed.is_some_and(|claimed| claimed.id == "aB3" && claimed.verify(content))
        };
        assert!(accepted(text, b"content"));
        assert!(!accepted(text, b"other"));
        for place in 0..text.len() {
            let mut changed = text.as_bytes().to_vec();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            assert!(!accepted(std::str::from_utf8(&changed).unwrap(), b"content"), "at {place}");
        }
        for other in [
            "",
            "btbs_",
            "btbs___",
            "btb_a_b",
            &text[..text.len() - 1],
            &format!("{text}0"),
            "btbs_\u{e4}_\u{e4}_\u{e4}",
        ] {
            assert!(keys.parse(other).is_none(), "{other}");
        }
    }

    #[test]
    fn a_retired_key_goes_on_and_a_foreign_one_never_counts() {
        let document = KeySet::generate(&SystemEntropy).to_json();
        let mut document: serde_json::Value = serde_json::from_slice(document.expose()).unwrap();
        let read = |document: &serde_json::Value| {
            let set = KeySet::parse(&serde_json::to_vec(document).unwrap()).unwrap();
            SessionSigner::prepare(&set)
        };
        let before = read(&document).unwrap();
        let text = before.sign("a", b"c");
        document["session"][0]["state"] = "retired".into();
        assert!(matches!(read(&document), Err(KeySetError::NoActiveKey { kind: KeyKind::Session })));
        let new = KeySet::generate(&SystemEntropy).to_json();
        let new: serde_json::Value = serde_json::from_slice(new.expose()).unwrap();
        document["session"].as_array_mut().unwrap().push(new["session"][0].clone());
        let rotated = read(&document).unwrap();
        assert!(rotated.parse(text.expose()).is_some_and(|claimed| claimed.verify(b"c")));
        assert_ne!(rotated.sign("a", b"c"), text, "the active key signs");
        assert!(keys().parse(text.expose()).is_none());
    }
}
