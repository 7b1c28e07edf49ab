//! A Box application as the sandbox knows it.

use std::collections::BTreeSet;
use std::fmt;

use rsa::sha2::{Digest as _, Sha256};

use crate::scopes;

/// How an app proves who it is; chosen once, when the app is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// Server authentication with a signed assertion.
    Jwt,
    /// The client credentials grant.
    Ccg,
}

/// A public key that an app's owner uploaded.
#[derive(Clone, Debug)]
pub struct PublicKey {
    /// The key's id, which assertions name in their header.
    pub kid: String,
    /// The key as PKCS#1 DER (RFC 8017, A.1.1).
    pub der: Vec<u8>,
}

/// A Box application: its credentials, its settings and who approved it.
#[derive(Clone)]
pub struct App {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
    /// How the app authenticates.
    pub auth: AuthMethod,
    /// The public keys, at most one per `kid`.
    pub keys: Vec<PublicKey>,
    /// The enterprises whose admin authorised the app. Others of the world did not.
    pub authorized: BTreeSet<String>,
    /// "Generate User Access Tokens".
    pub user_tokens: bool,
    /// "Make API calls using the as-user header".
    pub as_user_header: bool,
    /// "App + Enterprise Access", without which managed users are out of reach.
    pub enterprise_access: bool,
    /// The scopes granted to the app: an exchange may ask for these, and tokens carry them.
    pub scopes: BTreeSet<String>,
    /// The allowed CORS origins.
    pub origins: BTreeSet<String>,
    /// The life of this app's full tokens in seconds, where it differs from the sandbox's.
    pub token_life: Option<i64>,
    /// The life of this app's downscoped tokens in seconds, where it differs from the sandbox's.
    pub child_life: Option<i64>,
}

impl App {
    /// An app with every setting switched on and every known scope, authorised nowhere yet, without
    /// keys and origins.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>, auth: AuthMethod) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            auth,
            keys: Vec::new(),
            authorized: BTreeSet::new(),
            user_tokens: true,
            as_user_header: true,
            enterprise_access: true,
            scopes: scopes::KNOWN.iter().map(|&scope| scope.to_owned()).collect(),
            origins: BTreeSet::new(),
            token_life: None,
            child_life: None,
        }
    }

    /// Adds a public key, or replaces the one with its id.
    pub fn put_key(&mut self, key: PublicKey) {
        self.keys.retain(|known| known.kid != key.kid);
        self.keys.push(key);
    }

    /// The app's service account in an enterprise.
    #[must_use]
    pub fn service_account(&self, enterprise: &str) -> ServiceAccount {
        ServiceAccount::of(&self.client_id, enterprise)
    }

    /// Whether `id` is the service account that this app has in some enterprise.
    pub(crate) fn is_service_account(&self, id: &str) -> bool {
        self.authorized.iter().any(|enterprise| self.service_account(enterprise).id == id)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("client_id", &self.client_id)
            .field("auth", &self.auth)
            .field("authorized", &self.authorized)
            .finish_non_exhaustive()
    }
}

/// The account that stands for an app in one enterprise. It follows from the two ids, so that it is
/// the same in each run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceAccount {
    /// Its user id: eleven digits that begin with 4.
    pub id: String,
    /// `AutomationUser_…@boxdevedition.com`.
    pub login: String,
    /// The app's name, as Box has it.
    pub name: String,
}

impl ServiceAccount {
    fn of(client_id: &str, enterprise: &str) -> Self {
        let digest = Sha256::digest(format!("{client_id}/{enterprise}"));
        let number = digest.iter().take(8).fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
        let tail: String = digest.iter().skip(8).take(5).map(|byte| format!("{byte:02x}")).collect();
        Self {
            id: (40_000_000_000 + number % 10_000_000_000).to_string(),
            login: format!("AutomationUser_{}_{tail}@boxdevedition.com", number % 1_000_000),
            name: format!("App {}", client_id.chars().take(8).collect::<String>()),
        }
    }
}
