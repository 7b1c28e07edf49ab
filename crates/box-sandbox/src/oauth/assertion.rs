//! Checks an assertion as strictly as Box documents it (RFC 7523, and Box's guide to JWT without
//! SDKs).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};

use crate::http::error::Refusal;
use crate::state::jti_registry::{NotFresh, Replays};
use crate::tokens::Subject;
use crate::world::app::{App, PublicKey};

/// The only audience that Box accepts, whatever host was called.
pub(crate) const AUDIENCE: &str = "https://api.box.com/oauth2/token";

/// How many seconds after now an assertion may expire.
const LONGEST: f64 = 60.0;

/// Verifies the assertion of a client whose secret was right, takes its `jti`, and answers with
/// whom it speaks for. Costs one RSA verification; holds no lock during it.
pub(crate) fn verify(app: &App, text: &str, now: Timestamp, replays: &Replays) -> Result<Subject, Refusal> {
    let parts = Parts::split(text).ok_or_else(|| invalid("The assertion is not a signed JWT"))?;
    let algorithm = match parts.header.get("alg").and_then(Value::as_str) {
        Some("RS256") => Algorithm::RS256,
        Some("RS384") => Algorithm::RS384,
        Some("RS512") => Algorithm::RS512,
        _ => return Err(invalid("Please check the 'alg' header. It must be RS256, RS384 or RS512")),
    };
    if parts.text("iss") != Some(app.client_id.as_str()) {
        return Err(invalid("Please check the 'iss' claim. The 'iss' specified is invalid"));
    }
    check_signature(key(app, &parts.header)?, algorithm, &parts)?;
    if parts.text("aud") != Some(AUDIENCE) {
        return Err(invalid("Please check the 'aud' claim. The 'aud' specified is invalid"));
    }
    let exp = check_times(&parts, now)?;
    take_jti(&app.client_id, &parts, exp, now, replays)?;
    subject(&parts)
}

/// The subject as the claims have it, on either side of a check that may still fail.
fn subject(parts: &Parts<'_>) -> Result<Subject, Refusal> {
    let id = parts
        .text("sub")
        .ok_or_else(|| invalid("Please check the 'sub' claim. The 'sub' specified is invalid"))?;
    match parts.text("box_sub_type") {
        Some("enterprise") => Ok(Subject::Enterprise(id.to_owned())),
        Some("user") => Ok(Subject::User(id.to_owned())),
        _ => Err(invalid("Please check the 'box_sub_type' claim. The 'box_sub_type' specified is invalid")),
    }
}

/// Checks the unsigned ID token that names an annotator, and answers with the external user's id.
pub(crate) fn annotator(
    client_id: &str,
    text: &str,
    now: Timestamp,
    replays: &Replays,
) -> Result<String, Refusal> {
    let check = |problem: &str| invalid(format!("Please check the 'actor_token'. {problem}"));
    let parts = Parts::split(text).ok_or_else(|| check("It is not a JWT"))?;
    if parts.header.get("alg").and_then(Value::as_str) != Some("none") || !parts.signature.is_empty() {
        return Err(check("It must be unsigned, with 'alg' none and a trailing dot"));
    }
    if parts.text("iss") != Some(client_id) {
        return Err(check("The 'iss' specified is invalid"));
    }
    if parts.text("aud") != Some(AUDIENCE) {
        return Err(check("The 'aud' specified is invalid"));
    }
    if parts.text("box_sub_type") != Some("external") {
        return Err(check("The 'box_sub_type' must be external"));
    }
    if parts.claims.get("name").is_some_and(|name| !name.is_string()) {
        return Err(check("The 'name' must be a string"));
    }
    let sub = parts.text("sub").filter(|sub| !sub.is_empty());
    let sub = sub.ok_or_else(|| check("The 'sub' specified is invalid"))?;
    let exp = check_times(&parts, now)?;
    take_jti(client_id, &parts, exp, now, replays)?;
    Ok(sub.to_owned())
}

/// The three parts of a compact JWT (RFC 7515, section 7.1), decoded but not believed.
pub(crate) struct Parts<'a> {
    pub(crate) header: Map<String, Value>,
    pub(crate) claims: Map<String, Value>,
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a JWT apart; nothing where it is none.
    pub(crate) fn split(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        Some(Self { header: object(header)?, claims: object(claims)?, signed, signature })
    }

    /// A claim, where it is a string.
    pub(crate) fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn invalid(description: impl Into<String>) -> Refusal {
    Refusal::grant("invalid_grant", description)
}

/// The key that the header names; the app's only one where it names none, as two official SDKs do.
fn key<'a>(app: &'a App, header: &Map<String, Value>) -> Result<&'a PublicKey, Refusal> {
    let found = match (header.get("kid"), app.keys.as_slice()) {
        (None, [only]) => Some(only),
        (Some(Value::String(kid)), keys) => keys.iter().find(|key| &key.kid == kid),
        _ => None,
    };
    found.ok_or_else(|| invalid("'kid' invalid, unable to lookup correct key"))
}

fn check_signature(key: &PublicKey, algorithm: Algorithm, parts: &Parts<'_>) -> Result<(), Refusal> {
    let public = DecodingKey::from_rsa_der(&key.der);
    match jsonwebtoken::crypto::verify(parts.signature, parts.signed.as_bytes(), &public, algorithm) {
        Ok(true) => Ok(()),
        _ => Err(invalid(
            "Signature verification error. The public key identified by 'kid' must correspond to the private \
             key used to sign",
        )),
    }
}

/// Box allows no skew: `exp` lies after now and at most 60 s after it, `iat` and `nbf` not after it.
fn check_times(parts: &Parts<'_>, now: Timestamp) -> Result<i64, Refusal> {
    let seconds = now.as_duration().as_secs_f64();
    let Some(exp) = parts.claims.get("exp").and_then(Value::as_f64) else {
        return Err(invalid("Please check the 'exp' claim. The 'exp' specified is invalid"));
    };
    if exp > seconds + LONGEST {
        return Err(invalid(
            "Please check the 'exp' claim. The 'exp' value exceeds the maximum of 60 seconds from now",
        ));
    }
    if exp <= seconds {
        return Err(invalid(
            "Please check the 'exp' claim. Current date/time MUST be before the expiration date/time listed in \
             the 'exp' claim",
        ));
    }
    for claim in ["iat", "nbf"] {
        let Some(value) = parts.claims.get(claim) else { continue };
        if value.as_f64().is_none_or(|time| time > seconds) {
            return Err(invalid(format!(
                "Please check the '{claim}' claim. It must be a time that has passed"
            )));
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "it lies within a minute of now")]
    Ok(exp.ceil() as i64)
}

fn take_jti(
    client_id: &str,
    parts: &Parts<'_>,
    exp: i64,
    now: Timestamp,
    replays: &Replays,
) -> Result<(), Refusal> {
    let jti = parts.text("jti").filter(|jti| (16..=128).contains(&jti.chars().count()));
    let jti = jti.ok_or_else(|| {
        invalid("Please check the 'jti' claim. The 'jti' specified must have 16 to 128 characters")
    })?;
    replays.take(client_id, jti, exp, now).map_err(|problem| match problem {
        NotFresh::Replayed => invalid("Please check the 'jti' claim. A unique 'jti' value is required"),
        NotFresh::Full => invalid("The sandbox remembers as many 'jti' values as it can: slow down")
            .with_status(axum::http::StatusCode::SERVICE_UNAVAILABLE),
    })
}
