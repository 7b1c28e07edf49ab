//! Credentials as an admin sends them: Box's own config file, or its fields one by one.
//!
//! This module parses and checks them. It neither decodes private keys nor asks Box.

use serde::Deserialize;

use super::error::{FieldError, RegistryError, require_none};
use crate::domain::app::{AppSecrets, AuthMethod};
use crate::domain::box_config::{BoxConfig, ConfigField, ConfigFile, EncodedKey};
use crate::domain::id::{BoxId, ClientId};
use crate::domain::signing_key::{KeyProblem, SigningKey};
use crate::secret::SecretString;

/// The warning about a field that is ignored.
const IGNORED_FIELD: &str = "The broker has no use for this field.";

/// Credentials as an admin sends them.
#[derive(Debug)]
pub enum CredentialInput {
    /// Box's config file, unchanged.
    Config {
        /// The file.
        file: Box<ConfigFile>,
        /// The authentication method that it is for.
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
    /// The customer's enterprise; optional for a shared app.
    pub enterprise_id: Option<BoxId>,
    /// The app's authentication method.
    pub auth: AuthMethod,
    /// The ID that Box gave to the public key; with `jwt`.
    pub public_key_id: Option<String>,
    /// The private key in PEM; with `jwt`.
    pub private_key: Option<SecretString>,
    /// The passphrase of the private key, if it has one.
    pub passphrase: Option<SecretString>,
    /// With `jwt`, instead of a key: the broker generates one.
    #[serde(default)]
    pub generate_key: bool,
}

/// Credentials that were parsed and checked. The private key is not decoded yet.
#[derive(Debug)]
pub(super) struct ParsedCredentials {
    pub config: BoxConfig,
    pub auth: AuthMethod,
    /// The fields that were ignored.
    pub warnings: Vec<FieldError>,
    /// The JSON pointer of the private key in the request.
    pub key_pointer: &'static str,
    /// The JSON pointer of the passphrase in the request.
    pub passphrase_pointer: &'static str,
    /// The JSON pointer of the enterprise in the request.
    pub enterprise_pointer: &'static str,
    /// True if the broker is to generate the key.
    pub generate_key: bool,
}

impl CredentialInput {
    /// Checks whether the credentials can be parsed, without any work on keys.
    ///
    /// # Errors
    /// All errors of the input.
    pub fn check(self) -> Result<(), RegistryError> {
        self.parse().map(drop)
    }

    /// Parses the credentials, without any work on keys.
    ///
    /// # Errors
    /// All errors of the input.
    pub(super) fn parse(self) -> Result<ParsedCredentials, RegistryError> {
        match self {
            Self::Config { file, auth } => parse_config(*file, auth),
            Self::Fields(fields) => fields.parse(),
        }
    }
}

fn parse_config(file: ConfigFile, auth: AuthMethod) -> Result<ParsedCredentials, RegistryError> {
    let config = file.read(auth).map_err(|mut problems| {
        for problem in &mut problems {
            problem.pointer.insert_str(0, "/config");
        }
        RegistryError::BoxConfig(problems)
    })?;
    let warnings = config
        .ignored
        .iter()
        .map(|pointer| FieldError::at(format!("/config{pointer}"), IGNORED_FIELD))
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

impl CredentialFields {
    fn parse(mut self) -> Result<ParsedCredentials, RegistryError> {
        let (mut errors, mut warnings) = (Vec::new(), Vec::new());
        errors.extend(check_field(ConfigField::ClientSecret, "client_secret", self.client_secret.expose()));
        if let Some(id) = &self.enterprise_id {
            errors.extend(check_field(ConfigField::EnterpriseId, "enterprise_id", id.as_str()));
        }
        let key = self.take_key(&mut errors, &mut warnings);
        require_none(errors)?;
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

    /// Takes the private key out of the fields, and reports the fields that do not fit the authentication method.
    fn take_key(
        &mut self,
        errors: &mut Vec<FieldError>,
        warnings: &mut Vec<FieldError>,
    ) -> Option<EncodedKey> {
        let key_fields = [
            ("public_key_id", self.public_key_id.is_some()),
            ("private_key", self.private_key.is_some()),
            ("passphrase", self.passphrase.is_some()),
        ];
        let given = key_fields.into_iter().filter(|(_, is_given)| *is_given);
        let given = given.map(|(name, _)| format!("/credentials/{name}"));
        match (self.auth, self.public_key_id.take(), self.private_key.take()) {
            (AuthMethod::Jwt, _, _) if self.generate_key => {
                let detail = "With `generate_key` the broker makes the key: leave this field out.";
                errors.extend(given.map(|pointer| FieldError::at(pointer, detail)));
                None
            }
            (AuthMethod::Ccg, _, _) => {
                if self.generate_key {
                    let detail = "An app with `auth: \"ccg\"` has no key.";
                    errors.push(FieldError::at("/credentials/generate_key", detail));
                }
                warnings.extend(given.map(|pointer| FieldError::at(pointer, IGNORED_FIELD)));
                None
            }
            (AuthMethod::Jwt, Some(public_key_id), Some(private_key)) => {
                errors.extend(check_field(ConfigField::PublicKeyId, "public_key_id", &public_key_id));
                Some(EncodedKey { public_key_id, private_key, passphrase: self.passphrase.take() })
            }
            (AuthMethod::Jwt, public_key_id, private_key) => {
                let detail =
                    "With `auth: \"jwt\"` this field is needed; an app without keys uses `auth: \"ccg\"`.";
                let required =
                    [("public_key_id", public_key_id.is_none()), ("private_key", private_key.is_none())];
                let missing = required.into_iter().filter(|(_, is_missing)| *is_missing);
                errors
                    .extend(missing.map(|(name, _)| FieldError::at(format!("/credentials/{name}"), detail)));
                None
            }
        }
    }
}

fn check_field(field: ConfigField, name: &str, text: &str) -> Option<FieldError> {
    let empty = || Err("This field is empty.".to_owned());
    let checked = if text.is_empty() { empty() } else { field.check(text) };
    checked.err().map(|detail| FieldError::at(format!("/credentials/{name}"), detail))
}

/// Refuses an enterprise ID, given beside the credentials, that cannot be one.
///
/// # Errors
/// [`RegistryError::Invalid`].
pub(super) fn check_enterprise(id: &BoxId) -> Result<(), RegistryError> {
    ConfigField::EnterpriseId
        .check(id.as_str())
        .map_err(|detail| RegistryError::invalid("/enterprise_id", detail))
}

impl ParsedCredentials {
    /// Refuses `generate_key` in a request that cannot generate one.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] with `detail`.
    pub(super) fn refuse_generated_key(&self, detail: &'static str) -> Result<(), RegistryError> {
        match self.generate_key {
            true => Err(RegistryError::invalid("/credentials/generate_key", detail)),
            false => Ok(()),
        }
    }

    /// Returns the JSON pointer of the field that a problem with the key is about.
    pub(super) fn pointer_of(&self, problem: &KeyProblem) -> &'static str {
        match problem {
            KeyProblem::PassphraseMissing | KeyProblem::WrongPassphrase => self.passphrase_pointer,
            _ => self.key_pointer,
        }
    }

    /// Returns the secrets to be sealed.
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
