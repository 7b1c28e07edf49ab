//! The credentials with which an app authenticates at Box.

use std::sync::Arc;

use super::assertion::AssertionSigner;
use crate::domain::id::ClientId;
use crate::secret::SecretString;

/// One Box app's credentials, ready for use.
#[derive(Clone, Debug)]
pub struct BoxCredentials {
    /// Box's ID of the app.
    pub client_id: ClientId,
    /// The app's client secret.
    pub client_secret: SecretString,
    /// The authentication method.
    pub proof: AppAuthentication,
}

/// An app's authentication method, chosen when the app was created at Box.
#[derive(Clone, Debug)]
pub enum AppAuthentication {
    /// A signed assertion (RFC 7523): "Server Authentication (with JWT)".
    Jwt {
        /// The ID that Box gave to the public key; sent as `kid`.
        public_key_id: String,
        /// The signer with the private key.
        signer: Arc<dyn AssertionSigner>,
    },
    /// The client secret only: "Server Authentication (Client Credentials Grant)".
    Ccg,
}
