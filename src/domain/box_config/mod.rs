//! The JSON config file that customers download from Box's developer console and upload to the broker.
//!
//! Real files vary: keys are left out, numbers stand for strings, an inner object is pasted alone. All problems are
//! reported at once, each with its JSON pointer. The private key inside is decoded by `signing_key`.

mod field;
mod json;
mod reader;

use std::fmt;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use zeroize::Zeroize;

pub use self::field::ConfigField;
use super::app::AuthMethod;
use super::id::{BoxId, ClientId};
use super::signing_key::{KeyProblem, SigningKey};
use crate::secret::SecretString;

/// An uploaded config file: any JSON value until [`ConfigFile::read`] has validated it. Its texts are wiped on drop.
#[derive(Clone)]
pub struct ConfigFile(Value);

/// The content of a valid config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxConfig {
    /// `boxAppSettings.clientID`.
    pub client_id: ClientId,
    /// `boxAppSettings.clientSecret`.
    pub client_secret: SecretString,
    /// `enterpriseID`; the config of a shared app may have none.
    pub enterprise_id: Option<BoxId>,
    /// `boxAppSettings.appAuth`; always present for JWT, never for client credentials.
    pub key: Option<EncodedKey>,
    /// `webhooks.primaryKey`.
    pub webhook_primary: Option<SecretString>,
    /// `webhooks.secondaryKey`.
    pub webhook_secondary: Option<SecretString>,
    /// JSON pointers (RFC 6901) of unused fields that have a value; the first [`BoxConfig::MAX_IGNORED`] of them.
    pub ignored: Vec<String>,
}

/// A signing key as text in a config file, not decoded yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedKey {
    /// `publicKeyID`: Box's id of the public key, sent as `kid`.
    pub public_key_id: String,
    /// `privateKey`: PEM.
    pub private_key: SecretString,
    /// `passphrase`, if it is not empty.
    pub passphrase: Option<SecretString>,
}

/// A problem with a config file. It holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct ConfigProblem {
    /// The JSON pointer (RFC 6901) from the file's root; empty for the file itself.
    pub pointer: String,
    /// The problem, in a sentence or two.
    pub detail: String,
    /// The solution, in a sentence.
    pub fix: &'static str,
}

/// The solution for a file that is not as Box's developer console gave it.
const WHOLE_FILE_FIX: &str =
    "Upload the config JSON exactly as Box's developer console gave it for download.";

impl ConfigFile {
    /// The maximum length of a file, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// The maximum depth of nested objects and arrays; Box's files have three levels.
    pub const MAX_DEPTH: usize = 32;

    /// Reads a whole file.
    ///
    /// # Errors
    /// One problem if it is too long, nested too deeply or not JSON.
    pub fn from_text(bytes: &[u8]) -> Result<Self, ConfigProblem> {
        json::parse(bytes).map(Self).map_err(|detail| ConfigProblem::new("", detail, WHOLE_FILE_FIX))
    }

    /// Returns the file's document to be sent to a broker. It is no longer wiped on drop.
    #[must_use]
    pub fn into_document(mut self) -> Value {
        std::mem::take(&mut self.0)
    }

    /// Validates the file for an app with this authentication method. This is cheap, because the private key is not
    /// decoded.
    ///
    /// # Errors
    /// All problems, in the order of Box's own file.
    pub fn read(self, auth: AuthMethod) -> Result<BoxConfig, Vec<ConfigProblem>> {
        reader::read(&self.0, auth)
    }
}

impl BoxConfig {
    /// The maximum number of ignored fields that are reported.
    pub const MAX_IGNORED: usize = 20;
}

impl EncodedKey {
    /// Decodes the key, which takes up to a few tenths of a second; see [`SigningKey::parse`].
    ///
    /// # Errors
    /// [`KeyProblem`] for an invalid key or a wrong passphrase.
    pub fn decode(&self) -> Result<SigningKey, KeyProblem> {
        SigningKey::parse(&self.private_key, self.passphrase.as_ref())
    }
}

impl ConfigProblem {
    fn new(pointer: impl Into<String>, detail: impl Into<String>, fix: &'static str) -> Self {
        Self { pointer: pointer.into(), detail: detail.into(), fix }
    }
}

impl<'de> Deserialize<'de> for ConfigFile {
    /// Accepts any JSON value; [`ConfigFile::read`] reports its problems with their JSON pointers.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self)
    }
}

impl fmt::Debug for ConfigFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConfigFile([redacted])")
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

/// Overwrites every text; the parser has bounded the depth of the recursion.
fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(fields) => fields.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests;
