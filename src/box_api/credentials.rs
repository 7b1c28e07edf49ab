//! What an app proves itself with.

use std::sync::Arc;

use super::assertion::AssertionSigner;
use crate::domain::id::ClientId;
use crate::secret::SecretString;

/// One Box app's credentials, ready for use.
#[derive(Clone, Debug)]
pub struct BoxCredentials {
    /// Box's id of the app.
    pub client_id: ClientId,
    /// The app's client secret.
    pub client_secret: SecretString,
    /// What it shows beside the secret.
    pub proof: AppAuthentication,
}

/// What an app shows beside its secret, by the authentication method it was made for.
#[derive(Clone, Debug)]
pub enum AppAuthentication {
    /// A signed assertion (RFC 7523): "Server Authentication (with JWT)".
    Jwt {
        /// The id that Box gave to the public key; sent as `kid`.
        public_key_id: String,
        /// What signs with the private key.
        signer: Arc<dyn AssertionSigner>,
    },
    /// Nothing more: "Server Authentication (Client Credentials Grant)".
    Ccg,
}
