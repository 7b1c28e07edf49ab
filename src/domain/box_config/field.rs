//! The rules for each text of a config, whether it comes from a file or from separate fields of a request.

use crate::domain::id::{BoxId, ClientId};

/// A text of a config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigField {
    /// The app's client ID.
    ClientId,
    /// The app's client secret.
    ClientSecret,
    /// Box's id of the public key.
    PublicKeyId,
    /// The private key's PEM text.
    PrivateKey,
    /// The private key's passphrase.
    Passphrase,
    /// The enterprise's number.
    EnterpriseId,
    /// One of the two webhook signature keys.
    WebhookKey,
}

impl ConfigField {
    /// Returns the maximum length, in bytes. Box's own texts are far shorter: secrets and webhook keys have 32 bytes,
    /// key ids 8, the PEM text of its 2048-bit keys about 1,900.
    #[must_use]
    pub fn max_bytes(self) -> usize {
        match self {
            Self::ClientId => 128,
            Self::ClientSecret | Self::WebhookKey => 256,
            Self::PublicKeyId => 64,
            Self::PrivateKey => 16 * 1024,
            Self::Passphrase => 1024,
            Self::EnterpriseId => 20,
        }
    }

    /// Returns the solution for a missing or invalid text.
    #[must_use]
    pub fn fix(self) -> &'static str {
        match self {
            Self::ClientId => {
                "Copy the Client ID from the app's Configuration tab in Box's developer console."
            }
            Self::ClientSecret => {
                "Copy the Client Secret from the app's Configuration tab in Box's developer console."
            }
            Self::PublicKeyId | Self::PrivateKey | Self::Passphrase => {
                "Make a new keypair on the app's Configuration tab in Box's developer console, and upload the \
                 file that is downloaded then."
            }
            Self::EnterpriseId => {
                "Give the Enterprise ID that the Box Admin Console shows under Account & Billing; a free account \
                 has none, so that the app has to belong to an enterprise."
            }
            Self::WebhookKey => {
                "Copy the key from the app's Webhooks tab in Box's developer console, or leave it out."
            }
        }
    }

    /// Checks a text that is not empty.
    ///
    /// # Errors
    /// A sentence, which does not quote the text, if it is too long or holds invalid characters.
    pub fn check(self, text: &str) -> Result<(), String> {
        if text.len() > self.max_bytes() {
            return Err(format!(
                "has {} bytes, more than the {} that are taken: is this another value?",
                text.len(),
                self.max_bytes()
            ));
        }
        match self {
            Self::ClientId => ClientId::parse(text).map(drop).map_err(|problem| problem.to_string()),
            Self::EnterpriseId => check_enterprise(text),
            Self::PublicKeyId => {
                let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
                ensure(text.bytes().all(letter), "a public key ID is letters and digits alone")
            }
            Self::ClientSecret | Self::WebhookKey => ensure(
                text.bytes().all(|byte| byte.is_ascii_graphic()),
                "holds a space, a line break or another character that Box's keys never hold: copy it again",
            ),
            Self::PrivateKey | Self::Passphrase => Ok(()),
        }
    }
}

/// Checks an enterprise ID. Each enterprise has a single spelling, so that it cannot be registered twice.
fn check_enterprise(text: &str) -> Result<(), String> {
    BoxId::parse(text).map_err(|_| "an enterprise ID is 1 to 20 decimal digits".to_owned())?;
    ensure(
        text.bytes().any(|byte| byte != b'0'),
        "enterprise 0 is a free Box account, which cannot use server authentication with JWT, nor has it an \
         enterprise for an app's service account: use an account that belongs to an enterprise",
    )?;
    ensure(!text.starts_with('0'), "an enterprise ID has no leading zeros")
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.to_owned()) }
}
