//! Reads app configs for [`World::from_key_json`](super::World::from_key_json), with wire types of
//! its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::{DecodeRsaPrivateKey as _, EncodeRsaPublicKey as _};
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncryptedPrivateKeyInfoRef};
use serde::Deserialize;
use serde_json::Value;

use crate::world::PublicKey;

/// What the sandbox needs of an app's config. The private key is gone once its public half is known.
pub(crate) struct ConfigFile {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// Absent where the file names none, or `0` (an account without an enterprise).
    pub(crate) enterprise_id: Option<String>,
    pub(crate) key: Option<PublicKey>,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(rename = "boxAppSettings")]
    settings: WireSettings,
    #[serde(rename = "enterpriseID")]
    enterprise_id: Option<Value>,
}

#[derive(Deserialize)]
struct WireSettings {
    #[serde(rename = "clientID")]
    client_id: String,
    #[serde(rename = "clientSecret")]
    client_secret: String,
    #[serde(rename = "appAuth")]
    app_auth: Option<WireKey>,
}

#[derive(Deserialize)]
struct WireKey {
    #[serde(rename = "publicKeyID", default)]
    public_key_id: String,
    #[serde(rename = "privateKey", default)]
    private_key: String,
    #[serde(default)]
    passphrase: Option<String>,
}

impl ConfigFile {
    /// Reads one file's text; the message says what is wrong and holds nothing secret.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let wire: Wire = serde_json::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| format!("not a Box app config (line {}): {}", error.line(), kind(&error)))?;
        let key = match wire.settings.app_auth {
            Some(key) if !key.private_key.trim().is_empty() => Some(public_key(&key)?),
            _ => None,
        };
        Ok(Self {
            client_id: wire.settings.client_id,
            client_secret: wire.settings.client_secret,
            enterprise_id: wire.enterprise_id.as_ref().and_then(enterprise_id),
            key,
        })
    }
}

/// Why the text was refused; serde's own words could repeat a value, which may be a secret.
fn kind(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Data => {
            "`boxAppSettings.clientID` and `.clientSecret` must be there, as strings"
        }
        _ => "the text is no JSON",
    }
}

fn enterprise_id(value: &Value) -> Option<String> {
    let id = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    (!id.is_empty() && id != "0").then_some(id)
}

fn public_key(wire: &WireKey) -> Result<PublicKey, String> {
    let passphrase = wire.passphrase.as_deref().unwrap_or_default();
    let private = private_key(&wire.private_key, passphrase)?;
    let der = private.to_public_key().to_pkcs1_der().map_err(|_| "the public key cannot be encoded")?;
    Ok(PublicKey { kid: wire.public_key_id.clone(), der: der.as_bytes().to_vec() })
}

/// A public key as PEM (`BEGIN PUBLIC KEY`), for the control plane and for tests.
pub(crate) fn public_key_of_pem(kid: &str, pem: &str) -> Result<PublicKey, String> {
    let key = rsa::PublicKey::from_public_key_pem(pem.trim()).map_err(|_| "not an RSA public key in PEM")?;
    let der = key.to_pkcs1_der().map_err(|_| "the public key cannot be encoded")?;
    Ok(PublicKey { kid: kid.to_owned(), der: der.as_bytes().to_vec() })
}

fn private_key(text: &str, passphrase: &str) -> Result<rsa::PrivateKey, String> {
    if text.contains("Proc-Type:") {
        return Err(
            "`privateKey` is encrypted in the traditional way, which the sandbox cannot open: convert it \
                    with `openssl pkcs8 -topk8`"
                .to_owned(),
        );
    }
    let (label, der) = pem(text).ok_or("`privateKey` is no PEM text")?;
    match label {
        "ENCRYPTED PRIVATE KEY" => {
            let envelope = EncryptedPrivateKeyInfoRef::try_from(der.as_slice()).map_err(
                |_| "`privateKey` is not encrypted with PBES2: convert it with `openssl pkcs8 -topk8`",
            )?;
            let plain =
                envelope.decrypt(passphrase).map_err(|_| "`passphrase` does not open `privateKey`")?;
            rsa::PrivateKey::from_pkcs8_der(plain.as_bytes())
                .map_err(|_| "`passphrase` does not open `privateKey`".to_owned())
        }
        "PRIVATE KEY" => {
            rsa::PrivateKey::from_pkcs8_der(&der).map_err(|_| "`privateKey` is no RSA key".to_owned())
        }
        "RSA PRIVATE KEY" => {
            rsa::PrivateKey::from_pkcs1_der(&der).map_err(|_| "`privateKey` is no RSA key".to_owned())
        }
        other => Err(format!("`privateKey` is a {other}, not a private key")),
    }
}

/// Label and content of the first PEM block, however its line breaks were mangled on the way.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body = body.replace("\\r", "").replace("\\n", "");
    let packed: String = body.chars().filter(|character| !character.is_whitespace()).collect();
    Some((label, STANDARD.decode(packed).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_json::{AppKey, Spec, generate};

    #[test]
    fn a_generated_config_reads_back_to_its_own_public_key() {
        let app = generate(&Spec { with_webhooks: true, ..Spec::default() });
        let file = ConfigFile::read(&format!("\u{feff}{}", app.json)).unwrap();
        assert_eq!(file.client_id, app.client_id);
        assert_eq!(file.enterprise_id, Some(app.enterprise_id));
        let key = file.key.unwrap();
        let expected = public_key_of_pem(&app.public_key_id, &app.key.unwrap().public_pem()).unwrap();
        assert_eq!((key.kid, key.der), (expected.kid, expected.der));
    }

    #[test]
    fn mangled_line_breaks_and_numbers_for_ids_are_read() {
        let key = AppKey::generate(2048);
        let pem = key.to_pem().replace('\n', "\\\\n");
        let text = format!(
            r#"{{"boxAppSettings":{{"clientID":"c","clientSecret":"s","appAuth":{{"publicKeyID":"k","privateKey":"{pem}"}}}},"enterpriseID":77}}"#
        );
        let file = ConfigFile::read(&text).unwrap();
        assert_eq!(file.enterprise_id.as_deref(), Some("77"));
        assert_eq!(file.key.unwrap().kid, "k");
    }

    #[test]
    fn empty_app_auth_means_an_app_for_client_credentials() {
        let text = r#"{"boxAppSettings":{"clientID":"c","clientSecret":"s","appAuth":{"publicKeyID":"","privateKey":"","passphrase":""}},"enterpriseID":"0"}"#;
        let file = ConfigFile::read(text).unwrap();
        assert!(file.key.is_none());
        assert_eq!(file.enterprise_id, None);
    }

    #[test]
    fn a_wrong_passphrase_is_told_without_repeating_it() {
        let app = generate(&Spec::default());
        let text = app.json.replace(&app.passphrase, "not-the-passphrase");
        let problem = ConfigFile::read(&text).err().unwrap();
        assert_eq!(problem, "`passphrase` does not open `privateKey`");
    }
}
