//! Private keys, in PEM and in DER. The first line of the input says which:
//!
//! - `pem` and the passphrase behind a space: a PEM text follows;
//! - `der`: PKCS#8 or PKCS#1 follows;
//! - `encrypted` and the passphrase: PKCS#8's `EncryptedPrivateKeyInfo` follows, without PEM around it.

use box_token_broker::domain::signing_key::{KeyProblem, SigningKey};
use box_token_broker::secret::{SecretBytes, SecretString};

/// A key that is taken has the same numbers however it is read again, and a problem quotes nothing.
pub fn run(input: &[u8]) {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let (line, rest) = (&input[..end], &input[end + 1..]);
    let Ok(line) = std::str::from_utf8(line) else { return };
    let (form, passphrase) = line.split_once(' ').unwrap_or((line, ""));
    let read = match form {
        "pem" => std::str::from_utf8(rest).ok().map(|pem| parse(pem.to_owned(), passphrase)),
        "der" => Some(SigningKey::from_der(&SecretBytes::new(rest.to_vec()))),
        "encrypted" => Some(parse(encrypted(rest), passphrase)),
        _ => None,
    };
    match read {
        Some(Ok(key)) => check(&key),
        Some(Err(problem)) => check_problem(&problem),
        None => {}
    }
}

fn parse(pem: String, passphrase: &str) -> Result<SigningKey, KeyProblem> {
    let passphrase = SecretString::new(passphrase.to_owned());
    SigningKey::parse(&SecretString::new(pem), Some(&passphrase))
}

fn encrypted(der: &[u8]) -> String {
    let base64 = data_encoding::BASE64.encode(der);
    format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\n{base64}\n-----END ENCRYPTED PRIVATE KEY-----\n")
}

fn check(key: &SigningKey) {
    assert!((2048..=4096).contains(&key.bits()), "{} bits", key.bits());
    assert_eq!(SigningKey::from_der(key.pkcs8_der()).as_ref(), Ok(key));
    let base64 = data_encoding::BASE64.encode(key.pkcs8_der().expose());
    let plain = format!("-----BEGIN PRIVATE KEY-----{base64}-----END PRIVATE KEY-----");
    assert_eq!(parse(plain, "superfluous").as_ref(), Ok(key));
    assert_eq!(parse(key.public_pem().to_owned(), ""), Err(KeyProblem::PublicKey));
}

fn check_problem(problem: &KeyProblem) {
    for text in [problem.to_string(), problem.fix(), problem.code().to_owned()] {
        // Object identifiers are the longest that is quoted.
        assert!(!text.is_empty() && text.len() < 700, "{} bytes", text.len());
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
