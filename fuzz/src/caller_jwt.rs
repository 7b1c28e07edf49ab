//! Tokens of OIDC issuers, and the key sets that issuers publish. The first line of the input says
//! which:
//!
//! - `token`: a token as somebody presents it;
//! - `signed`: a header in one line, then the claims, which the issuer signs as they stand;
//! - `keys`: a key set, by which a token that the issuer signed is verified.

use std::sync::LazyLock;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use box_token_broker::auth::oidc::verified;
use box_token_broker::domain::trust::TokenClaims;
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// The issuer, whose key nobody else has.
struct Issuer {
    key: Ed25519KeyPair,
    public: String,
    set: Vec<u8>,
    token: String,
}

static ISSUER: LazyLock<Issuer> = LazyLock::new(issuer);
/// 2026-01-01T00:00:00Z, in seconds of Unix time.
const NOW: i64 = 1_767_225_600;

/// Nothing counts that the issuer did not sign, and of that only what its header and its times allow.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match text.split_once('\n') {
        Some(("token", token)) => check(token.trim(), &ISSUER.set),
        Some(("signed", parts)) => {
            let (header, claims) = parts.split_once('\n').unwrap_or((parts, ""));
            check(&ISSUER.signed(header, claims), &ISSUER.set);
        }
        Some(("keys", set)) => check_keys(set),
        _ => {}
    }
}

impl Issuer {
    fn signed(&self, header: &str, claims: &str) -> String {
        let [header, claims] = [header, claims].map(|part| BASE64URL_NOPAD.encode(part.as_bytes()));
        self.completed(&format!("{header}.{claims}"))
    }

    /// Ed25519 has one signature for each text.
    fn completed(&self, body: &str) -> String {
        format!("{body}.{}", BASE64URL_NOPAD.encode(self.key.sign(body.as_bytes()).as_ref()))
    }
}

fn check(token: &str, set: &[u8]) {
    let Ok(claims) = verified(token, set, now()) else { return };
    let Some((body, _)) = token.rsplit_once('.') else { panic!("{token} has no signature") };
    assert_eq!(token, ISSUER.completed(body), "the issuer signed it");
    assert!(token.len() < 8 * 1024);
    let parts: Vec<_> = body.split('.').map(object).collect();
    let [header, payload] = &*parts else { panic!("{body} has two parts") };
    assert_eq!(header["alg"], "EdDSA");
    for member in ["jku", "jwk", "x5u", "x5c", "crit"] {
        assert!(!header.contains_key(member), "{member}");
    }
    check_claims(&claims, payload);
}

fn check_claims(claims: &TokenClaims, payload: &Map<String, Value>) {
    assert_eq!(&claims.all, payload);
    assert_eq!((&payload["iss"], &payload["sub"]), (&json!(claims.issuer), &json!(claims.subject)));
    assert!(!claims.issuer.is_empty() && !claims.subject.is_empty());
    let audiences = json!(claims.audiences);
    assert!(payload["aud"] == audiences || json!([payload["aud"]]) == audiences, "{audiences}");
    assert!(!claims.audiences.is_empty());
    assert!(claims.expires_at > now());
    let seconds = |name: &str| payload.get(name).and_then(Value::as_f64);
    assert!(seconds("exp").is_some_and(|end| end > NOW as f64));
    for name in ["nbf", "iat"] {
        assert!(!payload.contains_key(name) || seconds(name).is_some_and(|begin| begin <= NOW as f64 + 60.0));
    }
}

/// A set without the issuer's key verifies nothing of it.
fn check_keys(set: &str) {
    if verified(&ISSUER.token, set.as_bytes(), now()).is_ok() {
        let Ok(set) = serde_json::from_str::<Value>(set) else { panic!("a set is JSON") };
        let keys = set["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert!(keys.iter().any(|key| key["x"] == ISSUER.public), "the issuer's key is in it");
    }
}

fn object(part: &str) -> Map<String, Value> {
    let bytes = BASE64URL_NOPAD.decode(part.as_bytes()).unwrap_or_default();
    let Ok(object) = serde_json::from_slice(&bytes) else { panic!("{part} is an object") };
    object
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap_or_default()
}

fn issuer() -> Issuer {
    let Ok(key) = Ed25519KeyPair::from_seed_unchecked(&[7; 32]) else { panic!("32 bytes are a seed") };
    let public = BASE64URL_NOPAD.encode(key.public_key().as_ref());
    let set = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": "a", "x": public }] });
    let issuer = Issuer { key, public, set: set.to_string().into_bytes(), token: String::new() };
    let claims = json!({ "iss": "https://issuer.example", "sub": "job", "aud": "broker", "exp": NOW + 600 });
    let token = issuer.signed(r#"{"alg":"EdDSA","kid":"a"}"#, &claims.to_string());
    Issuer { token, ..issuer }
}

/// The token that counts, as a seed.
#[must_use]
pub fn token() -> String {
    format!("token\n{}", ISSUER.token)
}

/// Whether a seed says what the issuer would sign and the broker believes.
#[must_use]
pub fn is_believed(seed: &str) -> bool {
    let token = match seed.split_once('\n') {
        Some(("token", token)) => token.trim().to_owned(),
        Some(("signed", parts)) => parts.split_once('\n').map_or(String::new(), |(a, b)| ISSUER.signed(a, b)),
        _ => return false,
    };
    verified(&token, &ISSUER.set, now()).is_ok()
}
