//! Decryption of PBES2 (RFC 8018, section 6.2), the usual scheme of `BEGIN ENCRYPTED PRIVATE KEY`.
//!
//! The parameters come from outside and determine the work, so they are read and bounded here before the crate that
//! does the work sees them.

use pkcs5::pbes2::{self, EncryptionScheme, Kdf, Parameters, Pbkdf2Params, Pbkdf2Prf, Salt, ScryptParams};
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use pkcs8::der::{self, Decode};
use pkcs8::spki::AlgorithmIdentifierRef;
use zeroize::Zeroizing;

use super::der::{algorithm, octets, saturating_u64};
use super::key_problem::KeyProblem;
use super::limits::{MAX_ROUNDS, MAX_SCRYPT_MIB, MAX_SCRYPT_P};
use crate::secret::SecretString;

/// Returns the decrypted content. It is not authenticated, so it may be garbage.
pub(super) fn decrypt(
    der: &[u8],
    passphrase: Option<&SecretString>,
) -> Result<Zeroizing<Vec<u8>>, KeyProblem> {
    let (scheme, ciphertext) = AnyRef::from_der(der)
        .and_then(|whole| whole.sequence(|reader| Ok((algorithm(reader)?, octets(reader)?))))
        .map_err(damaged)?;
    let parameters = checked_parameters(scheme)?;
    let block = if matches!(parameters.encryption, EncryptionScheme::DesEde3Cbc { .. }) { 8 } else { 16 };
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(block) {
        return Err(KeyProblem::Damaged);
    }
    let passphrase = passphrase.ok_or(KeyProblem::PassphraseMissing)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = parameters
        .decrypt_in_place(passphrase.expose(), &mut buffer)
        .map_err(|error| match error {
            pkcs5::Error::DecryptFailed => KeyProblem::WrongPassphrase,
            _ => KeyProblem::Damaged,
        })?
        .len();
    buffer.truncate(length);
    Ok(buffer)
}

/// Reads the parameters and checks that they are of a known kind and within the limits.
fn checked_parameters(scheme: AlgorithmIdentifierRef<'_>) -> Result<Parameters, KeyProblem> {
    if scheme.oid != pbes2::PBES2_OID {
        return Err(unsupported(scheme.oid));
    }
    let (kdf, cipher) = parameters_of(&scheme)?
        .sequence(|reader| Ok((algorithm(reader)?, algorithm(reader)?)))
        .map_err(damaged)?;
    let kdf = match kdf.oid {
        pbes2::PBKDF2_OID => Kdf::Pbkdf2(pbkdf2(parameters_of(&kdf)?)?),
        pbes2::SCRYPT_OID => Kdf::Scrypt(scrypt(parameters_of(&kdf)?)?),
        oid => return Err(unsupported(oid)),
    };
    Ok(Parameters { kdf, encryption: encryption(&cipher)? })
}

/// Reads the parameters of PBKDF2 (RFC 8018, A.2). If absent, the pseudo-random function is HMAC-SHA1.
fn pbkdf2(parameters: AnyRef<'_>) -> Result<Pbkdf2Params, KeyProblem> {
    let (salt, rounds, key_length, prf) = parameters
        .sequence(|reader| {
            Ok((
                octets(reader)?,
                UintRef::decode(reader)?,
                Option::<u16>::decode(reader)?,
                Option::<AlgorithmIdentifierRef<'_>>::decode(reader)?,
            ))
        })
        .map_err(damaged)?;
    let rounds = saturating_u64(rounds);
    let iteration_count = match u32::try_from(rounds) {
        Ok(0) => return Err(KeyProblem::Damaged),
        Ok(count) if count <= MAX_ROUNDS => count,
        _ => return Err(KeyProblem::TooManyRounds { rounds }),
    };
    let prf = match prf {
        None => Pbkdf2Prf::HmacWithSha1,
        Some(prf) => Pbkdf2Prf::try_from(prf).map_err(|_| unsupported(prf.oid))?,
    };
    Ok(Pbkdf2Params { salt: self::salt(salt)?, iteration_count, key_length, prf })
}

/// Reads the parameters of scrypt (RFC 7914, section 7).
fn scrypt(parameters: AnyRef<'_>) -> Result<ScryptParams, KeyProblem> {
    let (salt, n, r, p, key_length) = parameters
        .sequence(|reader| {
            Ok((
                octets(reader)?,
                UintRef::decode(reader)?,
                UintRef::decode(reader)?,
                UintRef::decode(reader)?,
                Option::<u16>::decode(reader)?,
            ))
        })
        .map_err(damaged)?;
    let (n, r, p) = (saturating_u64(n), saturating_u64(r), saturating_u64(p));
    let memory = n.saturating_mul(r).saturating_mul(128);
    let too_much = KeyProblem::TooMuchMemory { n, r, p };
    if memory > MAX_SCRYPT_MIB << 20 || p > MAX_SCRYPT_P {
        return Err(too_much);
    }
    if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
        return Err(KeyProblem::Damaged);
    }
    Ok(ScryptParams {
        salt: self::salt(salt)?,
        cost_parameter: n,
        block_size: u16::try_from(r).map_err(|_| too_much.clone())?,
        parallelization: u16::try_from(p).map_err(|_| too_much)?,
        key_length,
    })
}

/// Reads the cipher with its initialisation vector, whose length the crate does not check.
fn encryption(cipher: &AlgorithmIdentifierRef<'_>) -> Result<EncryptionScheme, KeyProblem> {
    let iv = || {
        let octets = parameters_of(cipher)?.decode_as::<&OctetStringRef>();
        octets.map(OctetStringRef::as_bytes).map_err(damaged)
    };
    let block = || iv()?.try_into().map_err(|_| KeyProblem::Damaged);
    match cipher.oid {
        pbes2::DES_EDE3_CBC_OID => {
            Ok(EncryptionScheme::DesEde3Cbc { iv: iv()?.try_into().map_err(|_| KeyProblem::Damaged)? })
        }
        pbes2::AES_128_CBC_OID => Ok(EncryptionScheme::Aes128Cbc { iv: block()? }),
        pbes2::AES_192_CBC_OID => Ok(EncryptionScheme::Aes192Cbc { iv: block()? }),
        pbes2::AES_256_CBC_OID => Ok(EncryptionScheme::Aes256Cbc { iv: block()? }),
        oid => Err(unsupported(oid)),
    }
}

fn salt(bytes: &[u8]) -> Result<Salt, KeyProblem> {
    if bytes.len() > Salt::MAX_LEN {
        let name = format!("a salt of {} bytes (at most {} are read)", bytes.len(), Salt::MAX_LEN);
        return Err(KeyProblem::UnsupportedScheme { name });
    }
    Salt::new(bytes).map_err(damaged)
}

fn parameters_of<'a>(algorithm: &AlgorithmIdentifierRef<'a>) -> Result<AnyRef<'a>, KeyProblem> {
    algorithm.parameters.ok_or(KeyProblem::Damaged)
}

fn damaged(_: der::Error) -> KeyProblem {
    KeyProblem::Damaged
}

fn unsupported(oid: ObjectIdentifier) -> KeyProblem {
    KeyProblem::UnsupportedScheme { name: scheme_name(&oid.to_string()) }
}

/// Returns OpenSSL's name for a scheme or a part of one (RFC 8018, RFC 7292).
fn scheme_name(oid: &str) -> String {
    let name = match oid {
        "1.2.840.113549.1.5.1" => "PBES1 (pbeWithMD2AndDES-CBC)",
        "1.2.840.113549.1.5.3" => "PBES1 (pbeWithMD5AndDES-CBC)",
        "1.2.840.113549.1.5.4" => "PBES1 (pbeWithMD2AndRC2-CBC)",
        "1.2.840.113549.1.5.6" => "PBES1 (pbeWithMD5AndRC2-CBC)",
        "1.2.840.113549.1.5.10" => "PBES1 (pbeWithSHA1AndDES-CBC)",
        "1.2.840.113549.1.5.11" => "PBES1 (pbeWithSHA1AndRC2-CBC)",
        "1.2.840.113549.1.12.1.1" => "a PKCS#12 scheme (pbeWithSHA1And128BitRC4)",
        "1.2.840.113549.1.12.1.2" => "a PKCS#12 scheme (pbeWithSHA1And40BitRC4)",
        "1.2.840.113549.1.12.1.3" => "a PKCS#12 scheme (pbeWithSHA1And3-KeyTripleDES-CBC)",
        "1.2.840.113549.1.12.1.4" => "a PKCS#12 scheme (pbeWithSHA1And2-KeyTripleDES-CBC)",
        "1.2.840.113549.1.12.1.5" => "a PKCS#12 scheme (pbeWithSHA1And128BitRC2-CBC)",
        "1.2.840.113549.1.12.1.6" => "a PKCS#12 scheme (pbeWithSHA1And40BitRC2-CBC)",
        "1.3.14.3.2.7" => "PBES2 with DES-CBC",
        "1.2.840.113549.3.2" => "PBES2 with RC2-CBC",
        "2.16.840.1.101.3.4.1.6" | "2.16.840.1.101.3.4.1.26" | "2.16.840.1.101.3.4.1.46" => {
            "PBES2 with AES-GCM"
        }
        "1.2.392.200011.61.1.1.1.2" | "1.2.392.200011.61.1.1.1.3" | "1.2.392.200011.61.1.1.1.4" => {
            "PBES2 with Camellia-CBC"
        }
        "1.2.410.200046.1.1.2" | "1.2.410.200046.1.1.7" | "1.2.410.200046.1.1.12" => "PBES2 with ARIA-CBC",
        "1.2.156.10197.1.104.2" => "PBES2 with SM4-CBC",
        "1.2.840.113549.2.6" => "PBKDF2 with HMAC-MD5",
        "1.2.840.113549.2.12" => "PBKDF2 with HMAC-SHA512-224",
        "1.2.840.113549.2.13" => "PBKDF2 with HMAC-SHA512-256",
        _ => return format!("the scheme {oid}"),
    };
    name.to_owned()
}
