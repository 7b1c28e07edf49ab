//! An OIDC issuer on loopback: it signs with real keys, publishes them, counts who asks, and fails as
//! it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKey, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512,
};
use aws_lc_rs::{hmac, signature};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// RSA keys take long to make, so all tests share them.
static RSA: LazyLock<[Signer; 2]> = LazyLock::new(|| [(); 2].map(|()| Signer::new_rsa()));

/// A private key of an issuer.
#[derive(Clone)]
pub(crate) enum Signer {
    Rsa(Arc<RsaKey>),
    P256(Arc<EcdsaKeyPair>),
    P384(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
    /// A secret that both sides would have to know.
    Secret(Vec<u8>),
    /// No signature at all.
    None,
}

impl Signer {
    fn new_rsa() -> Self {
        Self::Rsa(Arc::new(RsaKey::generate(KeySize::Rsa2048).unwrap()))
    }

    /// One of two RSA keys of 2048 bits.
    pub(crate) fn rsa(number: usize) -> Self {
        RSA[number].clone()
    }

    pub(crate) fn p256() -> Self {
        Self::P256(Arc::new(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()))
    }

    pub(crate) fn p384() -> Self {
        Self::P384(Arc::new(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap()))
    }

    pub(crate) fn ed25519() -> Self {
        Self::Ed25519(Arc::new(Ed25519KeyPair::generate().unwrap()))
    }

    /// The public half as a JWK.
    pub(crate) fn jwk(&self, id: &str) -> Value {
        let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        let point = |curve: &str, bytes: &[u8]| {
            let (x, y) = bytes[1..].split_at((bytes.len() - 1) / 2);
            json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y), "use": "sig", "kid": id })
        };
        match self {
            Self::Rsa(key) => {
                let public = key.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
                json!({ "kty": "RSA", "n": text(n), "e": text(e), "use": "sig", "kid": id })
            }
            Self::P256(key) => point("P-256", key.public_key().as_ref()),
            Self::P384(key) => point("P-384", key.public_key().as_ref()),
            Self::Ed25519(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": text(key.public_key().as_ref()), "kid": id })
            }
            Self::Secret(secret) => json!({ "kty": "oct", "k": text(secret), "kid": id }),
            Self::None => json!({ "kty": "none", "kid": id }),
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::Rsa(key) => {
                let padding: &dyn signature::RsaEncoding = match algorithm {
                    "RS384" => &RSA_PKCS1_SHA384,
                    "RS512" => &RSA_PKCS1_SHA512,
                    _ => &RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(padding, &random, message, &mut signature).unwrap();
                signature
            }
            Self::P256(key) | Self::P384(key) => key.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(key) => key.sign(message).as_ref().to_vec(),
            Self::Secret(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
                hmac::sign(&key, message).as_ref().to_vec()
            }
            Self::None => Vec::new(),
        }
    }
}

/// A token in its compact form: this header and these claims, signed as the header's `alg` says.
pub(crate) fn token(header: &Value, claims: &Value, signer: &Signer) -> String {
    let part = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = signer.sign(header["alg"].as_str().unwrap_or_default(), message.as_bytes());
    format!("{message}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// How the issuer answers.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// As it should.
    Well,
    /// With this status, header lines and body, whatever is asked.
    So(u16, String, String),
    /// With a discovery document of these fields beside its own.
    Discovery(Value),
    /// Not at all: connections are taken and nothing is said.
    Silent,
}

/// An issuer that runs.
pub(crate) struct Issuer {
    url: String,
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    keys: Mutex<Vec<Value>>,
    manner: Mutex<Manner>,
    connections: AtomicUsize,
    key_sets: AtomicUsize,
    served: Notify,
}

impl Issuer {
    /// Starts an issuer that publishes these keys.
    pub(crate) async fn start(keys: Vec<Value>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            url: url.clone(),
            keys: Mutex::new(keys),
            manner: Mutex::new(Manner::Well),
            connections: AtomicUsize::new(0),
            key_sets: AtomicUsize::new(0),
            served: Notify::new(),
        });
        let accepting = shared.clone();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepting.connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(answer(accepting.clone(), stream));
            }
        });
        Self { url, shared }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// `auth.oidc` with this issuer alone.
    pub(crate) fn setting(&self) -> String {
        json!([{ "issuer": self.url, "allow_private": true }]).to_string()
    }

    /// Publishes these keys from now on.
    pub(crate) fn publish(&self, keys: Vec<Value>) {
        *self.shared.keys.lock().unwrap() = keys;
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// How many key sets were given.
    pub(crate) fn key_sets(&self) -> usize {
        self.shared.key_sets.load(Ordering::SeqCst)
    }

    /// Waits until so many key sets were given in all.
    pub(crate) async fn has_given(&self, key_sets: usize) {
        loop {
            let served = self.shared.served.notified();
            if self.key_sets() >= key_sets {
                return;
            }
            served.await;
        }
    }
}

async fn answer(shared: Arc<Shared>, mut stream: TcpStream) {
    let mut bytes = Vec::new();
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    let manner = shared.manner.lock().unwrap().clone();
    let jwks = json!({ "keys": *shared.keys.lock().unwrap() }).to_string();
    let mut discovery = json!({ "issuer": shared.url, "jwks_uri": format!("{}/jwks", shared.url) });
    let (status, lines, body) = match (manner, path) {
        (Manner::Silent, _) => {
            // Until the other side hangs up.
            let _ = stream.read_buf(&mut bytes).await;
            return;
        }
        (Manner::So(status, lines, body), _) => (status, lines, body),
        (Manner::Well | Manner::Discovery(_), "/jwks") => {
            shared.key_sets.fetch_add(1, Ordering::SeqCst);
            (200, String::new(), jwks)
        }
        (Manner::Discovery(fields), _) => {
            discovery.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            (200, String::new(), discovery.to_string())
        }
        (Manner::Well, "/.well-known/openid-configuration") => (200, String::new(), discovery.to_string()),
        (Manner::Well, _) => (404, String::new(), String::new()),
    };
    let head =
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{lines}\r\n", body.len());
    // The client hangs up on what it does not want to read to its end.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body.as_bytes()).await;
    shared.served.notify_waiters();
}
