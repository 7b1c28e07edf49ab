//! The callers to whom a token was released.

use serde::{Deserialize, Serialize};

use super::audit_event::Credential;
use super::id::CallerId;

/// A caller to whom a token was released, with the credential that it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The caller's id.
    pub caller: CallerId,
    /// The API key, or the OIDC token without its `jti`.
    pub credential: Credential,
}

impl Recipient {
    /// Returns the recipient for this caller and credential. OIDC tokens that differ in their `jti` alone count as
    /// one credential.
    #[must_use]
    pub fn new(caller: &CallerId, credential: &Credential) -> Self {
        let mut credential = credential.clone();
        if let Credential::Jwt { token_id, .. } = &mut credential {
            *token_id = None;
        }
        Self { caller: caller.clone(), credential }
    }

    /// Returns the memory used, in bytes: the issuer and subject of an OIDC token may be long.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let credential = match &self.credential {
            Credential::Key(id) => id.as_str().len(),
            Credential::Jwt { issuer, subject, trust, .. } => {
                issuer.len() + subject.len() + trust.as_str().len()
            }
            Credential::Session(id) => id.as_str().len(),
        };
        size_of::<Self>() + self.caller.as_str().len() + credential
    }

    /// Returns true if this is the recipient for the caller and credential.
    #[must_use]
    pub fn is(&self, caller: &CallerId, credential: &Credential) -> bool {
        let same = match (&self.credential, credential) {
            (Credential::Key(one), Credential::Key(other)) => one == other,
            (
                Credential::Jwt { issuer, subject, trust, .. },
                Credential::Jwt { issuer: its_issuer, subject: its_subject, trust: its_trust, .. },
            ) => (issuer, subject, trust) == (its_issuer, its_subject, its_trust),
            _ => false,
        };
        same && self.caller == *caller
    }
}
