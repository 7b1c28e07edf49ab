//! Decryption of OpenSSL's traditional encrypted PEM (`Proc-Type: 4,ENCRYPTED`, from RFC 1421), which
//! `openssl genrsa -des3` wrote until version 3.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use des::TdesEde3;
use md5::{Digest, Md5};
use zeroize::Zeroizing;

use super::key_problem::KeyProblem;
use crate::secret::SecretString;

/// The encryption of a block, as its headers name it.
pub(super) struct PemEncryption {
    cipher: Cipher,
    iv: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Cipher {
    DesEde3,
    Aes128,
    Aes192,
    Aes256,
}

impl PemEncryption {
    /// Splits a PEM body into its encryption headers, if any, and the base64. The headers may have lost their line
    /// breaks: the length of the initialisation vector shows where the base64 begins.
    pub(super) fn read(body: &str) -> Result<(Option<Self>, &str), KeyProblem> {
        let Some(rest) = strip_word(body, "Proc-Type:") else { return Ok((None, body)) };
        let found = strip_word(rest, "4,").and_then(|rest| strip_word(rest, "ENCRYPTED"));
        let found =
            found.and_then(|rest| strip_word(rest, "DEK-Info:")).and_then(|rest| rest.split_once(','));
        let (name, rest) = found.ok_or(KeyProblem::Damaged)?;
        let cipher = Cipher::named(name.trim())?;
        let rest = rest.trim_start();
        let (iv, base64) = rest.split_at_checked(2 * cipher.iv_length()).ok_or(KeyProblem::Damaged)?;
        let iv = data_encoding::HEXUPPER_PERMISSIVE.decode(iv.as_bytes()).map_err(|_| KeyProblem::Damaged)?;
        Ok((Some(Self { cipher, iv }), base64))
    }

    /// Returns the decrypted content. It is not authenticated, so it may be garbage.
    pub(super) fn decrypt(
        &self,
        ciphertext: &[u8],
        passphrase: Option<&SecretString>,
    ) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
        if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(self.cipher.iv_length()) {
            return Err(KeyProblem::Damaged);
        }
        let passphrase = passphrase.ok_or(KeyProblem::PassphraseMissing)?;
        match self.cipher {
            Cipher::DesEde3 => self.decrypt_with::<TdesEde3, 24>(ciphertext, passphrase),
            Cipher::Aes128 => self.decrypt_with::<Aes128, 16>(ciphertext, passphrase),
            Cipher::Aes192 => self.decrypt_with::<Aes192, 24>(ciphertext, passphrase),
            Cipher::Aes256 => self.decrypt_with::<Aes256, 32>(ciphertext, passphrase),
        }
    }

    fn decrypt_with<C: BlockCipherDecrypt + KeyInit, const KEY: usize>(
        &self,
        ciphertext: &[u8],
        passphrase: &SecretString,
    ) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
        let key = derived_key::<KEY>(passphrase, &self.iv);
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = cbc::Decryptor::<C>::new_from_slices(&*key, &self.iv)
            .map_err(|_| KeyProblem::Damaged)?
            .decrypt_padded::<Pkcs7>(&mut buffer)
            .map_err(|_| KeyProblem::WrongPassphrase)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

impl Cipher {
    fn named(name: &str) -> Result<Self, KeyProblem> {
        match name {
            "DES-EDE3-CBC" => Ok(Self::DesEde3),
            "AES-128-CBC" => Ok(Self::Aes128),
            "AES-192-CBC" => Ok(Self::Aes192),
            "AES-256-CBC" => Ok(Self::Aes256),
            _ => {
                let letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
                let is_name = (1..=24).contains(&name.len()) && name.bytes().all(letter);
                let name = if is_name { name } else { "an unknown cipher" };
                Err(KeyProblem::UnsupportedScheme { name: name.to_owned() })
            }
        }
    }

    /// Returns the length of the initialisation vector, which is also that of a block, in bytes.
    fn iv_length(self) -> usize {
        match self {
            Self::DesEde3 => 8,
            Self::Aes128 | Self::Aes192 | Self::Aes256 => 16,
        }
    }
}

/// Derives a key as OpenSSL's `EVP_BytesToKey` does with MD5 and one round: each block is the digest of the previous
/// block, the passphrase and the salt. The salt is the first eight bytes of the initialisation vector (RFC 1423 had
/// only DES, whose vector is that long).
fn derived_key<const KEY: usize>(passphrase: &SecretString, iv: &[u8]) -> Zeroizing<[u8; KEY]> {
    let salt = iv.get(..8).unwrap_or(iv);
    let mut key = Zeroizing::new([0; KEY]);
    let mut block: Option<Zeroizing<[u8; 16]>> = None;
    for part in key.chunks_mut(16) {
        let mut digest = Md5::new();
        if let Some(block) = &block {
            digest.update(**block);
        }
        digest.update(passphrase.expose());
        digest.update(salt);
        let next = Zeroizing::new(<[u8; 16]>::from(digest.finalize()));
        part.copy_from_slice(&next[..part.len()]);
        block = Some(next);
    }
    key
}

/// Returns the text after `word` if it begins with it, ignoring white space around the word.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    text.trim_start().strip_prefix(word).map(str::trim_start)
}
