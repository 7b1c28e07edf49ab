//! A Box application: its public part, and the secrets that are sealed in a document of their own.
//!
//! It owns the form of that document; sealing and storing it belong to other modules.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::id::{AppId, ClientId, Generation, KeypairId, Name, TenantId};
use crate::secret::{SecretBytes, SecretString};

/// The method by which the app authenticates at Box, chosen when the app is created in Box's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// "Server Authentication (with JWT)".
    Jwt,
    /// "Server Authentication (Client Credentials Grant)".
    Ccg,
}

/// The owner of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppOwner {
    /// A vendor's app that may serve many tenants.
    Shared {
        /// The name under which it is registered.
        name: Name,
    },
    /// One tenant's own app, from that customer's config file. It serves no other tenant.
    Tenant {
        /// The tenant's id.
        id: TenantId,
    },
}

/// The state of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// The own app of a pending tenant: its client ID is not reserved yet.
    Pending,
    /// In service.
    Active,
    /// Out of service until an admin reactivates it.
    Suspended,
    /// Out of service because of an incident, until a caller with `lockdown` lifts the lock.
    Locked,
}

/// The public facts about a signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SigningKeyInfo {
    /// The id that Box gave to the public key; sent as `kid`.
    pub public_key_id: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER) in lower-case hex.
    pub sha256: String,
    /// The modulus' length in bits.
    pub bits: u32,
    /// The time at which the broker began to use it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A Box app, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// The immutable id.
    pub id: AppId,
    /// A vendor or one tenant.
    pub owner: AppOwner,
    /// Box's id of the app.
    pub client_id: ClientId,
    /// The authentication method: JWT or CCG.
    pub auth: AuthMethod,
    /// The public facts about the signing key; `None` under CCG.
    pub key: Option<SigningKeyInfo>,
    /// The generation of the credentials in use.
    pub generation: Generation,
    /// Tokens of earlier generations are never released, whichever credentials they were minted with.
    #[serde(default)]
    pub fence: Generation,
    /// The state of the app.
    pub state: AppState,
    /// The time of registration.
    pub created_at: Timestamp,
    /// The time of the row's last change.
    pub updated_at: Timestamp,
    /// The number of the row's version, one more with each change.
    pub version: i64,
}

impl App {
    /// Returns true if this is a vendor's app that may serve many tenants.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.owner, AppOwner::Shared { .. })
    }

    /// Returns true if this is a JWT app whose keypair the broker generated and nobody has activated yet, so that
    /// it cannot sign.
    #[must_use]
    pub fn is_awaiting_key(&self) -> bool {
        self.auth == AuthMethod::Jwt && self.key.is_none()
    }

    /// Returns true if this app may serve the tenant.
    #[must_use]
    pub fn may_serve(&self, tenant: &TenantId) -> bool {
        match &self.owner {
            AppOwner::Shared { .. } => true,
            AppOwner::Tenant { id } => id == tenant,
        }
    }
}

/// A keypair that the broker generated: the public key goes to Box, the private key never leaves the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keypair {
    /// The immutable id.
    pub id: KeypairId,
    /// The app that it belongs to.
    pub app: AppId,
    /// The public key (SubjectPublicKeyInfo) in PEM, as Box's console takes it.
    pub public_key: String,
    /// Its SHA-256 (DER) in lower-case hex.
    pub sha256: String,
    /// The modulus' length in bits.
    pub bits: u32,
    /// The time at which it was generated.
    pub created_at: Timestamp,
}

/// The secrets of an app. They do not include the passphrase: the key is decrypted once, at registration, and is
/// then kept only under the broker's own seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSecrets {
    /// Box's id of the app that the secrets belong to; a customer's later app may have another.
    pub client_id: ClientId,
    /// The app's client secret.
    pub client_secret: SecretString,
    /// The private key, unencrypted PKCS#8 in DER; `None` under CCG.
    pub private_key: Option<SecretBytes>,
    /// The key for `BOX-SIGNATURE-PRIMARY`.
    pub webhook_primary: Option<SecretString>,
    /// The key for `BOX-SIGNATURE-SECONDARY`.
    pub webhook_secondary: Option<SecretString>,
}

/// The error for a sealed document that was opened but does not hold an app's secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed document does not hold an app's secrets")]
pub struct SecretsDecodeError;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    #[serde(borrow)]
    client_id: Cow<'a, str>,
    #[serde(borrow)]
    client_secret: Cow<'a, str>,
    #[serde(borrow)]
    private_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    webhook_primary: Option<Cow<'a, str>>,
    #[serde(borrow)]
    webhook_secondary: Option<Cow<'a, str>>,
}

impl AppSecrets {
    /// Returns these secrets with the webhook keys of `stored` if they have none of their own and belong to the same
    /// app: a request without webhook keys does not remove the stored ones.
    #[must_use]
    pub fn with_webhook_keys_from(self, stored: &Self) -> Self {
        let is_set = |key: &Option<SecretString>| key.as_ref().is_some_and(|key| !key.is_empty());
        let has_some = is_set(&self.webhook_primary) || is_set(&self.webhook_secondary);
        if has_some || self.client_id != stored.client_id {
            return self;
        }
        let (webhook_primary, webhook_secondary) =
            (stored.webhook_primary.clone(), stored.webhook_secondary.clone());
        Self { webhook_primary, webhook_secondary, ..self }
    }

    /// Returns the document that is sealed.
    #[must_use]
    pub fn to_document(&self) -> SecretBytes {
        let private_key =
            self.private_key.as_ref().map(|key| Zeroizing::new(data_encoding::BASE64.encode(key.expose())));
        let document = Document {
            client_id: Cow::Borrowed(self.client_id.as_str()),
            client_secret: Cow::Borrowed(self.client_secret.expose()),
            private_key: private_key.as_ref().map(|text| Cow::Borrowed(text.as_str())),
            webhook_primary: self.webhook_primary.as_ref().map(|key| Cow::Borrowed(key.expose())),
            webhook_secondary: self.webhook_secondary.as_ref().map(|key| Cow::Borrowed(key.expose())),
        };
        // A document of strings alone always serialises.
        SecretBytes::new(serde_json::to_vec(&document).unwrap_or_default())
    }

    /// Reads a document that was sealed.
    ///
    /// # Errors
    /// [`SecretsDecodeError`] if it has any other form.
    pub fn from_document(document: &SecretBytes) -> Result<Self, SecretsDecodeError> {
        let document: Document<'_> =
            serde_json::from_slice(document.expose()).map_err(|_| SecretsDecodeError)?;
        let secret = |text: Cow<'_, str>| SecretString::new(text.into_owned());
        let private_key = document
            .private_key
            .map(|text| data_encoding::BASE64.decode(text.as_bytes()).map(SecretBytes::new))
            .transpose()
            .map_err(|_| SecretsDecodeError)?;
        Ok(Self {
            client_id: ClientId::parse(&document.client_id).map_err(|_| SecretsDecodeError)?,
            client_secret: secret(document.client_secret),
            private_key,
            webhook_primary: document.webhook_primary.map(secret),
            webhook_secondary: document.webhook_secondary.map(secret),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_survive_their_document() {
        let secrets = AppSecrets {
            client_id: ClientId::parse("abc").unwrap(),
            client_secret: SecretString::new("quote \" and\nbreak".to_owned()),
            private_key: Some(SecretBytes::new(vec![0, 255, 7])),
            webhook_primary: Some(SecretString::new("w".to_owned())),
            webhook_secondary: None,
        };
        assert!(AppSecrets::from_document(&secrets.to_document()) == Ok(secrets));
        assert_eq!(AppSecrets::from_document(&SecretBytes::new(b"{}".to_vec())), Err(SecretsDecodeError));
    }

    #[test]
    fn webhook_keys_are_kept_if_none_are_sent_for_the_same_app() {
        let secret = |text: &str| Some(SecretString::new(text.to_owned()));
        let of = |client_id: &str, primary, secondary| AppSecrets {
            client_id: ClientId::parse(client_id).unwrap(),
            client_secret: SecretString::new("s".to_owned()),
            private_key: None,
            webhook_primary: primary,
            webhook_secondary: secondary,
        };
        let stored = of("abc", secret("one"), secret("two"));
        assert!(of("abc", None, None).with_webhook_keys_from(&stored) == stored);
        assert!(of("abc", secret(""), None).with_webhook_keys_from(&stored) == stored);
        let others =
            [of("abc", secret("three"), None), of("abc", None, secret("two")), of("xyz", None, None)];
        for other in others {
            assert!(other.clone().with_webhook_keys_from(&stored) == other);
        }
    }
}
