//! What an admin brings: Box's own config file, or its fields one by one.

use serde::Deserialize;

use crate::domain::app::{AppSecrets, AuthMethod};
use crate::domain::box_config::{BoxConfig, ConfigField, ConfigFile, EncodedKey};
use crate::domain::id::{BoxId, ClientId};
use crate::domain::signing_key::{KeyProblem, SigningKey};
use crate::registry::error::{FieldError, RegistryError};
use crate::secret::SecretString;

/// What is said of a field that is ignored.
const NO_USE: &str = "The broker has no use for this field.";

/// Credentials as an admin sends them.
#[derive(Debug)]
pub enum CredentialInput {
    /// Box's config file as it was downloaded.
    Config {
        /// The file.
        file: Box<ConfigFile>,
        /// For which method it is meant.
        auth: AuthMethod,
    },
    /// The fields one by one.
    Fields(Box<CredentialFields>),
}

/// The fields of credentials, one by one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialFields {
    /// The app's client ID.
    pub client_id: ClientId,
    /// Its client secret.
    pub client_secret: SecretString,
    /// The customer's enterprise; may be left out for a shared app.
    pub enterprise_id: Option<BoxId>,
    /// The app's authentication method.
    pub auth: AuthMethod,
    /// The id Box gave to the public key; with `jwt`.
    pub public_key_id: Option<String>,
    /// The private key in PEM; with `jwt`.
    pub private_key: Option<SecretString>,
    /// Its passphrase, where it has one.
    pub passphrase: Option<SecretString>,
    /// With `jwt`, instead of a key: the broker makes one.
    #[serde(default)]
    pub generate_key: bool,
}

/// Credentials that were read, with the private key still as it came.
#[derive(Debug)]
pub(super) struct ParsedCredentials {
    pub config: BoxConfig,
    pub auth: AuthMethod,
    pub warnings: Vec<FieldError>,
    /// Where the private key stands in the request.
    pub key_pointer: &'static str,
    /// Where its passphrase stands in the request.
    pub passphrase_pointer: &'static str,
    /// Where the enterprise stands in the request.
    pub enterprise_pointer: &'static str,
    /// True where the key is still to be made.
    pub generate_key: bool,
}

impl CredentialInput {
    /// Finds out whether it can be read, without any work on keys.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn check(self) -> Result<(), RegistryError> {
        self.read().map(drop)
    }

    /// Reads what is there, without any work on keys.
    pub(super) fn read(self) -> Result<ParsedCredentials, RegistryError> {
        match self {
            Self::Config { file, auth } => {
                let config = file.read(auth).map_err(|mut problems| {
                    for problem in &mut problems {
                        problem.pointer.insert_str(0, "/config");
                    }
                    RegistryError::BoxConfig(problems)
                })?;
                let warnings = config
                    .ignored
                    .iter()
                    .map(|pointer| FieldError::at(format!("/config{pointer}"), NO_USE))
                    .collect();
                Ok(ParsedCredentials {
                    config,
                    auth,
                    warnings,
                    key_pointer: "/config/boxAppSettings/appAuth/privateKey",
                    passphrase_pointer: "/config/boxAppSettings/appAuth/passphrase",
                    enterprise_pointer: "/config/enterpriseID",
                    generate_key: false,
                })
            }
            Self::Fields(fields) => fields.read(),
        }
    }
}

impl CredentialFields {
    fn read(self) -> Result<ParsedCredentials, RegistryError> {
        let mut faults = Vec::new();
        let mut check = |field: ConfigField, name: &str, text: &str| {
            let empty = || Err("This field is empty.".to_owned());
            let checked = if text.is_empty() { empty() } else { field.check(text) };
            faults.extend(checked.err().map(|detail| FieldError::at(format!("/credentials/{name}"), detail)));
        };
        check(ConfigField::ClientSecret, "client_secret", self.client_secret.expose());
        if let Some(id) = &self.enterprise_id {
            check(ConfigField::EnterpriseId, "enterprise_id", id.as_str());
        }
        let mut warnings = Vec::new();
        let key = match (self.auth, self.public_key_id, self.private_key) {
            (AuthMethod::Jwt, public_key_id, private_key) if self.generate_key => {
                let superfluous = [
                    ("public_key_id", public_key_id.is_some()),
                    ("private_key", private_key.is_some()),
                    ("passphrase", self.passphrase.is_some()),
                ];
                let detail = "With `generate_key` the broker makes the key: leave this field out.";
                let given = superfluous.into_iter().filter(|(_, is_given)| *is_given);
                faults.extend(given.map(|(name, _)| FieldError::at(format!("/credentials/{name}"), detail)));
                None
            }
            (AuthMethod::Ccg, public_key_id, private_key) => {
                let unused = [
                    ("public_key_id", public_key_id.is_some()),
                    ("private_key", private_key.is_some()),
                    ("passphrase", self.passphrase.is_some()),
                ];
                if self.generate_key {
                    let detail = "An app with `auth: \"ccg\"` has no key.";
                    faults.push(FieldError::at("/credentials/generate_key", detail));
                }
                let given = unused.into_iter().filter(|(_, is_given)| *is_given);
                warnings
                    .extend(given.map(|(name, _)| FieldError::at(format!("/credentials/{name}"), NO_USE)));
                None
            }
            (AuthMethod::Jwt, Some(public_key_id), Some(private_key)) => {
                check(ConfigField::PublicKeyId, "public_key_id", &public_key_id);
                Some(EncodedKey { public_key_id, private_key, passphrase: self.passphrase })
            }
            (AuthMethod::Jwt, public_key_id, private_key) => {
                let detail =
                    "With `auth: \"jwt\"` this field is needed; an app without keys uses `auth: \"ccg\"`.";
                if public_key_id.is_none() {
                    faults.push(FieldError::at("/credentials/public_key_id", detail));
                }
                if private_key.is_none() {
                    faults.push(FieldError::at("/credentials/private_key", detail));
                }
                None
            }
        };
        if !faults.is_empty() {
            return Err(RegistryError::Invalid(faults));
        }
        let config = BoxConfig {
            client_id: self.client_id,
            client_secret: self.client_secret,
            enterprise_id: self.enterprise_id,
            key,
            webhook_primary: None,
            webhook_secondary: None,
            ignored: Vec::new(),
        };
        Ok(ParsedCredentials {
            config,
            auth: self.auth,
            warnings,
            key_pointer: "/credentials/private_key",
            passphrase_pointer: "/credentials/passphrase",
            enterprise_pointer: "/credentials/enterprise_id",
            generate_key: self.generate_key,
        })
    }
}

/// Refuses an enterprise that a request names beside the credentials, where it cannot be one.
pub(super) fn check_enterprise(id: &BoxId) -> Result<(), RegistryError> {
    ConfigField::EnterpriseId
        .check(id.as_str())
        .map_err(|detail| RegistryError::invalid("/enterprise_id", detail))
}

impl ParsedCredentials {
    /// Refuses to make a key where none can be made.
    pub(super) fn refuse_generated_key(&self, detail: &'static str) -> Result<(), RegistryError> {
        match self.generate_key {
            true => Err(RegistryError::invalid("/credentials/generate_key", detail)),
            false => Ok(()),
        }
    }

    /// Where in the request the thing stands that a key's problem is about.
    pub(super) fn place_of(&self, problem: &KeyProblem) -> &'static str {
        match problem {
            KeyProblem::PassphraseMissing | KeyProblem::WrongPassphrase => self.passphrase_pointer,
            _ => self.key_pointer,
        }
    }

    /// The secrets to be sealed.
    pub(super) fn secrets(&self, key: Option<&SigningKey>) -> AppSecrets {
        AppSecrets {
            client_id: self.config.client_id.clone(),
            client_secret: self.config.client_secret.clone(),
            private_key: key.map(|key| key.pkcs8_der().clone()),
            webhook_primary: self.config.webhook_primary.clone(),
            webhook_secondary: self.config.webhook_secondary.clone(),
        }
    }
}
