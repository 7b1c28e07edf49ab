//! Verification of assertions, as strict as Box documents it (RFC 7523, and Box's guide to JWT without SDKs).

use axum::http::StatusCode;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::Value;

use crate::config::PublicKey;
use crate::http::ErrorResponse;
use crate::jwt::UnverifiedJwt;
use crate::state::{JtiError, JtiRegistry};
use crate::tokens::TokenSubject;
use crate::world::BoxApp;

/// The only audience that Box accepts, no matter which host is called.
const AUDIENCE: &str = "https://api.box.com/oauth2/token";

/// The longest time from now until an assertion expires, in seconds.
const MAX_LIFETIME: f64 = 60.0;

/// Verifies the assertion of an authenticated client and uses up its `jti`. Returns the subject of the token.
///
/// This takes one RSA verification, during which no lock is held.
pub(super) fn verify(
    app: &BoxApp,
    text: &str,
    now: Timestamp,
    used_jtis: &JtiRegistry,
) -> Result<TokenSubject, ErrorResponse> {
    let jwt =
        UnverifiedJwt::decode(text).ok_or_else(|| invalid_grant("The assertion is not a signed JWT"))?;
    let algorithm = match jwt.header_parameter("alg") {
        Some("RS256") => Algorithm::RS256,
        Some("RS384") => Algorithm::RS384,
        Some("RS512") => Algorithm::RS512,
        _ => return Err(invalid_grant("Please check the 'alg' header. It must be RS256, RS384 or RS512")),
    };
    if jwt.claim("iss") != Some(app.client_id.as_str()) {
        return Err(invalid_claim("iss"));
    }
    verify_signature(select_key(app, &jwt)?, algorithm, &jwt)?;
    if jwt.claim("aud") != Some(AUDIENCE) {
        return Err(invalid_claim("aud"));
    }
    let exp = check_times(&jwt, now)?;
    use_jti(&app.client_id, &jwt, exp, now, used_jtis)?;
    subject(&jwt)
}

/// Verifies the unsigned ID token that names an annotator. Returns the external user's id.
pub(super) fn verify_annotator(
    client_id: &str,
    text: &str,
    now: Timestamp,
    used_jtis: &JtiRegistry,
) -> Result<String, ErrorResponse> {
    let invalid = |problem: &str| invalid_grant(format!("Please check the 'actor_token'. {problem}"));
    let jwt = UnverifiedJwt::decode(text).ok_or_else(|| invalid("It is not a JWT"))?;
    if jwt.header_parameter("alg") != Some("none") || !jwt.signature.is_empty() {
        return Err(invalid("It must be unsigned, with 'alg' none and a trailing dot"));
    }
    if jwt.claim("iss") != Some(client_id) {
        return Err(invalid("The 'iss' specified is invalid"));
    }
    if jwt.claim("aud") != Some(AUDIENCE) {
        return Err(invalid("The 'aud' specified is invalid"));
    }
    if jwt.claim("box_sub_type") != Some("external") {
        return Err(invalid("The 'box_sub_type' must be external"));
    }
    if jwt.claims.get("name").is_some_and(|name| !name.is_string()) {
        return Err(invalid("The 'name' must be a string"));
    }
    let sub = jwt.claim("sub").filter(|sub| !sub.is_empty());
    let sub = sub.ok_or_else(|| invalid("The 'sub' specified is invalid"))?;
    let exp = check_times(&jwt, now)?;
    use_jti(client_id, &jwt, exp, now, used_jtis)?;
    Ok(sub.to_owned())
}

/// Returns the error for a `sub` that names nobody.
pub(super) fn invalid_sub() -> ErrorResponse {
    invalid_claim("sub")
}

fn invalid_claim(claim: &str) -> ErrorResponse {
    invalid_grant(format!("Please check the '{claim}' claim. The '{claim}' specified is invalid"))
}

fn invalid_grant(description: impl Into<String>) -> ErrorResponse {
    ErrorResponse::oauth("invalid_grant", description)
}

fn subject(jwt: &UnverifiedJwt<'_>) -> Result<TokenSubject, ErrorResponse> {
    let id = jwt.claim("sub").ok_or_else(invalid_sub)?;
    match jwt.claim("box_sub_type") {
        Some("enterprise") => Ok(TokenSubject::Enterprise(id.to_owned())),
        Some("user") => Ok(TokenSubject::User(id.to_owned())),
        _ => Err(invalid_claim("box_sub_type")),
    }
}

/// Returns the key that the header names. If it names none, as in two of the official SDKs, returns the app's only key.
fn select_key<'a>(app: &'a BoxApp, jwt: &UnverifiedJwt<'_>) -> Result<&'a PublicKey, ErrorResponse> {
    let key = match (jwt.header.get("kid"), app.keys.as_slice()) {
        (None, [only]) => Some(only),
        (Some(Value::String(kid)), keys) => keys.iter().find(|key| &key.kid == kid),
        _ => None,
    };
    key.ok_or_else(|| invalid_grant("'kid' invalid, unable to lookup correct key"))
}

fn verify_signature(
    key: &PublicKey,
    algorithm: Algorithm,
    jwt: &UnverifiedJwt<'_>,
) -> Result<(), ErrorResponse> {
    let key = DecodingKey::from_rsa_der(&key.der);
    match jsonwebtoken::crypto::verify(jwt.signature, jwt.signed.as_bytes(), &key, algorithm) {
        Ok(true) => Ok(()),
        _ => Err(invalid_grant(
            "Signature verification error. The public key identified by 'kid' must correspond to the private \
             key used to sign",
        )),
    }
}

/// Checks `exp`, `iat` and `nbf`, and returns `exp`. Box allows no clock skew: `exp` must be at most 60 s after
/// now, and the other two must not be after now.
fn check_times(jwt: &UnverifiedJwt<'_>, now: Timestamp) -> Result<i64, ErrorResponse> {
    let seconds = now.as_duration().as_secs_f64();
    let Some(exp) = jwt.claims.get("exp").and_then(Value::as_f64) else {
        return Err(invalid_claim("exp"));
    };
    if exp > seconds + MAX_LIFETIME {
        return Err(invalid_grant(
            "Please check the 'exp' claim. The 'exp' value exceeds the maximum of 60 seconds from now",
        ));
    }
    if exp <= seconds {
        return Err(invalid_grant(
            "Please check the 'exp' claim. Current date/time MUST be before the expiration date/time listed in \
             the 'exp' claim",
        ));
    }
    for claim in ["iat", "nbf"] {
        let Some(value) = jwt.claims.get(claim) else { continue };
        if value.as_f64().is_none_or(|time| time > seconds) {
            return Err(invalid_grant(format!(
                "Please check the '{claim}' claim. It must be a time that has passed"
            )));
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is within a minute of now")]
    Ok(exp.ceil() as i64)
}

fn use_jti(
    client_id: &str,
    jwt: &UnverifiedJwt<'_>,
    exp: i64,
    now: Timestamp,
    used_jtis: &JtiRegistry,
) -> Result<(), ErrorResponse> {
    let jti = jwt.claim("jti").filter(|jti| (16..=128).contains(&jti.chars().count()));
    let jti = jti.ok_or_else(|| {
        invalid_grant("Please check the 'jti' claim. The 'jti' specified must have 16 to 128 characters")
    })?;
    used_jtis.use_once(client_id, jti, exp, now).map_err(|error| match error {
        JtiError::Replayed => invalid_grant("Please check the 'jti' claim. A unique 'jti' value is required"),
        JtiError::RegistryFull => {
            invalid_grant("The sandbox remembers as many 'jti' values as it can: slow down")
                .with_status(StatusCode::SERVICE_UNAVAILABLE)
        }
    })
}
