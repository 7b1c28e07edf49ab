//! Who was given a token.

use serde::{Deserialize, Serialize};

use super::audit_event::Credential;
use super::id::CallerId;

/// A caller who was given a token, and what it had come with then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipient {
    /// The caller.
    pub caller: CallerId,
    /// Its API key, or the token of an OIDC issuer by what its trust matched.
    pub credential: Credential,
}

impl Recipient {
    /// A caller who came with that. One token of an OIDC issuer is as good as another that says the same of
    /// whom it is for.
    #[must_use]
    pub fn new(caller: &CallerId, credential: &Credential) -> Self {
        let mut credential = credential.clone();
        if let Credential::Jwt { token_id, .. } = &mut credential {
            *token_id = None;
        }
        Self { caller: caller.clone(), credential }
    }

    /// How much memory it takes, in bytes: what a token of an OIDC issuer says may be long.
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

    /// True where it is this caller, who came with that.
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
