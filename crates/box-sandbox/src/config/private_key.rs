//! The RSA private key of a generated app.

use std::fmt;

use rsa::pkcs8::der::asn1::OctetString;
use rsa::pkcs8::pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Pbkdf2Params, Pbkdf2Prf, Salt};
use rsa::pkcs8::{
    EncodePrivateKey as _, EncodePublicKey as _, EncryptedPrivateKeyInfoOwned, LineEnding, SecretDocument,
};

use crate::random;

/// The RSA private key of a generated app. Clones share the key, so one key can serve many apps.
#[derive(Clone)]
pub struct AppPrivateKey(rsa::PrivateKey);

impl AppPrivateKey {
    /// Generates a key of `bits` bits. Box's own keys have 2048. This takes a good part of a second.
    ///
    /// # Panics
    /// If RSA has no keys of this size.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a size that RSA cannot have is a mistake in the test")]
    pub fn generate(bits: usize) -> Self {
        Self(rsa::PrivateKey::new(&mut random::generator(), bits).expect("RSA has keys of this size"))
    }

    /// Returns the key as unencrypted PKCS#8 PEM (RFC 5208).
    #[must_use]
    #[expect(clippy::expect_used, reason = "a generated key always has an encoding")]
    pub fn to_pem(&self) -> String {
        self.0.to_pkcs8_pem(LineEnding::LF).expect("a generated key can be encoded").to_string()
    }

    /// Returns the public half as PEM (`BEGIN PUBLIC KEY`), the form in which it is uploaded to Box.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a generated key always has an encoding")]
    pub fn public_pem(&self) -> String {
        self.0.to_public_key().to_public_key_pem(LineEnding::LF).expect("a public key can be encoded")
    }

    /// Returns the key encrypted exactly as Box encrypts it: PBES2 with PBKDF2 (2048 rounds, the PRF field absent,
    /// which means HMAC-SHA1) and DES-EDE3-CBC.
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
        pem.expect("the label is valid").to_string()
    }
}

impl fmt::Debug for AppPrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppPrivateKey(…)")
    }
}
