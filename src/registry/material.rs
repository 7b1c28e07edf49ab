//! What an admin brings: Box's own config file, or its fields one by one.

use serde::Deserialize;

use super::error::{Fault, RegistryError};
use crate::domain::app::{AppSecrets, AuthMethod};
use crate::domain::box_config::{BoxConfig, ConfigFile, EncodedKey};
use crate::domain::id::{BoxId, ClientId};
use crate::domain::signing_key::SigningKey;
use crate::secret::SecretString;

/// Credentials as an admin sends them.
#[derive(Debug)]
pub enum Material {
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
}

/// Credentials that were read, with the private key still as it came.
#[derive(Debug)]
pub(super) struct Reading {
    pub config: BoxConfig,
    pub auth: AuthMethod,
    pub warnings: Vec<Fault>,
    /// Where the private key stands in the request.
    pub key_pointer: &'static str,
    /// Where the enterprise stands in the request.
    pub enterprise_pointer: &'static str,
}

impl Material {
    /// Reads what is there, without any work on keys.
    pub(super) fn read(self) -> Result<Reading, RegistryError> {
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
                    .map(|pointer| {
                        Fault::at(format!("/config{pointer}"), "The broker has no use for this field.")
                    })
                    .collect();
                Ok(Reading {
                    config,
                    auth,
                    warnings,
                    key_pointer: "/config/boxAppSettings/appAuth/privateKey",
                    enterprise_pointer: "/config/enterpriseID",
                })
            }
            Self::Fields(fields) => fields.read(),
        }
    }
}

impl CredentialFields {
    fn read(self) -> Result<Reading, RegistryError> {
        let mut faults = Vec::new();
        if self.client_secret.is_empty() {
            faults.push(Fault::at("/credentials/client_secret", "The client secret is empty."));
        }
        if self.enterprise_id.as_ref().is_some_and(|id| id.as_str().bytes().all(|digit| digit == b'0')) {
            faults.push(Fault::at(
                "/credentials/enterprise_id",
                "Enterprise 0 is a free account's: Box gives tokens to apps of a real enterprise alone.",
            ));
        }
        let key = match (self.auth, self.public_key_id, self.private_key) {
            (AuthMethod::Ccg, _, _) => None,
            (AuthMethod::Jwt, Some(public_key_id), Some(private_key)) => {
                if public_key_id.is_empty()
                    || public_key_id.len() > 64
                    || !public_key_id.bytes().all(|byte| byte.is_ascii_alphanumeric())
                {
                    let detail = "A public key ID is 1 to 64 letters and digits, as Box shows it.";
                    faults.push(Fault::at("/credentials/public_key_id", detail));
                }
                Some(EncodedKey { public_key_id, private_key, passphrase: self.passphrase })
            }
            (AuthMethod::Jwt, public_key_id, private_key) => {
                let detail =
                    "With `auth: \"jwt\"` this field is needed; an app without keys uses `auth: \"ccg\"`.";
                if public_key_id.is_none() {
                    faults.push(Fault::at("/credentials/public_key_id", detail));
                }
                if private_key.is_none() {
                    faults.push(Fault::at("/credentials/private_key", detail));
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
        Ok(Reading {
            config,
            auth: self.auth,
            warnings: Vec::new(),
            key_pointer: "/credentials/private_key",
            enterprise_pointer: "/credentials/enterprise_id",
        })
    }
}

impl Reading {
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
