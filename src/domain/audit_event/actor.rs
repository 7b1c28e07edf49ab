//! The party behind an action, and the credential that it used.

use serde::{Deserialize, Serialize};

use crate::domain::id::{CallerId, KeyId, Name, SessionId, TrustId};

/// The credential with which a caller authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Credential {
    /// An API key.
    Key(KeyId),
    /// A token of an OIDC issuer, matched by a trust of the caller.
    Jwt {
        /// Its `iss`.
        issuer: String,
        /// Its `sub`.
        subject: String,
        /// Its `jti`, if it has one.
        token_id: Option<String>,
        /// The trust that matched it.
        trust: TrustId,
    },
    /// A browser session that the caller opened.
    Session(SessionId),
}

/// The party that acted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// An authenticated caller and its credential.
    Caller {
        /// The caller's id.
        id: CallerId,
        /// The caller's name at the time.
        name: Name,
        /// The credential that it authenticated with.
        credential: Credential,
    },
    /// A client that sent no credential, or one that was not accepted.
    Unknown,
    /// An operator at the command line, with access to the database.
    CommandLine,
    /// The broker itself, for example when it purges a deleted tenant.
    Broker,
}
