//! PEM (RFC 7468, RFC 1421) as it comes out of JSON files, environment variables and chat windows.

use zeroize::Zeroizing;

use super::key_problem::KeyProblem;
use super::limits::MAX_PEM_BYTES;
use super::pem_encryption::PemEncryption;

const MAX_LABEL_LENGTH: usize = 40;

/// The block of a PEM text that holds the private key.
pub(super) struct PemBlock {
    label: String,
    /// The encryption that its headers name, if any.
    pub encryption: Option<PemEncryption>,
    /// The decoded content.
    pub der: Zeroizing<Vec<u8>>,
}

impl PemBlock {
    /// Returns the first private key of the text. Anything around it (certificates, the bag attributes of
    /// `openssl pkcs12`) is skipped.
    pub(super) fn find(text: &str) -> Result<Self, KeyProblem> {
        if text.len() > MAX_PEM_BYTES {
            return Err(KeyProblem::TooLong);
        }
        let text = restore_line_breaks(text);
        if text.chars().all(|character| character.is_whitespace() || character == '\u{feff}') {
            return Err(KeyProblem::Empty);
        }
        let blocks: Vec<(&str, &str)> = pem_blocks(&text).collect();
        let private = blocks.iter().find(|(label, _)| label.ends_with("PRIVATE KEY"));
        let (label, rest) = private.or(blocks.first()).ok_or(KeyProblem::NotPem)?;
        if let Some(problem) = problem_with_label(label) {
            return Err(problem);
        }
        let (body, _) = rest
            .split_once(&format!("-----END {label}-----"))
            .ok_or_else(|| KeyProblem::Truncated { label: (*label).to_owned() })?;
        let (encryption, base64) = PemEncryption::read(body)?;
        Ok(Self { label: (*label).to_owned(), encryption, der: decode_base64(base64)? })
    }

    /// Returns true for PKCS#8 `EncryptedPrivateKeyInfo`.
    pub(super) fn is_encrypted_pkcs8(&self) -> bool {
        self.label == "ENCRYPTED PRIVATE KEY"
    }
}

/// Returns the text with line breaks in place of `\n` sequences, however often a shell or JSON encoder escaped them.
fn restore_line_breaks(text: &str) -> Zeroizing<String> {
    let mut mended = Zeroizing::new(String::with_capacity(text.len()));
    let mut characters = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(character) = characters.next() {
        let is_break = character == '\\' && {
            while characters.next_if_eq(&'\\').is_some() {}
            characters.next_if(|next| matches!(next, 'n' | 'r')).is_some()
        };
        mended.push(if is_break { '\n' } else { character });
    }
    mended
}

/// Returns the label of each `BEGIN` line with the text after that line.
fn pem_blocks(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split_inclusive("-----BEGIN ")
        .skip(1)
        .scan(text, |rest, _| {
            *rest = rest.split_once("-----BEGIN ")?.1;
            Some(rest.split_once("-----").filter(|(label, _)| is_pem_label(label)))
        })
        .flatten()
}

fn is_pem_label(label: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    (1..=MAX_LABEL_LENGTH).contains(&label.len()) && label.bytes().all(letter)
}

/// Returns the problem with a block whose label shows that it is not an RSA private key.
fn problem_with_label(label: &str) -> Option<KeyProblem> {
    let algorithm = |name: &str| Some(KeyProblem::OtherAlgorithm { name: name.to_owned() });
    match label {
        "PRIVATE KEY" | "RSA PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => None,
        "EC PRIVATE KEY" | "EC PARAMETERS" => algorithm("elliptic curves (EC)"),
        "DSA PRIVATE KEY" | "DSA PARAMETERS" => algorithm("DSA"),
        _ if label.ends_with("PUBLIC KEY") => Some(KeyProblem::PublicKey),
        _ if label.contains("CERTIFICATE") => Some(KeyProblem::Certificate),
        _ => Some(KeyProblem::OtherForm { label: label.to_owned() }),
    }
}

/// Decodes base64 with or without line breaks and padding.
fn decode_base64(base64: &str) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
    let mut dense = Zeroizing::new(String::with_capacity(base64.len()));
    dense.extend(base64.chars().filter(|character| !character.is_whitespace()));
    let dense = dense.trim_end_matches('=').as_bytes();
    data_encoding::BASE64_NOPAD.decode(dense).map(Zeroizing::new).map_err(|_| KeyProblem::Damaged)
}
