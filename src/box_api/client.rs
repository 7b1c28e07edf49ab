//! The client of Box: one method for each thing that the broker needs of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde::Deserialize;
use tower::retry::budget::TpsBudget;

use super::clock_offset::ClockOffset;
use super::credentials::BoxCredentials;
use super::error::{BoxClientError, BoxError};
use super::request::BoxRequest;
use super::restriction;
use super::retry::{RetryingTransport, TimedResponse};
use super::token_response::{MintedToken, read_json};
use super::transport::Transport;
use super::upstream::SentSecrets;
use crate::clock::Clock;
use crate::config::{self, RestrictedToMode};
use crate::domain::id::BoxId;
use crate::domain::resource::Resource;
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::domain::tenant::ServiceAccount;
use crate::entropy::Entropy;
use crate::secret::SecretString;

/// The client of Box. Its clones share connections and the learned clock offset. Each call ends within 5 s.
#[derive(Clone, Debug)]
pub struct BoxClient {
    shared: Arc<RetryingTransport>,
    restricted_to: RestrictedToMode,
    /// Whether failures that may be temporary are retried.
    may_repeat: bool,
}

/// The result of an exchange.
#[derive(Debug)]
pub enum ExchangeOutcome {
    /// A token that is as restricted as requested.
    Restricted(MintedToken),
    /// A token that reaches further, and the error that says so. It must not be released but revoked.
    Overreaching(MintedToken, BoxError),
}

impl BoxClient {
    /// Creates a client for the configured origin. It sends nothing yet.
    ///
    /// # Errors
    /// If the address is neither https nor http on loopback, or the proxy or CA file cannot be used.
    pub fn new(
        settings: &config::BoxSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, BoxClientError> {
        let transport = Transport::new(settings)?;
        let restricted_to = settings.restricted_to;
        let shared = Arc::new(RetryingTransport {
            transport,
            clock,
            entropy,
            offset: ClockOffset::default(),
            budget: TpsBudget::new(Duration::from_secs(10), 10, 0.2),
        });
        Ok(Self { shared, restricted_to, may_repeat: true })
    }

    /// Returns a client without retries, for callers that only check whether Box is back.
    #[must_use]
    pub fn for_probes(&self) -> Self {
        Self { may_repeat: false, ..self.clone() }
    }

    async fn send(&self, request: BoxRequest<'_>) -> Result<TimedResponse, BoxError> {
        self.shared.send(request, self.may_repeat).await
    }

    /// Mints a full token for `subject` by the app's own method. For a user, Box is not told the enterprise:
    /// the caller must check that the user belongs to it.
    ///
    /// # Errors
    /// [`BoxError`].
    pub async fn mint(
        &self,
        credentials: &BoxCredentials,
        enterprise: &BoxId,
        subject: &Subject,
    ) -> Result<MintedToken, BoxError> {
        let TimedResponse { response, asked_at } =
            self.send(BoxRequest::Mint { credentials, enterprise, subject }).await?;
        // Box answers `[]` for a full token, which is restricted to nothing.
        Ok(MintedToken { restricted_to: None, ..MintedToken::read(&response, asked_at)? })
    }

    /// Exchanges `parent` for a token that may do no more than `restriction`. With `box.restricted_to =
    /// "enforce"`, a token that reaches further is reported as such.
    ///
    /// # Errors
    /// [`BoxError::ParentDead`] if `parent` has to be minted anew, otherwise [`BoxError`].
    pub async fn downscope(
        &self,
        credentials: &BoxCredentials,
        parent: &SecretString,
        restriction: &Restriction,
    ) -> Result<ExchangeOutcome, BoxError> {
        let TimedResponse { response, asked_at } =
            self.send(BoxRequest::Exchange { credentials, parent, restriction }).await?;
        let mut child = MintedToken::read(&response, asked_at)?;
        let granted = child.restricted_to.get_or_insert_default();
        match (restriction::check(restriction, granted), self.restricted_to) {
            (Ok(()), _) => Ok(ExchangeOutcome::Restricted(child)),
            (Err(overreach), RestrictedToMode::Warn) => {
                tracing::warn!(%overreach, "Box restricted a token otherwise than asked; it is handed out");
                Ok(ExchangeOutcome::Restricted(child))
            }
            (Err(overreach), RestrictedToMode::Enforce) => {
                Ok(ExchangeOutcome::Overreaching(child, BoxError::protocol(overreach.to_string())))
            }
        }
    }

    /// Revokes a token. A token that is dead already is a success.
    ///
    /// # Errors
    /// [`BoxError`]; the token may be alive then.
    pub async fn revoke(&self, credentials: &BoxCredentials, token: &SecretString) -> Result<(), BoxError> {
        match self.send(BoxRequest::Revoke { credentials, token }).await {
            Ok(_) | Err(BoxError::TokenDead { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the user of this token. For a service account's token, this is the user that customers invite
    /// to folders.
    ///
    /// # Errors
    /// [`BoxError::TokenDead`] if the token is dead, otherwise [`BoxError`].
    pub async fn service_account(&self, token: &SecretString) -> Result<ServiceAccount, BoxError> {
        #[derive(Deserialize)]
        struct Me {
            id: BoxId,
            login: String,
            name: String,
        }

        let request = BoxRequest::Me { token, only_enterprise: false, as_user: None };
        let me: Me = read_json(&self.send(request).await?.response, "a user")?;
        let printable = |text: &str| SentSecrets::default().printable(text);
        Ok(ServiceAccount { id: me.id, login: printable(&me.login), name: printable(&me.name) })
    }

    /// Reports whether Box still accepts this token: any answer but 401 means that it does.
    ///
    /// # Errors
    /// [`BoxError`] if Box does not answer.
    pub async fn is_alive(&self, token: &SecretString) -> Result<bool, BoxError> {
        match self.send(BoxRequest::Me { token, only_enterprise: false, as_user: None }).await {
            Ok(_) | Err(BoxError::Refused { .. }) => Ok(true),
            Err(BoxError::TokenDead { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns the enterprise of a user's token; `None` if Box names none, as for free accounts.
    ///
    /// # Errors
    /// [`BoxError::TokenDead`] if the token is dead, otherwise [`BoxError`].
    pub async fn enterprise_of(&self, token: &SecretString) -> Result<Option<BoxId>, BoxError> {
        #[derive(Deserialize)]
        struct Me {
            enterprise: Option<Enterprise>,
        }
        #[derive(Deserialize)]
        struct Enterprise {
            id: BoxId,
        }

        let request = BoxRequest::Me { token, only_enterprise: true, as_user: None };
        let me: Me = read_json(&self.send(request).await?.response, "a user's enterprise")?;
        Ok(me.enterprise.map(|enterprise| enterprise.id))
    }

    /// Returns the folders that contain an item, the outermost first, as far as the token's subject sees
    /// them; `None` if it does not see the item or the item does not exist.
    ///
    /// # Errors
    /// [`BoxError::TokenDead`] if the token is dead, otherwise [`BoxError`].
    pub async fn ancestors(
        &self,
        token: &SecretString,
        item: &Resource,
    ) -> Result<Option<Vec<BoxId>>, BoxError> {
        #[derive(Deserialize)]
        struct Item {
            path_collection: Path,
        }
        #[derive(Deserialize)]
        struct Path {
            entries: Vec<Folder>,
        }
        #[derive(Deserialize)]
        struct Folder {
            id: BoxId,
        }

        match self.send(BoxRequest::Ancestors { token, item }).await {
            Ok(answered) => {
                let item: Item = read_json(&answered.response, "an item's path")?;
                Ok(Some(item.path_collection.entries.into_iter().map(|folder| folder.id).collect()))
            }
            Err(BoxError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tries the `As-User` header with a service account's token: succeeds if Box answers as `user`.
    ///
    /// # Errors
    /// [`BoxError::Refused`] if the app may not act as the user, otherwise [`BoxError`].
    pub async fn probe_as_user(&self, token: &SecretString, user: &BoxId) -> Result<(), BoxError> {
        #[derive(Deserialize)]
        struct Me {
            id: BoxId,
        }

        let request = BoxRequest::Me { token, only_enterprise: false, as_user: Some(user) };
        let me: Me = read_json(&self.send(request).await?.response, "a user")?;
        if me.id == *user {
            Ok(())
        } else {
            Err(BoxError::protocol("the As-User header was ignored: another user answered"))
        }
    }

    /// Returns Box's clock minus ours, as far as it was learned; zero at first. Assertions follow it.
    #[must_use]
    pub fn clock_offset(&self) -> SignedDuration {
        self.shared.offset.get()
    }

    /// Returns Box's clock minus ours by the `Date` of its last answer; `None` before the first.
    #[must_use]
    pub fn clock_difference(&self) -> Option<SignedDuration> {
        self.shared.offset.seen()
    }
}
