//! The form of an API key: `btb_<id>_<secret>`, whose secret ends in a checksum.

use crate::crypto::sha256;
use crate::domain::id::KeyId;
use crate::entropy::{Entropy, random_base62};
use crate::secret::SecretString;

/// The length of a secret in random characters: 256 bits.
const SECRET_LENGTH: usize = 43;
/// The length of the checksum that follows, in characters.
const CHECKSUM_LENGTH: usize = 6;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Generates a key for `id`.
#[must_use]
pub fn generate(id: &KeyId, entropy: &dyn Entropy) -> SecretString {
    let mut text = format!("btb_{}_{}", id.public_part(), random_base62(entropy, SECRET_LENGTH));
    let checksum = checksum(text.as_bytes());
    text.extend(checksum.map(char::from));
    SecretString::new(text)
}

/// Returns the ID in a text that has the form of a key and the right checksum. Anything else is refused before it
/// costs a lookup. The checksum is not secret: it only keeps typing errors and guesses away from the store.
#[must_use]
pub fn id_of(text: &str) -> Option<KeyId> {
    let (public, secret) = text.strip_prefix("btb_")?.split_once('_')?;
    let well_formed = secret.len() == SECRET_LENGTH + CHECKSUM_LENGTH
        && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !well_formed {
        return None;
    }
    let (body, given) = text.as_bytes().split_at(text.len() - CHECKSUM_LENGTH);
    if checksum(body).as_slice() != given {
        return None;
    }
    KeyId::from_public_part(public).ok()
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let digest = sha256(body);
    let mut number = u64::from_be_bytes(std::array::from_fn(|place| digest[place]));
    std::array::from_fn(|_| {
        let character = ALPHABET[(number % 62) as usize];
        number /= 62;
        character
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn a_key_is_read_back_and_any_one_changed_character_is_refused() {
        let id = KeyId::generate(&SystemEntropy);
        let key = generate(&id, &SystemEntropy);
        assert_eq!(id_of(key.expose()), Some(id));
        for place in 0..key.expose().len() {
            let mut changed = key.expose().as_bytes().to_vec();
            changed[place] = if changed[place] == b'x' { b'y' } else { b'x' };
            assert_eq!(id_of(std::str::from_utf8(&changed).unwrap()), None, "at {place}");
        }
        for other in ["", "btb_", "btb__", "btb_a_b", "Bearer x", "btbs_a_b", "btb_ä_ä"] {
            assert_eq!(id_of(other), None, "{other}");
        }
    }
}
