//! A Box application: its credentials, its settings, and the enterprises that approved it.

use std::collections::BTreeSet;
use std::fmt;

use rsa::sha2::{Digest as _, Sha256};

use crate::config::PublicKey;
use crate::digest::hex;
use crate::scopes;

/// The way in which an app authenticates; fixed when the app is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppAuthMethod {
    /// Server authentication with a signed assertion.
    Jwt,
    /// The client credentials grant.
    ClientCredentials,
}

/// A Box application.
#[derive(Clone)]
pub struct BoxApp {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
    /// The authentication method.
    pub auth: AppAuthMethod,
    /// The public keys, at most one per `kid`.
    pub keys: Vec<PublicKey>,
    /// The ids of the enterprises whose admin authorised the app.
    pub authorized: BTreeSet<String>,
    /// The setting "Generate User Access Tokens".
    pub user_tokens: bool,
    /// The setting "Make API calls using the as-user header".
    pub as_user_header: bool,
    /// The setting "App + Enterprise Access". Without it, the app cannot act for managed users.
    pub enterprise_access: bool,
    /// The scopes granted to the app. Its full tokens have them all.
    pub scopes: BTreeSet<String>,
    /// The allowed CORS origins.
    pub origins: BTreeSet<String>,
    /// The lifetime of this app's full tokens in seconds; `None` for the sandbox's default.
    pub token_lifetime: Option<i64>,
    /// The lifetime of this app's downscoped tokens in seconds; `None` for the sandbox's default.
    pub downscoped_lifetime: Option<i64>,
}

impl BoxApp {
    /// Returns an app with every setting switched on and every known scope, but without keys, CORS origins and
    /// authorisations.
    #[must_use]
    pub fn new(client_id: impl Into<String>, client_secret: impl Into<String>, auth: AppAuthMethod) -> Self {
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
            token_lifetime: None,
            downscoped_lifetime: None,
        }
    }

    /// Adds a public key, or replaces the one with the same id.
    pub fn put_key(&mut self, key: PublicKey) {
        self.keys.retain(|known| known.kid != key.kid);
        self.keys.push(key);
    }

    /// Returns the app's service account in an enterprise.
    #[must_use]
    pub fn automation_user(&self, enterprise: &str) -> AutomationUser {
        AutomationUser::derive(&self.client_id, enterprise)
    }

    /// Reports whether `id` is the service account that this app has in some enterprise.
    pub(crate) fn is_automation_user(&self, id: &str) -> bool {
        self.authorized.iter().any(|enterprise| self.automation_user(enterprise).id == id)
    }
}

/// Omits the client secret.
impl fmt::Debug for BoxApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxApp")
            .field("client_id", &self.client_id)
            .field("auth", &self.auth)
            .field("authorized", &self.authorized)
            .finish_non_exhaustive()
    }
}

/// The service account of an app in one enterprise. It is derived from the two ids, so it is the same in each run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutomationUser {
    /// The user id: eleven digits of which the first is 4.
    pub id: String,
    /// The login, `AutomationUser_…@boxdevedition.com`.
    pub login: String,
    /// The display name.
    pub name: String,
}

impl AutomationUser {
    fn derive(client_id: &str, enterprise: &str) -> Self {
        let digest = Sha256::digest(format!("{client_id}/{enterprise}"));
        let number = digest.iter().take(8).fold(0_u64, |number, &byte| (number << 8) | u64::from(byte));
        let suffix = hex(&digest[8..13]);
        Self {
            id: (40_000_000_000 + number % 10_000_000_000).to_string(),
            login: format!("AutomationUser_{}_{suffix}@boxdevedition.com", number % 1_000_000),
            name: format!("App {}", client_id.chars().take(8).collect::<String>()),
        }
    }
}
