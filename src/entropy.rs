//! The process's randomness, the only place that asks the machine for it.
//!
//! It owns the [`Entropy`] trait, which tests replace, and the alphabet of random ids. What an id or key looks
//! like is decided by its own module.

use std::fmt::Debug;

/// A source of random bytes for ids, `jti`s, data keys and API keys.
pub trait Entropy: Send + Sync + Debug {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's random generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::expect_used,
        reason = "without a generator no key of this process is safe: better to stop"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        aws_lc_rs::rand::fill(bytes).expect("the operating system's random generator works");
    }
}

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Returns `length` random characters of `[0-9A-Za-z]`, each equally likely (5.95 bits per character).
#[must_use]
pub fn random_base62(entropy: &dyn Entropy, length: usize) -> String {
    let mut text = String::with_capacity(length);
    let mut bytes = [0_u8; 32];
    while text.len() < length {
        entropy.fill(&mut bytes);
        // 248 is the largest multiple of 62 in a byte: greater values would make some characters more likely.
        let fair = bytes.iter().filter(|&&byte| byte < 248).take(length - text.len());
        text.extend(fair.map(|&byte| char::from(BASE62[usize::from(byte % 62)])));
    }
    text
}
