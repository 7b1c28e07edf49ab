//! The two JWTs that Box receives: the signed assertion of an app, and the unsigned one that names an annotator.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::domain::id::{BoxId, ClientId};
use crate::domain::restriction::Annotator;
use crate::domain::subject::Subject;
use crate::entropy::{Entropy, random_base62};
use crate::secret::SecretBytes;

/// Signs assertions with one app's private key, RSASSA-PKCS1-v1_5 with SHA-256 (RS256, RFC 7518 section 3.3). The
/// seam behind which a key can be in this process or in a device that it never leaves.
#[async_trait]
pub trait AssertionSigner: Send + Sync + fmt::Debug {
    /// Returns the signature over `message`; it is as long as the key's modulus.
    ///
    /// # Errors
    /// If the key cannot be used or reached.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// The reason why nothing was signed; it never contains a part of the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The stored key is not an RSA key that may sign.
    #[error("the private key is not an RSA key of 2048 to 8192 bits in PKCS#8: register the app's key again")]
    KeyRejected,
    /// The holder of the key did not sign.
    #[error("{0}")]
    Signer(String),
}

/// A signer whose key is in memory, parsed and checked once.
#[derive(Clone)]
pub struct LocalSigner(Arc<KeyPair>);

impl LocalSigner {
    /// Creates a signer from an unencrypted PKCS#8 document in DER. This takes a few milliseconds.
    ///
    /// # Errors
    /// If the document does not contain a valid RSA key of 2048 to 8192 bits.
    pub fn from_pkcs8(der: &SecretBytes) -> Result<Self, SigningError> {
        let pair = KeyPair::from_pkcs8(der.expose()).map_err(|_| SigningError::KeyRejected)?;
        Ok(Self(Arc::new(pair)))
    }
}

impl fmt::Debug for LocalSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalSigner(RSA {})", self.0.public_modulus_len() * 8)
    }
}

#[async_trait]
impl AssertionSigner for LocalSigner {
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let (pair, message) = (Arc::clone(&self.0), message.to_vec());
        // A signature takes about a millisecond with 2048 bits and several with 4096. On a worker thread,
        // a warm request would wait for it. Handing it to another thread costs some microseconds, and the
        // mints in flight bound the number of such threads.
        let signing = tokio::task::spawn_blocking(move || {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).map(|()| signature)
        });
        match signing.await {
            Ok(Ok(signature)) => Ok(signature),
            Ok(Err(_)) | Err(_) => {
                Err(SigningError::Signer("the RSA operation failed: restart the broker".to_owned()))
            }
        }
    }
}

/// Box demands its own token endpoint here, whatever host is called.
const AUDIENCE: &str = "https://api.box.com/oauth2/token";

/// The lifetime of our JWTs. Box allows 60 s by its own clock and its SDKs use 30 s; the rest is for clocks that
/// differ.
const LIFE: std::time::Duration = std::time::Duration::from_secs(30);

/// The length of a `jti` in characters. Box accepts 16 to 128.
const JTI_LENGTH: usize = 32;

/// An unsigned JWT. Each attempt needs a new one, because Box accepts no `jti` twice.
///
/// There is no `iat` and no `nbf`: Box allows no skew on them.
#[derive(Serialize)]
struct AssertionClaims<'a> {
    iss: &'a str,
    sub: &'a str,
    box_sub_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    aud: &'static str,
    jti: String,
    exp: i64,
}

impl<'a> AssertionClaims<'a> {
    fn new(
        client_id: &'a ClientId,
        (box_sub_type, sub): (&'static str, &'a str),
        box_now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Self {
        let exp = box_now.checked_add(LIFE).unwrap_or(Timestamp::MAX).as_second();
        let jti = random_base62(entropy, JTI_LENGTH);
        Self { iss: client_id.as_str(), sub, box_sub_type, name: None, aud: AUDIENCE, jti, exp }
    }
}

/// Creates an assertion for `subject`, valid for 30 s from `box_now`, which is Box's time as far as it is known.
///
/// # Errors
/// If the signer fails.
pub(super) async fn assertion(
    client_id: &ClientId,
    public_key_id: &str,
    signer: &dyn AssertionSigner,
    (kind, id): (&'static str, &BoxId),
    box_now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<Zeroizing<String>, SigningError> {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(public_key_id.to_owned());
    let claims = AssertionClaims::new(client_id, (kind, id.as_str()), box_now, entropy);
    let mut jwt = Zeroizing::new(signing_input(&header, &claims));
    let signature = signer.sign(jwt.as_bytes()).await?;
    jwt.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut jwt);
    Ok(jwt)
}

/// Creates the unsigned JWT that gives Box the name beside annotations ("annotator token").
pub(super) fn actor_token(
    client_id: &ClientId,
    annotator: &Annotator,
    box_now: Timestamp,
    entropy: &dyn Entropy,
) -> String {
    #[derive(Serialize)]
    struct Unsigned {
        alg: &'static str,
        typ: &'static str,
    }

    let mut claims = AssertionClaims::new(client_id, ("external", &annotator.id), box_now, entropy);
    claims.name = Some(&annotator.name);
    let mut jwt = signing_input(&Unsigned { alg: "none", typ: "JWT" }, &claims);
    jwt.push('.');
    jwt
}

/// Returns Box's name for the kind of a subject, and its ID.
pub(super) fn subject_of<'a>(enterprise: &'a BoxId, subject: &'a Subject) -> (&'static str, &'a BoxId) {
    match subject {
        Subject::Enterprise {} => ("enterprise", enterprise),
        Subject::User { id } => ("user", id),
    }
}

/// Returns the compact form up to the second dot, which is what gets signed (RFC 7515, section 5.1).
fn signing_input(header: &impl Serialize, claims: &AssertionClaims<'_>) -> String {
    // Structs of texts and numbers always serialise.
    let part = |json: serde_json::Result<Vec<u8>>| BASE64URL_NOPAD.encode(&json.unwrap_or_default());
    let mut input = part(serde_json::to_vec(header));
    input.push('.');
    input.push_str(&part(serde_json::to_vec(claims)));
    input
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[derive(Debug)]
    struct NoSigner;

    #[async_trait]
    impl AssertionSigner for NoSigner {
        async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SigningError> {
            Ok(b"signature".to_vec())
        }
    }

    fn part(jwt: &str, index: usize) -> serde_json::Value {
        let part = jwt.split('.').nth(index).unwrap();
        serde_json::from_slice(&BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).unwrap()
    }

    fn client_id() -> ClientId {
        ClientId::parse("client1").unwrap()
    }

    const NOW: Timestamp = Timestamp::constant(1_790_000_000, 999_999_999);

    #[tokio::test]
    async fn an_assertion_says_what_box_wants_and_no_more() {
        let id = BoxId::parse("12345").unwrap();
        let subject = ("enterprise", &id);
        let jwt = assertion(&client_id(), "kid1", &NoSigner, subject, NOW, &SystemEntropy).await.unwrap();
        assert_eq!(part(&jwt, 0), serde_json::json!({"typ": "JWT", "alg": "RS256", "kid": "kid1"}));
        let mut claims = part(&jwt, 1);
        let jti = claims.as_object_mut().unwrap().remove("jti").unwrap();
        assert_eq!(
            claims,
            serde_json::json!({
                "iss": "client1", "sub": "12345", "box_sub_type": "enterprise",
                "aud": "https://api.box.com/oauth2/token", "exp": 1_790_000_030,
            })
        );
        let jti = jti.as_str().unwrap();
        assert!(jti.len() == 32 && jti.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{jti}");
        assert_eq!(jwt.split('.').nth(2), Some(BASE64URL_NOPAD.encode(b"signature").as_str()));
    }

    #[test]
    fn hostile_annotator_names_stay_inside_their_claims() {
        let name = "\",\"sub\":\"1\",\"x\":\"\\ é";
        let annotator = Annotator::new("external.\"7", name).unwrap();
        let jwt = actor_token(&client_id(), &annotator, NOW, &SystemEntropy);
        assert!(jwt.ends_with('.') && jwt.matches('.').count() == 2);
        assert_eq!(part(&jwt, 0), serde_json::json!({"alg": "none", "typ": "JWT"}));
        let claims = part(&jwt, 1);
        assert_eq!(claims["name"], name);
        assert_eq!(claims["sub"], "external.\"7");
        assert_eq!(claims["box_sub_type"], "external");
        assert_eq!(claims.as_object().unwrap().len(), 7);
    }
}
