//! The JSON file that Box's developer console hands out, and that customers upload.
//!
//! Files in the wild vary: keys left out, numbers for strings, an inner object pasted alone. All
//! that is wrong is told at once, each thing with the place where it stands.

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

/// Box's config as it was uploaded: any JSON at all until [`ConfigFile::read`] has read it. Its
/// texts are wiped when it is dropped.
#[derive(Clone)]
pub struct ConfigFile(Value);

/// What a config says, once it makes sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoxConfig {
    /// `boxAppSettings.clientID`.
    pub client_id: ClientId,
    /// `boxAppSettings.clientSecret`.
    pub client_secret: SecretString,
    /// `enterpriseID`; a shared app's config may have none.
    pub enterprise_id: Option<BoxId>,
    /// `boxAppSettings.appAuth`; always there for JWT, never for client credentials.
    pub key: Option<EncodedKey>,
    /// `webhooks.primaryKey`.
    pub webhook_primary: Option<SecretString>,
    /// `webhooks.secondaryKey`.
    pub webhook_secondary: Option<SecretString>,
    /// JSON pointers (RFC 6901) of fields that have a value but no use here; the first
    /// [`BoxConfig::MAX_IGNORED`] of them.
    pub ignored: Vec<String>,
}

/// A signing key as a config holds it: a text that nobody has looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedKey {
    /// `publicKeyID`: Box's id of the public key, sent as `kid`.
    pub public_key_id: String,
    /// `privateKey`: PEM.
    pub private_key: SecretString,
    /// `passphrase`; absent where it is empty.
    pub passphrase: Option<SecretString>,
}

/// One thing that is wrong with a config. Holds nothing secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {detail}")]
pub struct ConfigProblem {
    /// Where: a JSON pointer (RFC 6901) from the file's root, so empty for the file itself.
    pub pointer: String,
    /// What is wrong, in a sentence or two.
    pub detail: String,
    /// What to do about it, in a sentence.
    pub fix: &'static str,
}

/// What to do about a file that is not the one that Box gave.
const WHOLE_FILE: &str = "Upload the config JSON exactly as Box's developer console gave it for download.";

impl ConfigFile {
    /// The longest file that is read, in bytes.
    pub const MAX_BYTES: usize = 64 * 1024;
    /// How deep objects and arrays may stand in one another; Box's files go three deep.
    pub const MAX_DEPTH: usize = 32;

    /// Reads a whole file.
    ///
    /// # Errors
    /// One problem, where it is too long, nested too deeply, or no JSON.
    pub fn from_text(bytes: &[u8]) -> Result<Self, ConfigProblem> {
        json::parse(bytes).map(Self).map_err(|detail| ConfigProblem::new("", detail, WHOLE_FILE))
    }

    /// The file's document, as it is sent to a broker; nobody wipes it any more.
    #[must_use]
    pub fn into_document(mut self) -> Value {
        std::mem::take(&mut self.0)
    }

    /// Makes sense of the file for an app of that kind. Cheap: the private key is not looked into.
    ///
    /// # Errors
    /// All that is wrong, in the order of Box's own file.
    pub fn read(self, auth: AuthMethod) -> Result<BoxConfig, Vec<ConfigProblem>> {
        reader::read(&self.0, auth)
    }
}

impl BoxConfig {
    /// How many ignored fields are told of.
    pub const MAX_IGNORED: usize = 20;
}

impl EncodedKey {
    /// Reads the key. Costs up to a few tenths of a second, as [`SigningKey::parse`] says.
    ///
    /// # Errors
    /// What is wrong with the key or its passphrase.
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
    /// Takes any JSON value: what is wrong with it is told by [`ConfigFile::read`], with its place.
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

/// Overwrites every text; the recursion is as deep as the parser let the file be.
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
