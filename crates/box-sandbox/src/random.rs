//! Random keys, ids and tokens.
//!
//! It draws from the operating system directly: the sandbox plays a foreign server, so it shares no source of
//! randomness with the program under test.

use rand::SeedableRng as _;
use rand::TryRng as _;
use rand::rngs::{StdRng, SysRng};

const ALPHANUMERIC: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Fills `bytes` with random bytes from the operating system.
#[expect(clippy::expect_used, reason = "no test can run on a machine without randomness")]
pub(crate) fn fill(bytes: &mut [u8]) {
    SysRng.try_fill_bytes(bytes).expect("the operating system's random generator works");
}

/// Returns a fast random generator with a random seed, for generating RSA keys.
pub(crate) fn generator() -> StdRng {
    let mut seed = [0_u8; 32];
    fill(&mut seed);
    StdRng::from_seed(seed)
}

/// Returns `length` characters of `[0-9a-zA-Z]`. The distribution is not quite uniform, which is good enough for tests.
pub(crate) fn alphanumeric(length: usize) -> String {
    characters(length, ALPHANUMERIC)
}

/// Returns `length` characters of `[0-9a-z]`, the alphabet of Box's client ids and key ids.
pub(crate) fn lowercase(length: usize) -> String {
    characters(length, &ALPHANUMERIC[..36])
}

/// Returns `length` characters of `[0-9A-Z]`, the alphabet of Box's upload session ids and part ids.
pub(crate) fn uppercase(length: usize) -> String {
    lowercase(length).to_uppercase()
}

/// Returns `length` decimal digits of which the first is not zero, the form of Box's numeric ids.
pub(crate) fn digits(length: usize) -> String {
    let rest = characters(length.saturating_sub(1), &ALPHANUMERIC[..10]);
    characters(1, &ALPHANUMERIC[1..10]) + &rest
}

fn characters(length: usize, alphabet: &[u8]) -> String {
    let mut bytes = vec![0_u8; length];
    fill(&mut bytes);
    bytes.iter().map(|&byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect()
}
