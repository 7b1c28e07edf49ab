//! A Box application: its public face, and the secrets that are sealed away from it.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::id::{AppId, ClientId, Generation, KeypairId, Name, TenantId};
use crate::secret::{SecretBytes, SecretString};

/// How the app authenticates at Box; chosen once, when the app is made in Box's console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// "Server Authentication (with JWT)".
    Jwt,
    /// "Server Authentication (Client Credentials Grant)".
    Ccg,
}

/// Whose an app is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppOwner {
    /// A vendor's app that may serve many tenants.
    Shared {
        /// The name it is registered under.
        name: Name,
    },
    /// One tenant's own, from that customer's config; it serves no other.
    Tenant {
        /// That tenant.
        id: TenantId,
    },
}

/// Whether an app may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    /// A pending tenant's own: its client ID is not held yet.
    Pending,
    /// In service.
    Active,
    /// Out of service until an admin says otherwise.
    Suspended,
    /// Out of service because of an incident, until somebody with `lockdown` lifts it.
    Locked,
}

/// What may be known of a signing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SigningKeyInfo {
    /// The id Box gave to the public key; sent as `kid`.
    pub public_key_id: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo, DER) in lower-case hex.
    pub sha256: String,
    /// The modulus' length in bits.
    pub bits: u32,
    /// When the broker began to use it.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// A Box app, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// The immutable id.
    pub id: AppId,
    /// Shared, or one tenant's own.
    pub owner: AppOwner,
    /// Box's id of the app.
    pub client_id: ClientId,
    /// JWT or CCG.
    pub auth: AuthMethod,
    /// The signing key's public face; `None` under CCG.
    pub key: Option<SigningKeyInfo>,
    /// Which state of the credentials is in use.
    pub generation: Generation,
    /// Tokens of earlier generations never leave, whatever credentials they were minted with.
    #[serde(default)]
    pub fence: Generation,
    /// In service or not.
    pub state: AppState,
    /// When the app was registered.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// Counts the row's changes.
    pub version: i64,
}

impl App {
    /// True for a vendor's app that may serve many tenants.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.owner, AppOwner::Shared { .. })
    }

    /// True for a JWT app whose key was made here and is not activated yet: it cannot sign.
    #[must_use]
    pub fn awaits_its_key(&self) -> bool {
        self.auth == AuthMethod::Jwt && self.key.is_none()
    }

    /// True where this app may serve that tenant.
    #[must_use]
    pub fn may_serve(&self, tenant: &TenantId) -> bool {
        match &self.owner {
            AppOwner::Shared { .. } => true,
            AppOwner::Tenant { id } => id == tenant,
        }
    }
}

/// A keypair that was made here: the public half goes to Box, the private one never leaves the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keypair {
    /// The immutable id.
    pub id: KeypairId,
    /// Whose it is.
    pub app: AppId,
    /// The public key (SubjectPublicKeyInfo) in PEM, as Box's console takes it.
    pub public_key: String,
    /// Its SHA-256 (DER) in lower-case hex.
    pub sha256: String,
    /// The modulus' length in bits.
    pub bits: u32,
    /// When it was made.
    pub created_at: Timestamp,
}

/// What the broker must know of an app and nobody else may. The passphrase is not among it: the key
/// is decrypted once, at registration, and kept only under the broker's own seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppSecrets {
    /// Box's id of the app that these are the secrets of; a customer's later app may have another.
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

/// A sealed document that opened but is not an app's secrets.
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
    /// These secrets with the webhook keys of `stored`, where they came without any and are the same app's: a
    /// request that tells none takes none away.
    #[must_use]
    pub fn with_webhook_keys_of(self, stored: &Self) -> Self {
        let there = |key: &Option<SecretString>| key.as_ref().is_some_and(|key| !key.is_empty());
        let has_some = there(&self.webhook_primary) || there(&self.webhook_secondary);
        if has_some || self.client_id != stored.client_id {
            return self;
        }
        let (webhook_primary, webhook_secondary) =
            (stored.webhook_primary.clone(), stored.webhook_secondary.clone());
        Self { webhook_primary, webhook_secondary, ..self }
    }

    /// The document that is sealed.
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
        // Texts always serialise.
        SecretBytes::new(serde_json::to_vec(&document).unwrap_or_default())
    }

    /// Reads the document that was sealed.
    ///
    /// # Errors
    /// Where it is anything else.
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
    fn secrets_come_back_from_their_document() {
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
    fn webhook_keys_are_kept_where_none_are_told_and_the_app_is_the_same() {
        let secret = |text: &str| Some(SecretString::new(text.to_owned()));
        let of = |client_id: &str, primary, secondary| AppSecrets {
            client_id: ClientId::parse(client_id).unwrap(),
            client_secret: SecretString::new("s".to_owned()),
            private_key: None,
            webhook_primary: primary,
            webhook_secondary: secondary,
        };
        let stored = of("abc", secret("one"), secret("two"));
        assert!(of("abc", None, None).with_webhook_keys_of(&stored) == stored);
        assert!(of("abc", secret(""), None).with_webhook_keys_of(&stored) == stored);
        let others =
            [of("abc", secret("three"), None), of("abc", None, secret("two")), of("xyz", None, None)];
        for other in others {
            assert!(other.clone().with_webhook_keys_of(&stored) == other);
        }
    }
}
