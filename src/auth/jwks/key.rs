//! An issuer's keys (RFC 7517) that can verify signatures, each with its algorithms.

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// The maximum number of keys of a set that are read.
const MOST: usize = 100;
/// The permitted length of an RSA modulus in bytes: 2048 to 8192 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=1024;

/// A key set as an issuer publishes it.
#[derive(Debug, Deserialize)]
pub(super) struct JwksDocument {
    keys: Vec<Value>,
}

/// The verification keys of an issuer.
#[derive(Debug)]
pub(super) struct VerificationKeys(Vec<std::sync::Arc<IssuerKey>>);

/// One verification key.
#[derive(Debug)]
pub(in crate::auth) struct IssuerKey {
    id: Option<String>,
    /// The algorithms that the key is for; a token with another one is not verified with it.
    algorithms: &'static [Algorithm],
    /// The key in jsonwebtoken's form.
    pub(in crate::auth) decoding: DecodingKey,
}

/// The key that a token claims to be signed with.
#[derive(Clone, Copy, Debug)]
pub(in crate::auth) struct KeyWanted<'a> {
    /// Its `kid`.
    pub(in crate::auth) id: Option<&'a str>,
    /// Its `alg`.
    pub(in crate::auth) algorithm: Algorithm,
}

/// The reason why no key matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyLookupError {
    /// No key has that ID, or none is for the algorithm of a token without `kid`.
    Unknown,
    /// The key with that ID is for other algorithms.
    OtherAlgorithm,
    /// The token names no key, and several are for its algorithm.
    Ambiguous,
}

impl VerificationKeys {
    /// Reads the usable keys and ignores others.
    pub(super) fn read(document: JwksDocument) -> Self {
        let read = |value| serde_json::from_value::<Jwk>(value).ok().and_then(Jwk::read);
        Self(document.keys.into_iter().take(MOST).filter_map(read).map(std::sync::Arc::new).collect())
    }

    pub(super) fn find(&self, wanted: KeyWanted<'_>) -> Result<std::sync::Arc<IssuerKey>, KeyLookupError> {
        let fits = |key: &&std::sync::Arc<IssuerKey>| key.algorithms.contains(&wanted.algorithm);
        let Some(id) = wanted.id else {
            let mut fitting = self.0.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only.clone()),
                (Some(_), Some(_)) => Err(KeyLookupError::Ambiguous),
                (None, _) => Err(KeyLookupError::Unknown),
            };
        };
        let named = || self.0.iter().filter(|key| key.id.as_deref() == Some(id));
        let none =
            if named().next().is_some() { KeyLookupError::OtherAlgorithm } else { KeyLookupError::Unknown };
        named().find(fits).cloned().ok_or(none)
    }
}

/// A key as it is published, as far as it is relevant here.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    fn read(self) -> Option<IssuerKey> {
        let signs = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        let verifies = self.key_ops.as_ref().is_none_or(|all| all.iter().any(|one| one == "verify"));
        if !signs || !verifies {
            return None;
        }
        let algorithms = self.algorithms()?;
        let decoding = self.decoding(algorithms)?;
        Some(IssuerKey { id: self.kid, algorithms, decoding })
    }

    /// Returns the algorithms that its type and curve allow, narrowed by its own `alg`.
    fn algorithms(&self) -> Option<&'static [Algorithm]> {
        use Algorithm::{ES256, ES384, EdDSA, RS256, RS384, RS512};
        match (self.kty.as_str(), self.crv.as_deref(), self.alg.as_deref()) {
            ("RSA", _, None) => Some(&[RS256, RS384, RS512]),
            ("RSA", _, Some("RS256")) => Some(&[RS256]),
            ("RSA", _, Some("RS384")) => Some(&[RS384]),
            ("RSA", _, Some("RS512")) => Some(&[RS512]),
            ("EC", Some("P-256"), None | Some("ES256")) => Some(&[ES256]),
            ("EC", Some("P-384"), None | Some("ES384")) => Some(&[ES384]),
            ("OKP", Some("Ed25519"), None | Some("EdDSA" | "Ed25519")) => Some(&[EdDSA]),
            _ => None,
        }
    }

    fn decoding(&self, algorithms: &[Algorithm]) -> Option<DecodingKey> {
        let bytes = |text: &Option<String>| BASE64URL_NOPAD.decode(text.as_ref()?.as_bytes()).ok();
        let point = |length: usize| {
            let (x, y) = (bytes(&self.x)?, bytes(&self.y)?);
            (x.len() == length && y.len() == length).then(|| [&[4], x.as_slice(), y.as_slice()].concat())
        };
        match algorithms {
            [Algorithm::ES256] => Some(DecodingKey::from_ec_der(&point(32)?)),
            [Algorithm::ES384] => Some(DecodingKey::from_ec_der(&point(48)?)),
            [Algorithm::EdDSA] => {
                let x = bytes(&self.x).filter(|x| x.len() == 32)?;
                Some(DecodingKey::from_ed_der(&x))
            }
            _ => {
                let (modulus, exponent) = (bytes(&self.n)?, bytes(&self.e)?);
                let modulus = &modulus[modulus.iter().position(|byte| *byte != 0)?..];
                let fits = MODULUS.contains(&modulus.len()) && (1..=8).contains(&exponent.len());
                fits.then(|| DecodingKey::from_rsa_raw_components(modulus, &exponent))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(keys: Value) -> VerificationKeys {
        VerificationKeys::read(serde_json::from_value(json!({ "keys": keys })).unwrap())
    }

    fn find(keys: &VerificationKeys, id: Option<&str>, algorithm: Algorithm) -> Result<(), KeyLookupError> {
        keys.find(KeyWanted { id, algorithm }).map(drop)
    }

    fn text(length: usize) -> String {
        BASE64URL_NOPAD.encode(&vec![0xff; length])
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_type_and_no_other() {
        let ec = json!({ "kty": "EC", "kid": "e", "crv": "P-256", "x": text(32), "y": text(32) });
        let ed = json!({ "kty": "OKP", "kid": "d", "crv": "Ed25519", "x": text(32), "use": "sig" });
        let rsa = json!({ "kty": "RSA", "kid": "r", "n": text(256), "e": "AQAB", "alg": "RS512" });
        let keys = keys(json!([ec, ed, rsa]));
        for (id, algorithm) in [("e", Algorithm::ES256), ("d", Algorithm::EdDSA), ("r", Algorithm::RS512)] {
            assert_eq!(find(&keys, Some(id), algorithm), Ok(()));
            assert_eq!(find(&keys, None, algorithm), Ok(()));
            for other in [Algorithm::HS256, Algorithm::RS256, Algorithm::ES384, Algorithm::PS512] {
                assert_eq!(
                    find(&keys, Some(id), other),
                    Err(KeyLookupError::OtherAlgorithm),
                    "{id} {other:?}"
                );
            }
            assert_eq!(find(&keys, Some("x"), algorithm), Err(KeyLookupError::Unknown));
        }
        assert_eq!(find(&keys, None, Algorithm::RS256), Err(KeyLookupError::Unknown));
    }

    #[test]
    fn what_is_no_key_for_signatures_is_passed_over() {
        let good = json!({ "kty": "RSA", "n": text(256), "e": "AQAB" });
        let mut all = vec![json!(7), json!({}), json!({ "kty": "oct", "k": text(32) })];
        for (field, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["encrypt"])),
            ("alg", json!("RSA-OAEP")),
            ("alg", json!("HS256")),
            ("alg", json!("PS256")),
            ("n", json!(text(128))),
            ("n", json!(text(1025))),
            ("n", json!("not base64!")),
            ("e", json!("")),
            ("kty", json!("EC")),
        ] {
            let mut bad = good.clone();
            bad[field] = value;
            all.push(bad);
        }
        all.push(json!({ "kty": "EC", "crv": "P-256", "x": text(31), "y": text(32) }));
        all.push(json!({ "kty": "EC", "crv": "P-521", "x": text(66), "y": text(66) }));
        all.push(json!({ "kty": "OKP", "crv": "X25519", "x": text(32) }));
        assert_eq!(keys(json!(all)).0.len(), 0);
        let two = keys(json!([good, good]));
        assert_eq!(find(&two, None, Algorithm::RS256), Err(KeyLookupError::Ambiguous));
        assert_eq!(keys(Value::Array(vec![good; MOST + 1])).0.len(), MOST);
    }
}
