//! How a secret may be written: as it is, and in each encoding that files and logs are made with.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding};

/// A way to write bytes, and the bytes so written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// Every form of a secret, each once: encodings that leave it as it is add nothing.
pub(crate) fn forms(secret: &[u8]) -> Vec<Form> {
    let mut all = vec![("raw".to_owned(), secret.to_vec())];
    let mut add = |name: &str, text: String| all.push((name.to_owned(), text.into_bytes()));
    add("hex", hex::encode(secret));
    add("upper-case hex", hex::encode_upper(secret));
    for shift in 0..3 {
        add(&format!("base64 behind {shift} bytes"), base64_within(secret, shift, &BASE64_NOPAD));
        add(&format!("URL-safe base64 behind {shift} bytes"), base64_within(secret, shift, &BASE64URL_NOPAD));
    }
    add("a list of numbers", numbers(secret, ", "));
    add("a JSON list of numbers", numbers(secret, ","));
    add("Rust's escapes", secret.escape_ascii().to_string());
    add("form-encoded", url::form_urlencoded::byte_serialize(secret).collect());
    for letters in [b"-._~".as_slice(), b"*-._", b""] {
        add("percent-encoded", percent(secret, letters, false));
        add("percent-encoded in lower case", percent(secret, letters, true));
    }
    if let Ok(text) = std::str::from_utf8(secret) {
        let json = serde_json::to_string(text).unwrap();
        let inside = json[1..json.len() - 1].to_owned();
        add("JSON with escaped slashes", inside.replace('/', "\\/"));
        add("JSON", inside);
    }
    let mut seen = BTreeSet::new();
    all.retain(|(_, bytes)| seen.insert(bytes.clone()));
    all.into_iter().map(|(name, bytes)| Form { name, bytes }).collect()
}

/// The characters of base64 that come from the secret alone, when `shift` bytes stand before it and
/// anything behind it.
fn base64_within(secret: &[u8], shift: usize, encoding: &Encoding) -> String {
    let text = encoding.encode(&[&[0; 2][..shift], secret].concat());
    let from = (shift * 8).div_ceil(6);
    let to = (shift + secret.len()) * 8 / 6;
    text[from..to].to_owned()
}

fn numbers(secret: &[u8], between: &str) -> String {
    secret.iter().map(u8::to_string).collect::<Vec<_>>().join(between)
}

/// Letters, digits and those of `plain` stay; the rest is `%` and two digits.
fn percent(secret: &[u8], plain: &[u8], lower: bool) -> String {
    let mut text = String::new();
    for byte in secret {
        match (byte.is_ascii_alphanumeric() || plain.contains(byte), lower) {
            (true, _) => text.push(char::from(*byte)),
            (false, true) => write!(text, "%{byte:02x}").unwrap(),
            (false, false) => write!(text, "%{byte:02X}").unwrap(),
        }
    }
    text
}

#[test]
fn base64_is_cut_to_what_depends_on_the_secret_alone() {
    let secret = b"What stands around this does not show in it";
    for shift in 0..3 {
        let inside = base64_within(secret, shift, &BASE64_NOPAD);
        assert!(inside.len() >= secret.len() * 4 / 3 - 2, "nearly all of it is left");
        for around in [[0_u8; 6], [255; 6], *b"<(&+/>"] {
            let text = BASE64_NOPAD.encode(&[&around[..3 + shift], secret, &around].concat());
            assert!(text.contains(&inside), "behind {shift}");
        }
    }
}

#[test]
fn each_form_is_there_once() {
    let plain = forms(b"onlylettersanddigits1234567890");
    let names: Vec<&str> = plain.iter().map(|form| form.name.as_str()).collect();
    assert!(!names.contains(&"JSON") && !names.contains(&"percent-encoded"), "{names:?}");
    let special = forms("a/b\"c\nd+e ä and more".as_bytes());
    for name in ["raw", "hex", "JSON", "JSON with escaped slashes", "percent-encoded", "Rust's escapes"] {
        assert!(special.iter().any(|form| form.name == name), "{name}");
    }
}
