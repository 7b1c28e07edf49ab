//! The client: one method per thing that the broker wants of Box.

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
use super::retry::TimedResponse;
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

/// Box, as the settings say where it is. Its clones share connections and what was learnt of Box's
/// clock. Each call ends within 5 s.
#[derive(Clone, Debug)]
pub struct BoxClient {
    shared: Arc<ClientState>,
    /// True where what fails may be tried again in the hope that it passes.
    hopes: bool,
}

/// What all clones of a client share.
#[derive(Debug)]
pub(super) struct ClientState {
    pub(super) transport: Transport,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) offset: ClockOffset,
    /// How many calls may be tried again: a fifth of all, and ten a second in any case.
    pub(super) budget: TpsBudget,
    restricted_to: RestrictedToMode,
}

/// What came of an exchange.
#[derive(Debug)]
pub enum ExchangeOutcome {
    /// A token as restricted as was asked.
    Restricted(MintedToken),
    /// A token that reaches further, and how it is told. Nobody may have it: it is to be revoked.
    Overreaching(MintedToken, BoxError),
}

impl BoxClient {
    /// A client for the configured origin; nothing is sent yet.
    ///
    /// # Errors
    /// Where the address is neither https nor http on loopback, or proxy or CA file are no use.
    pub fn new(
        settings: &config::BoxSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, BoxClientError> {
        let transport = Transport::new(settings)?;
        let restricted_to = settings.restricted_to;
        let shared = Arc::new(ClientState {
            transport,
            clock,
            entropy,
            offset: ClockOffset::default(),
            budget: TpsBudget::new(Duration::from_secs(10), 10, 0.2),
            restricted_to,
        });
        Ok(Self { shared, hopes: true })
    }

    /// The same for those who only look whether Box is back: what fails is not tried again.
    #[must_use]
    pub fn for_probes(&self) -> Self {
        Self { hopes: false, ..self.clone() }
    }

    async fn ask(&self, ask: BoxRequest<'_>) -> Result<TimedResponse, BoxError> {
        self.shared.ask(ask, self.hopes).await
    }

    /// A full token for `subject`, by the app's own method. For a user the enterprise is not told to
    /// Box: whether the user belongs to it is the caller's to check.
    ///
    /// # Errors
    /// As [`BoxError`] says.
    pub async fn mint(
        &self,
        credentials: &BoxCredentials,
        enterprise: &BoxId,
        subject: &Subject,
    ) -> Result<MintedToken, BoxError> {
        let TimedResponse { answer, asked_at } =
            self.ask(BoxRequest::Mint { credentials, enterprise, subject }).await?;
        // Box says `[]` of a full token, which is restricted to nothing.
        Ok(MintedToken { restricted_to: None, ..MintedToken::read(&answer, asked_at)? })
    }

    /// A token that may do no more than `restriction` says, in exchange for `parent`; with
    /// `box.restricted_to = "enforce"` one that reaches further is told as such.
    ///
    /// # Errors
    /// [`BoxError::ParentDead`] where `parent` has to be minted anew, else as [`BoxError`] says.
    pub async fn downscope(
        &self,
        credentials: &BoxCredentials,
        parent: &SecretString,
        restriction: &Restriction,
    ) -> Result<ExchangeOutcome, BoxError> {
        let TimedResponse { answer, asked_at } =
            self.ask(BoxRequest::Exchange { credentials, parent, restriction }).await?;
        let mut child = MintedToken::read(&answer, asked_at)?;
        let granted = child.restricted_to.get_or_insert_default();
        match (restriction::check(restriction, granted), self.shared.restricted_to) {
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

    /// Ends a token. One that is dead already is a success.
    ///
    /// # Errors
    /// As [`BoxError`] says; the token may be alive then.
    pub async fn revoke(&self, credentials: &BoxCredentials, token: &SecretString) -> Result<(), BoxError> {
        match self.ask(BoxRequest::Revoke { credentials, token }).await {
            Ok(_) | Err(BoxError::TokenDead { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whose token this is: with a service account's, the user that customers invite to folders.
    ///
    /// # Errors
    /// [`BoxError::TokenDead`] where the token is, else as [`BoxError`] says.
    pub async fn service_account(&self, token: &SecretString) -> Result<ServiceAccount, BoxError> {
        #[derive(Deserialize)]
        struct Me {
            id: BoxId,
            login: String,
            name: String,
        }

        let ask = BoxRequest::Me { token, only_enterprise: false, as_user: None };
        let me: Me = read_json(&self.ask(ask).await?.answer, "a user")?;
        let printable = |text: &str| SentSecrets::default().printable(text);
        Ok(ServiceAccount { id: me.id, login: printable(&me.login), name: printable(&me.name) })
    }

    /// Whether Box still takes this token: anything but a 401 says so.
    ///
    /// # Errors
    /// As [`BoxError`] says, where Box does not answer.
    pub async fn is_alive(&self, token: &SecretString) -> Result<bool, BoxError> {
        match self.ask(BoxRequest::Me { token, only_enterprise: false, as_user: None }).await {
            Ok(_) | Err(BoxError::Refused { .. }) => Ok(true),
            Err(BoxError::TokenDead { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The enterprise of a user's token; `None` where Box names none, as for free accounts.
    ///
    /// # Errors
    /// [`BoxError::TokenDead`] where the token is, else as [`BoxError`] says.
    pub async fn enterprise_of(&self, token: &SecretString) -> Result<Option<BoxId>, BoxError> {
        #[derive(Deserialize)]
        struct Me {
            enterprise: Option<Enterprise>,
        }
        #[derive(Deserialize)]
        struct Enterprise {
            id: BoxId,
        }

        let ask = BoxRequest::Me { token, only_enterprise: true, as_user: None };
        let me: Me = read_json(&self.ask(ask).await?.answer, "a user's enterprise")?;
        Ok(me.enterprise.map(|enterprise| enterprise.id))
    }

    /// The folders that an item lies in, the outermost first, as far as the token's subject sees them;
    /// `None` where it does not see the item, or there is none.
    ///
    /// # Errors
    /// [`BoxError::TokenDead`] where the token is, else as [`BoxError`] says.
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

        match self.ask(BoxRequest::Ancestors { token, item }).await {
            Ok(answered) => {
                let item: Item = read_json(&answered.answer, "an item's path")?;
                Ok(Some(item.path_collection.entries.into_iter().map(|folder| folder.id).collect()))
            }
            Err(BoxError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tries the `As-User` header with a service account's token: whether Box answers as `user`.
    ///
    /// # Errors
    /// [`BoxError::Refused`] where the app may not act as the user so, else as [`BoxError`] says.
    pub async fn probe_as_user(&self, token: &SecretString, user: &BoxId) -> Result<(), BoxError> {
        #[derive(Deserialize)]
        struct Me {
            id: BoxId,
        }

        let ask = BoxRequest::Me { token, only_enterprise: false, as_user: Some(user) };
        let me: Me = read_json(&self.ask(ask).await?.answer, "a user")?;
        if me.id == *user {
            Ok(())
        } else {
            Err(BoxError::protocol("the As-User header was ignored: another user answered"))
        }
    }

    /// Box's clock minus ours, as far as it was learnt; zero at first. Assertions follow it.
    #[must_use]
    pub fn clock_offset(&self) -> SignedDuration {
        self.shared.offset.get()
    }

    /// Box's clock minus ours, by the `Date` of its last answer; `None` before the first.
    #[must_use]
    pub fn clock_difference(&self) -> Option<SignedDuration> {
        self.shared.offset.seen()
    }
}
