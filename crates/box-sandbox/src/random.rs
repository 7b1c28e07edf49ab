//! The sandbox's own randomness: it stands outside of the process that it pretends to be.

use rand::SeedableRng as _;
use rand::TryRng as _;
use rand::rngs::{StdRng, SysRng};

const ALPHANUMERIC: &[u8; 62] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/// Fills `bytes` with unpredictable ones.
#[expect(clippy::expect_used, reason = "a machine without randomness can run no test")]
pub(crate) fn fill(bytes: &mut [u8]) {
    SysRng.try_fill_bytes(bytes).expect("the operating system's random generator works");
}

/// A fast generator with an unpredictable seed, for making keys.
pub(crate) fn generator() -> StdRng {
    let mut seed = [0_u8; 32];
    fill(&mut seed);
    StdRng::from_seed(seed)
}

/// `length` characters of `[0-9a-zA-Z]`. Some are slightly likelier, which no test can notice.
pub(crate) fn alphanumeric(length: usize) -> String {
    pick(length, ALPHANUMERIC)
}

/// `length` characters of `[0-9a-z]`, as Box's client ids and key ids have them.
pub(crate) fn lower(length: usize) -> String {
    pick(length, &ALPHANUMERIC[..36])
}

/// `length` decimal digits, the first not a zero, as Box's ids are.
pub(crate) fn digits(length: usize) -> String {
    let rest = pick(length.saturating_sub(1), &ALPHANUMERIC[..10]);
    pick(1, &ALPHANUMERIC[1..10]) + &rest
}

fn pick(length: usize, alphabet: &[u8]) -> String {
    let mut bytes = vec![0_u8; length];
    fill(&mut bytes);
    bytes.iter().map(|&byte| char::from(alphabet[usize::from(byte) % alphabet.len()])).collect()
}
