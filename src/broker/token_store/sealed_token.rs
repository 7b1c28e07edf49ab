//! The sealed document of a stored token. It holds everything that decides whether the token may be served.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::box_api::{BoxObject, MintedToken, RestrictedObject};
use crate::domain::scope::Scope;
use crate::domain::token_key::TokenKey;
use crate::secret::{SecretBytes, SecretString};

/// The content of a sealed token.
#[derive(Debug)]
pub(in crate::broker) struct SealedToken {
    pub secret: SecretString,
    /// The lifetime that Box gave.
    pub given: Duration,
    /// The begin of the lifetime.
    pub began: Timestamp,
    pub restricted_to: Option<Vec<RestrictedObject>>,
    /// The encoding of the key under which it was minted.
    key: Vec<u8>,
    /// True if it was discarded before it was ever served.
    discarded: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    access_token: std::borrow::Cow<'a, str>,
    /// In seconds.
    expires_in: u64,
    minted_at: Timestamp,
    restricted_to: Option<Vec<Entry>>,
    key: String,
    discarded: bool,
}

/// An entry of `restricted_to`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    scope: Scope,
    /// The type and the id of the object.
    object: Option<(String, String)>,
}

impl From<&RestrictedObject> for Entry {
    fn from(entry: &RestrictedObject) -> Self {
        let object = entry.object.as_ref().map(|object| (object.kind.clone(), object.id.clone()));
        Self { scope: entry.scope.clone(), object }
    }
}

impl From<Entry> for RestrictedObject {
    fn from(Entry { scope, object }: Entry) -> Self {
        Self { scope, object: object.map(|(kind, id)| BoxObject { kind, id }) }
    }
}

/// Returns the document to seal.
pub(super) fn document(key: &TokenKey, minted: &MintedToken, discarded: bool) -> SecretBytes {
    let document = Document {
        access_token: minted.token.expose().into(),
        expires_in: minted.life.as_secs(),
        minted_at: minted.asked_at.0,
        restricted_to: minted.restricted_to.as_ref().map(|entries| entries.iter().map(Entry::from).collect()),
        key: data_encoding::BASE64.encode(&key.encoding()),
        discarded,
    };
    // Texts and numbers always serialise.
    SecretBytes::new(serde_json::to_vec(&document).unwrap_or_default())
}

impl SealedToken {
    /// Parses the content of a seal; `None` if it is anything else.
    pub(in crate::broker) fn parse(document: &SecretBytes) -> Option<Self> {
        let document: Document<'_> = serde_json::from_slice(document.expose()).ok()?;
        Some(Self {
            secret: SecretString::new(document.access_token.into_owned()),
            given: Duration::from_secs(document.expires_in),
            began: document.minted_at,
            restricted_to: document
                .restricted_to
                .map(|entries| entries.into_iter().map(RestrictedObject::from).collect()),
            key: data_encoding::BASE64.decode(document.key.as_bytes()).ok()?,
            discarded: document.discarded,
        })
    }

    /// Returns the key under which it was minted.
    pub(in crate::broker) fn key(&self) -> Option<TokenKey> {
        TokenKey::decode(&self.key)
    }

    /// Returns true if it may be served under `key`; the row that led here is not trusted.
    pub(in crate::broker) fn serves(&self, key: &TokenKey) -> bool {
        !self.discarded && self.key == key.encoding()
    }
}
