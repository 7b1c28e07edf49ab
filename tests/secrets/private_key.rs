//! What is secret in a private key: any of it in any file format gives the key away.

use box_sandbox::AppPrivateKey;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PrivateKeyParts as _;

use crate::searcher::Canary;

/// How many lines of a key's PEM come before the last of its public half: a header, and the modulus.
const PUBLIC_LINES: usize = 7;

/// The key itself.
pub(crate) fn parse(key: &AppPrivateKey) -> rsa::PrivateKey {
    rsa::PrivateKey::from_pkcs8_pem(&key.to_pem()).unwrap()
}

/// The private numbers as every DER holds them, PKCS#1 as PKCS#8: found at any place and alignment,
/// they are found in either, and in its base64 where that is in one piece.
pub(crate) fn canaries(name: &str, key: &AppPrivateKey) -> Vec<Canary> {
    let key = parse(key);
    let mut canaries = vec![Canary::new(format!("{name}'s d"), significant(&key.d().to_be_bytes()))];
    for (letter, prime) in ["p", "q"].iter().zip(key.primes()) {
        canaries.push(Canary::new(format!("{name}'s {letter}"), significant(&prime.to_be_bytes())));
    }
    canaries
}

/// The lines of a PEM, which holds its base64 in pieces: those that are secret, one by one.
pub(crate) fn lines(name: &str, pem: &str) -> Vec<Canary> {
    let lines = pem.lines().enumerate().skip(1 + PUBLIC_LINES);
    // The last line before the end may be short.
    let whole = lines.filter(|(_, line)| line.len() == 64 && !line.contains('-'));
    whole.map(|(at, line)| Canary::new(format!("{name}, line {at}"), line)).collect()
}

/// A number without the zeros before it.
fn significant(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
