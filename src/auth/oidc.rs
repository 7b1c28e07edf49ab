//! Verification of OIDC tokens (RFC 7519, OpenID Connect Core 1.0 section 2), and the cache of verified ones.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, Validation, decode};
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::jwks::{IssuerKey, Issuers, KeyWanted, key_in};
use super::{AuthError, TokenRejection};
use crate::clock::{Clock, Monotonic};
use crate::crypto::sha256;
use crate::domain::trust::TokenClaims;

/// The length in bytes from which on a token is refused unread.
const TOO_LONG: usize = 8 * 1024;
/// The tolerance for an issuer's clock that is ahead of ours. There is none at a token's end.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// The longest time that a verified token is cached.
const VERIFIED_TOKEN_TTL: Duration = Duration::from_secs(5 * 60);
/// The size of the cache of verified tokens in bytes; each counts as one kilobyte at least.
const MEMORY: u64 = 32 * 1024 * 1024;

/// The accepted algorithms. No symmetric one is among them: whoever can verify with it can sign with it.
const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Verifies a token at `now` against `set`, an issuer's key set document (RFC 7517). It fetches and caches
/// nothing.
///
/// # Errors
/// The reason why the token is refused.
pub fn verified(text: &str, set: &[u8], now: Timestamp) -> Result<TokenClaims, TokenRejection> {
    let token = UnverifiedClaims::read(text)?;
    let key = key_in(set, token.key_wanted())?;
    checked(token.verify(text, &key)?, now)
}

/// Verifies tokens, and caches verified ones by their SHA-256, so that a signature is not verified on every
/// request.
#[derive(Debug)]
pub(super) struct OidcVerifier {
    issuers: Issuers,
    clock: Arc<dyn Clock>,
    remembered: Cache<[u8; 32], Arc<VerifiedToken>>,
}

#[derive(Debug)]
struct VerifiedToken {
    claims: Arc<TokenClaims>,
    until: Monotonic,
    bytes: u32,
}

impl OidcVerifier {
    pub(super) fn new(issuers: Issuers, clock: Arc<dyn Clock>) -> Self {
        let remembered = Cache::builder()
            .max_capacity(MEMORY)
            .weigher(|_, remembered: &Arc<VerifiedToken>| remembered.bytes)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { issuers, clock, remembered }
    }

    /// Returns the claims of a token that an issuer of the settings signed.
    ///
    /// # Errors
    /// [`AuthError::Token`] if the token is refused, [`AuthError::IssuerUnavailable`] if this cannot be
    /// decided now.
    pub(super) async fn verify(&self, text: &str) -> Result<Arc<TokenClaims>, AuthError> {
        if text.len() >= TOO_LONG {
            return Err(TokenRejection::TooLong.into());
        }
        let digest = sha256(text.as_bytes());
        if let Some(claims) = self.recall(&digest) {
            return Ok(claims);
        }
        let token = UnverifiedClaims::read(text)?;
        let issuer = self.issuers.get(&token.issuer).ok_or(TokenRejection::UnknownIssuer)?;
        let key = issuer.key(token.key_wanted()).await?;
        let now = self.clock.wall();
        let claims = Arc::new(checked(token.verify(text, &key)?, now)?);
        self.remember(digest, &claims, text.len(), now);
        Ok(claims)
    }

    /// Returns the claims as if an issuer had signed them.
    ///
    /// # Errors
    /// If a token with these claims would be refused whoever signed it.
    pub(super) fn as_if_verified(&self, mut all: Map<String, Value>) -> Result<TokenClaims, TokenRejection> {
        let now = self.clock.wall();
        all.entry("exp").or_insert_with(|| now.as_second().saturating_add(60).into());
        let claims = checked(all, now)?;
        self.issuers.get(&claims.issuer).ok_or(TokenRejection::UnknownIssuer)?;
        Ok(claims)
    }

    /// Refuses an issuer that the settings no longer name.
    pub(super) fn knows(&self, issuer: &str) -> Result<(), TokenRejection> {
        self.issuers.get(issuer).map(drop).ok_or(TokenRejection::UnknownIssuer)
    }

    /// Refuses a token that was verified earlier and has expired since.
    pub(super) fn is_live(&self, claims: &TokenClaims) -> Result<(), TokenRejection> {
        if self.clock.wall() < claims.expires_at { Ok(()) } else { Err(TokenRejection::Expired) }
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<Arc<TokenClaims>> {
        let known = self.remembered.get(digest)?;
        // Checked by both clocks: setting the wall clock back does not prolong a token.
        let counts = self.clock.monotonic() < known.until && self.is_live(&known.claims).is_ok();
        counts.then(|| Arc::clone(&known.claims))
    }

    fn remember(&self, digest: [u8; 32], claims: &Arc<TokenClaims>, length: usize, now: Timestamp) {
        let left = Duration::try_from(claims.expires_at.duration_since(now)).unwrap_or_default();
        let until = self.clock.monotonic().plus(left.min(VERIFIED_TOKEN_TTL));
        // The parsed form takes several times the length of the text.
        let bytes = u32::try_from(1024 + 4 * length).unwrap_or(u32::MAX);
        self.remembered.insert(digest, Arc::new(VerifiedToken { claims: Arc::clone(claims), until, bytes }));
    }
}

/// The claims of a token before its signature is verified.
struct UnverifiedClaims {
    issuer: String,
    key_id: Option<String>,
    algorithm: Algorithm,
}

/// A token's header (RFC 7515, section 4.1). Duplicate members are refused.
#[derive(Deserialize)]
struct JwtHeader {
    alg: String,
    kid: Option<String>,
    #[serde(default, deserialize_with = "is_there")]
    jku: bool,
    #[serde(default, deserialize_with = "is_there")]
    jwk: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5u: bool,
    #[serde(default, deserialize_with = "is_there")]
    x5c: bool,
    #[serde(default, deserialize_with = "is_there")]
    crit: bool,
}

impl UnverifiedClaims {
    fn key_wanted(&self) -> KeyWanted<'_> {
        KeyWanted { id: self.key_id.as_deref(), algorithm: self.algorithm }
    }

    fn read(text: &str) -> Result<Self, TokenRejection> {
        if text.len() >= TOO_LONG {
            return Err(TokenRejection::TooLong);
        }
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenRejection::NotAJwt);
        };
        let JwtHeader { alg, kid, jku, jwk, x5u, x5c, crit } = part(header)?;
        if jku || jwk || x5u || x5c || crit {
            return Err(TokenRejection::Header);
        }
        let known = ALGORITHMS.iter().find(|(name, _)| *name == alg);
        let (_, algorithm) = *known.ok_or(TokenRejection::Algorithm)?;
        let claims: Map<String, Value> = part(payload)?;
        let issuer =
            claims.get("iss").and_then(Value::as_str).ok_or(TokenRejection::Claim("iss"))?.to_owned();
        Ok(Self { issuer, key_id: kid, algorithm })
    }

    /// Verifies the signature and returns all claims.
    fn verify(&self, text: &str, key: &IssuerKey) -> Result<Map<String, Value>, TokenRejection> {
        let mut validation = Validation::new(self.algorithm);
        validation.set_issuer(&[&self.issuer]);
        // Times are checked by our own clock, and audiences by each trust.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let decoded = decode::<Map<String, Value>>(text, &key.decoding, &validation);
        decoded.map(|decoded| decoded.claims).map_err(|_| TokenRejection::Signature)
    }
}

/// Returns true if the member is present, even as `null`.
fn is_there<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(member).map(|_| true)
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, TokenRejection> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenRejection::NotAJwt)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenRejection::NotAJwt)
}

/// Checks the claims that every token must have.
fn checked(all: Map<String, Value>, now: Timestamp) -> Result<TokenClaims, TokenRejection> {
    let text = |name: &'static str| match all.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(TokenRejection::Claim(name)),
    };
    let expires_at = time(&all, "exp")?.ok_or(TokenRejection::Claim("exp"))?;
    if now >= expires_at {
        return Err(TokenRejection::Expired);
    }
    let soon = now.checked_add(LEEWAY).unwrap_or(Timestamp::MAX);
    for name in ["nbf", "iat"] {
        if time(&all, name)?.is_some_and(|begin| begin > soon) {
            return Err(TokenRejection::NotYet);
        }
    }
    let token_id = match all.get("jti") {
        None | Some(Value::Null) => None,
        Some(_) => Some(text("jti")?),
    };
    let (issuer, subject) = (text("iss")?, text("sub")?);
    Ok(TokenClaims { issuer, subject, audiences: audiences(&all)?, token_id, expires_at, all })
}

/// Reads a NumericDate (RFC 7519, section 2): seconds since 1970, possibly with a fraction. A value beyond the
/// calendar is refused.
fn time(all: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, TokenRejection> {
    let Some(value) = all.get(name) else { return Ok(None) };
    let seconds = value.as_f64().and_then(|seconds| SignedDuration::try_from_secs_f64(seconds).ok());
    let at = seconds.and_then(|seconds| Timestamp::from_duration(seconds).ok());
    at.map(Some).ok_or(TokenRejection::Claim(name))
}

fn audiences(all: &Map<String, Value>) -> Result<Vec<String>, TokenRejection> {
    let texts = match all.get("aud") {
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(Value::Array(values)) => values.iter().map(|value| value.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    texts.filter(|texts| !texts.is_empty()).ok_or(TokenRejection::Claim("aud"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_brings_a_key_along_is_refused_even_where_that_is_null() {
        let read = |header: &str| {
            let [header, claims] =
                [header, r#"{"iss":"a"}"#].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
            UnverifiedClaims::read(&format!("{header}.{claims}.")).map(|token| token.issuer)
        };
        assert_eq!(read(r#"{"alg":"EdDSA"}"#), Ok("a".to_owned()));
        for member in ["jku", "jwk", "x5u", "x5c", "crit"] {
            for value in ["null", "\"\"", "[]"] {
                let header = format!(r#"{{"alg":"EdDSA","{member}":{value}}}"#);
                assert_eq!(read(&header), Err(TokenRejection::Header), "{header}");
            }
        }
    }
}
