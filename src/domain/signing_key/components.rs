//! The components of an RSA key: read from PKCS#8 or PKCS#1, bounded first, then validated.

use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::AnyRef;
use pkcs8::der::{self, Decode, Reader, Tag};
use rsa::pkcs1::{self, RsaPrivateKeyRef, UintRef};

use super::der::saturating_u64;
use super::key_problem::KeyProblem;
use super::limits::{MAX_BITS, MIN_BITS};

/// The largest public exponent: greater ones make verification slow. The `rsa` crate and `aws-lc` have the same
/// bound.
const MAX_EXPONENT: u64 = (1 << 33) - 1;

/// A key whose components are consistent.
pub(super) struct ConsistentRsaKey {
    pub private: rsa::PrivateKey,
    pub bits: u32,
}

/// Reads PKCS#8 (RFC 5208, RFC 5958) or PKCS#1 (RFC 8017, A.1.2), recognised by content and not by label.
pub(super) fn read_and_validate(der: &[u8]) -> Result<ConsistentRsaKey, KeyProblem> {
    let pkcs1 = match second_tag(der)? {
        Tag::Sequence => pkcs1_within(der)?,
        _ => der,
    };
    let key = RsaPrivateKeyRef::from_der(pkcs1).map_err(|_| KeyProblem::Damaged)?;
    let bits = bit_length(key.modulus);
    if bits < MIN_BITS {
        return Err(KeyProblem::TooSmall { bits });
    }
    if bits > MAX_BITS {
        return Err(KeyProblem::TooLarge { bits });
    }
    if key.other_prime_infos.is_some() {
        return Err(KeyProblem::ManyPrimes);
    }
    let exponent = saturating_u64(key.public_exponent);
    if exponent < 3 || exponent.is_multiple_of(2) || exponent > MAX_EXPONENT {
        return Err(KeyProblem::Exponent);
    }
    let private = rsa::PrivateKey::try_from(key).map_err(|_| KeyProblem::Inconsistent)?;
    Ok(ConsistentRsaKey { private, bits })
}

/// Returns the tag of the second element: both forms begin with a version, then PKCS#8 has the algorithm and PKCS#1
/// the modulus.
fn second_tag(der: &[u8]) -> Result<Tag, KeyProblem> {
    AnyRef::from_der(der)
        .and_then(|whole| {
            whole.sequence(|reader| {
                AnyRef::decode(reader)?;
                let tag = Tag::peek(reader)?;
                while !reader.is_finished() {
                    AnyRef::decode(reader)?;
                }
                Ok::<_, der::Error>(tag)
            })
        })
        .map_err(|_| KeyProblem::Damaged)
}

/// Returns the PKCS#1 key inside PKCS#8.
fn pkcs1_within(der: &[u8]) -> Result<&[u8], KeyProblem> {
    let wrapped = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyProblem::Damaged)?;
    if wrapped.algorithm.oid != pkcs1::ALGORITHM_OID {
        return Err(KeyProblem::OtherAlgorithm { name: algorithm_name(&wrapped.algorithm.oid.to_string()) });
    }
    Ok(wrapped.private_key.as_bytes())
}

fn algorithm_name(oid: &str) -> String {
    let name = match oid {
        "1.2.840.10045.2.1" => "elliptic curves (EC)",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.10040.4.1" => "DSA",
        "1.2.840.113549.1.3.1" => "Diffie-Hellman",
        "1.3.101.110" => "X25519",
        "1.3.101.111" => "X448",
        "1.3.101.112" => "Ed25519",
        "1.3.101.113" => "Ed448",
        _ => return format!("the algorithm {oid}"),
    };
    name.to_owned()
}

fn bit_length(number: UintRef<'_>) -> u32 {
    let bytes = number.as_bytes();
    let unused = bytes.first().map_or(0, |first| first.leading_zeros());
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(unused)
}
