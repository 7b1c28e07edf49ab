//! The parser of app config files, with document types of its own.

use data_encoding::BASE64;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::{DecodePrivateKey as _, EncryptedPrivateKeyInfoRef};
use serde::Deserialize;
use serde_json::Value;

use super::public_key::PublicKey;

/// The parts of an app's config file that the sandbox needs. Of the key pair it keeps the public half only.
pub(crate) struct AppConfig {
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// `None` if the file names no enterprise, or `0` (an account without an enterprise).
    pub(crate) enterprise_id: Option<String>,
    pub(crate) key: Option<PublicKey>,
}

#[derive(Deserialize)]
struct ConfigDocument {
    #[serde(rename = "boxAppSettings")]
    settings: ConfigSettings,
    #[serde(rename = "enterpriseID")]
    enterprise_id: Option<Value>,
}

#[derive(Deserialize)]
struct ConfigSettings {
    #[serde(rename = "clientID")]
    client_id: String,
    #[serde(rename = "clientSecret")]
    client_secret: String,
    #[serde(rename = "appAuth")]
    app_auth: Option<ConfigKey>,
}

#[derive(Deserialize)]
struct ConfigKey {
    #[serde(rename = "publicKeyID", default)]
    public_key_id: String,
    #[serde(rename = "privateKey", default)]
    private_key: String,
    #[serde(default)]
    passphrase: Option<String>,
}

impl AppConfig {
    /// Parses the text of one file. An error message says what is wrong and contains no secret.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let document: ConfigDocument =
            serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
                format!("not a Box app config (line {}): {}", error.line(), redacted_reason(&error))
            })?;
        let key = match document.settings.app_auth {
            Some(key) if !key.private_key.trim().is_empty() => Some(public_key(&key)?),
            _ => None,
        };
        Ok(Self {
            client_id: document.settings.client_id,
            client_secret: document.settings.client_secret,
            enterprise_id: document.enterprise_id.as_ref().and_then(enterprise_id),
            key,
        })
    }
}

/// Returns the reason for a parse error. The error's own text could repeat a value, which may be a secret.
fn redacted_reason(error: &serde_json::Error) -> &'static str {
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

fn public_key(key: &ConfigKey) -> Result<PublicKey, String> {
    let passphrase = key.passphrase.as_deref().unwrap_or_default();
    let private = private_key(&key.private_key, passphrase)?;
    PublicKey::of_private_key(&key.public_key_id, &private)
}

fn private_key(text: &str, passphrase: &str) -> Result<rsa::PrivateKey, String> {
    if text.contains("Proc-Type:") {
        let message = "`privateKey` is encrypted in the traditional way, which the sandbox cannot open: convert it \
                       with `openssl pkcs8 -topk8`";
        return Err(message.to_owned());
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

/// Returns the label and the decoded body of the first PEM block, even if escaping has mangled its line breaks.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END ")?;
    let body = body.replace("\\r", "").replace("\\n", "");
    let packed: String = body.chars().filter(|character| !character.is_whitespace()).collect();
    Some((label, BASE64.decode(packed.as_bytes()).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{AppPrivateKey, AppSpec, generate_app};

    #[test]
    fn a_generated_config_parses_to_its_own_public_key() {
        let app = generate_app(&AppSpec { with_webhooks: true, ..AppSpec::default() });
        let file = AppConfig::parse(&format!("\u{feff}{}", app.json)).unwrap();
        assert_eq!(file.client_id, app.client_id);
        assert_eq!(file.enterprise_id, Some(app.enterprise_id));
        let key = file.key.unwrap();
        let expected = PublicKey::from_pem(&app.public_key_id, &app.key.unwrap().public_pem()).unwrap();
        assert_eq!((key.kid, key.der), (expected.kid, expected.der));
    }

    #[test]
    fn mangled_line_breaks_and_numeric_ids_are_accepted() {
        let key = AppPrivateKey::generate(2048);
        let pem = key.to_pem().replace('\n', "\\\\n");
        let text = format!(
            r#"{{"boxAppSettings":{{"clientID":"c","clientSecret":"s","appAuth":{{"publicKeyID":"k","privateKey":"{pem}"}}}},"enterpriseID":77}}"#
        );
        let file = AppConfig::parse(&text).unwrap();
        assert_eq!(file.enterprise_id.as_deref(), Some("77"));
        assert_eq!(file.key.unwrap().kid, "k");
    }

    #[test]
    fn an_empty_app_auth_makes_a_client_credentials_app() {
        let text = r#"{"boxAppSettings":{"clientID":"c","clientSecret":"s","appAuth":{"publicKeyID":"","privateKey":"","passphrase":""}},"enterpriseID":"0"}"#;
        let file = AppConfig::parse(text).unwrap();
        assert!(file.key.is_none());
        assert_eq!(file.enterprise_id, None);
    }

    #[test]
    fn the_error_about_a_wrong_passphrase_does_not_repeat_it() {
        let app = generate_app(&AppSpec::default());
        let text = app.json.replace(&app.passphrase, "not-the-passphrase");
        let problem = AppConfig::parse(&text).err().unwrap();
        assert_eq!(problem, "`passphrase` does not open `privateKey`");
    }
}
