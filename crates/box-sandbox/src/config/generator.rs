//! Makes app configs as Box's developer console hands them out, with fresh keys.

use std::fmt;

use rsa::pkcs8::der::asn1::OctetString;
use rsa::pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Pbkdf2Params, Pbkdf2Prf, Salt};
use rsa::pkcs8::{
    EncodePrivateKey as _, EncodePublicKey as _, EncryptedPrivateKeyInfoOwned, LineEnding, SecretDocument,
};
use serde_json::json;

use crate::random;

/// An RSA private key of a made-up app. Copies share the key, so that many apps can be made fast.
#[derive(Clone)]
pub struct AppKey(rsa::PrivateKey);

impl AppKey {
    /// A fresh key of `bits` bits (Box makes 2048).
    #[must_use]
    #[expect(clippy::expect_used, reason = "a size that RSA cannot have is a mistake in a test")]
    pub fn generate(bits: usize) -> Self {
        Self(rsa::PrivateKey::new(&mut random::generator(), bits).expect("RSA has keys of this size"))
    }

    /// The key as unencrypted PKCS#8 PEM (RFC 5208), for tools and for other encodings of it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a generated key always has its encoding")]
    pub fn to_pem(&self) -> String {
        self.0.to_pkcs8_pem(LineEnding::LF).expect("a generated key can be encoded").to_string()
    }

    /// The public half as PEM (`BEGIN PUBLIC KEY`), as it is uploaded to Box.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a generated key always has its encoding")]
    pub fn public_pem(&self) -> String {
        self.0.to_public_key().to_public_key_pem(LineEnding::LF).expect("a public key can be encoded")
    }

    /// The key encrypted exactly as Box does it: PBES2 with PBKDF2 (PRF field absent, which means
    /// HMAC-SHA1; 2048 rounds) and DES-EDE3-CBC.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the parameters are fixed and the key is our own")]
    pub fn to_box_pem(&self, passphrase: &str) -> String {
        let (mut salt, mut iv) = ([0_u8; 8], [0_u8; 8]);
        random::fill(&mut salt);
        random::fill(&mut iv);
        let parameters = Parameters {
            kdf: Kdf::Pbkdf2(Pbkdf2Params {
                salt: Salt::new(salt).expect("eight bytes are a salt"),
                iteration_count: 2048,
                key_length: None,
                prf: Pbkdf2Prf::HmacWithSha1,
            }),
            encryption: EncryptionScheme::DesEde3Cbc { iv },
        };
        let plain = self.0.to_pkcs8_der().expect("a generated key can be encoded");
        let encrypted = parameters.encrypt(passphrase, plain.as_bytes()).expect("3DES takes any length");
        let envelope = EncryptedPrivateKeyInfoOwned {
            encryption_algorithm: parameters.into(),
            encrypted_data: OctetString::new(encrypted).expect("a key is short"),
        };
        let document = SecretDocument::try_from(&envelope).expect("the envelope can be encoded");
        let pem = document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF);
        pem.expect("the label is a label").to_string()
    }
}

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey(…)")
    }
}

/// What a made-up app should be like. Everything that is left out is made up.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The enterprise's id: decimal digits.
    pub enterprise_id: Option<String>,
    /// The app's client id.
    pub client_id: Option<String>,
    /// The public key's id (`kid`).
    pub public_key_id: Option<String>,
    /// The key to use instead of a fresh one: making one takes a good part of a second.
    pub key: Option<AppKey>,
    /// Whether the config has an `appAuth` at all: without it the app is one for the client
    /// credentials grant.
    pub with_key: bool,
    /// Whether the config has webhook signature keys.
    pub with_webhooks: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            enterprise_id: None,
            client_id: None,
            public_key_id: None,
            key: None,
            with_key: true,
            with_webhooks: false,
        }
    }
}

/// A made-up app: the config's text and what it says.
#[derive(Clone)]
pub struct GeneratedApp {
    /// The config as Box would have it downloaded, as JSON text.
    pub json: String,
    /// `enterpriseID`.
    pub enterprise_id: String,
    /// `clientID`.
    pub client_id: String,
    /// `clientSecret`.
    pub client_secret: String,
    /// `publicKeyID`; empty without a key.
    pub public_key_id: String,
    /// `passphrase`; empty without a key.
    pub passphrase: String,
    /// The private key, absent from an app for the client credentials grant.
    pub key: Option<AppKey>,
}

impl GeneratedApp {
    /// The name that Box gives such a file: `<enterpriseID>_<publicKeyID>_config.json`.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}_{}_config.json", self.enterprise_id, self.public_key_id)
    }
}

impl fmt::Debug for GeneratedApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedApp")
            .field("enterprise_id", &self.enterprise_id)
            .field("client_id", &self.client_id)
            .field("public_key_id", &self.public_key_id)
            .finish_non_exhaustive()
    }
}

/// Makes an app as `spec` says. A fresh key costs a good part of a second of computing.
#[must_use]
pub fn generate(spec: &Spec) -> GeneratedApp {
    let key = spec.with_key.then(|| spec.key.clone().unwrap_or_else(|| AppKey::generate(2048)));
    let made = |given: &Option<String>, make: fn() -> String| given.clone().unwrap_or_else(make);
    let mut app = GeneratedApp {
        json: String::new(),
        enterprise_id: made(&spec.enterprise_id, || random::digits(8)),
        client_id: made(&spec.client_id, || random::lower(32)),
        client_secret: random::alphanumeric(32),
        public_key_id: String::new(),
        passphrase: String::new(),
        key,
    };
    let mut settings = json!({ "clientID": app.client_id, "clientSecret": app.client_secret });
    if let Some(key) = &app.key {
        app.public_key_id = made(&spec.public_key_id, || random::lower(8));
        app.passphrase = random::lower(32);
        settings["appAuth"] = json!({
            "publicKeyID": app.public_key_id,
            "privateKey": key.to_box_pem(&app.passphrase),
            "passphrase": app.passphrase,
        });
    }
    let mut config = json!({ "boxAppSettings": settings, "enterpriseID": app.enterprise_id });
    if spec.with_webhooks {
        config["webhooks"] =
            json!({ "primaryKey": random::alphanumeric(32), "secondaryKey": random::alphanumeric(32) });
    }
    app.json = format!("{config:#}\n");
    app
}
