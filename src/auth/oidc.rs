//! Tokens of OIDC issuers (RFC 7519, OpenID Connect Core 1.0 section 2): read, verified, remembered.

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

/// A token of so many bytes, or more, is not looked at.
const TOO_LONG: usize = 8 * 1024;
/// How far ahead of ours an issuer's clock may be. There is no such allowance at a token's end.
const LEEWAY: SignedDuration = SignedDuration::from_secs(60);
/// How long a verified token is remembered at most.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);
/// How many bytes of verified tokens are remembered; each counts for at least a kilobyte.
const MEMORY: u64 = 32 * 1024 * 1024;

/// The algorithms that a token may be signed with. No symmetric one is among them: whoever could verify
/// with it could sign.
const ALGORITHMS: [(&str, Algorithm); 6] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// What a token says that was signed with a key of `set`, the document of an issuer (RFC 7517), judged
/// at `now`. Nothing is fetched and nothing remembered.
///
/// # Errors
/// Why it is none that counts.
pub fn verified(text: &str, set: &[u8], now: Timestamp) -> Result<TokenClaims, TokenRejection> {
    let token = UnverifiedClaims::read(text)?;
    let key = key_in(set, token.key_wanted())?;
    checked(token.verify(text, &key)?, now)
}

/// Verifies tokens. A verified one is remembered by its SHA-256, so that nobody's signature is verified
/// for every request.
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

    /// What a token says, where an issuer of the settings says it.
    ///
    /// # Errors
    /// [`AuthError::Token`] where it is none that counts, [`AuthError::IssuerUnavailable`] where that cannot be
    /// said at the moment.
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

    /// What a token would say that says this, had its issuer signed it.
    ///
    /// # Errors
    /// Where it would be refused all the same.
    pub(super) fn as_if_verified(&self, mut all: Map<String, Value>) -> Result<TokenClaims, TokenRejection> {
        let now = self.clock.wall();
        all.entry("exp").or_insert_with(|| now.as_second().saturating_add(60).into());
        let claims = checked(all, now)?;
        self.issuers.get(&claims.issuer).ok_or(TokenRejection::UnknownIssuer)?;
        Ok(claims)
    }

    /// Refuses what hangs on an issuer that the settings do not name any more.
    pub(super) fn knows(&self, issuer: &str) -> Result<(), TokenRejection> {
        self.issuers.get(issuer).map(drop).ok_or(TokenRejection::UnknownIssuer)
    }

    /// Refuses a token that was verified before and has ended since.
    pub(super) fn is_live(&self, claims: &TokenClaims) -> Result<(), TokenRejection> {
        if self.clock.wall() < claims.expires_at { Ok(()) } else { Err(TokenRejection::Expired) }
    }

    fn recall(&self, digest: &[u8; 32]) -> Option<Arc<TokenClaims>> {
        let known = self.remembered.get(digest)?;
        // By both clocks: a wall clock that was set back prolongs nothing.
        let counts = self.clock.monotonic() < known.until && self.is_live(&known.claims).is_ok();
        counts.then(|| Arc::clone(&known.claims))
    }

    fn remember(&self, digest: [u8; 32], claims: &Arc<TokenClaims>, length: usize, now: Timestamp) {
        let left = Duration::try_from(claims.expires_at.duration_since(now)).unwrap_or_default();
        let until = self.clock.monotonic().plus(left.min(REMEMBERED));
        // Parsed, a text takes several times its length.
        let bytes = u32::try_from(1024 + 4 * length).unwrap_or(u32::MAX);
        self.remembered.insert(digest, Arc::new(VerifiedToken { claims: Arc::clone(claims), until, bytes }));
    }
}

/// What a token says of itself, before anything of it is believed.
struct UnverifiedClaims {
    issuer: String,
    key_id: Option<String>,
    algorithm: Algorithm,
}

/// A token's header (RFC 7515, section 4.1). Members that stand twice are refused.
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

    /// All that it says, where the key's owner says it.
    fn verify(&self, text: &str, key: &IssuerKey) -> Result<Map<String, Value>, TokenRejection> {
        let mut validation = Validation::new(self.algorithm);
        validation.set_issuer(&[&self.issuer]);
        // Times are judged by our own clock, and audiences by each trust.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        let decoded = decode::<Map<String, Value>>(text, &key.decoding, &validation);
        decoded.map(|decoded| decoded.claims).map_err(|_| TokenRejection::Signature)
    }
}

/// True for whatever stands there, `null` too.
fn is_there<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(member).map(|_| true)
}

fn part<T: DeserializeOwned>(text: &str) -> Result<T, TokenRejection> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenRejection::NotAJwt)?;
    serde_json::from_slice(&bytes).map_err(|_| TokenRejection::NotAJwt)
}

/// The claims that every token must have, judged at this moment.
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

/// A NumericDate (RFC 7519, section 2): seconds since 1970, perhaps with a fraction. What lies beyond all
/// calendars is no date.
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
