//! The keys of OIDC issuers: fetched on demand by one task at a time, and kept for when the issuer is away. No
//! token makes the broker ask an issuer more often than once per cool-down.

mod fetch;
mod key;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::task::TaskTracker;

use self::fetch::JwksSource;
pub(super) use self::key::{IssuerKey, KeyWanted};
use self::key::{KeyLookupError, VerificationKeys};
use super::{AuthError, IssuerUnavailable, TokenRejection};
use crate::clock::{Clock, Monotonic};
use crate::config;

/// The age at which keys in use are fetched again, in the background.
const REFRESHED: Duration = Duration::from_secs(10 * 60);
/// The idle time after which keys are fetched again before they are used.
const IDLE: Duration = Duration::from_secs(20 * 60);
/// The greatest age of keys while the issuer does not answer.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// The time between two fetches from an issuer.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// The same while there are no keys at all.
const SHORT_COOL_DOWN: Duration = Duration::from_secs(5);

/// The issuers of the settings.
#[derive(Debug)]
pub(super) struct Issuers(HashMap<String, Arc<OidcIssuer>>);

/// One issuer and its cached keys.
#[derive(Debug)]
pub(super) struct OidcIssuer {
    name: Arc<str>,
    source: JwksSource,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    known: Mutex<KnownKeys>,
    /// Held while keys are fetched.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct KnownKeys {
    keys: Option<(Arc<VerificationKeys>, Monotonic)>,
    tried_at: Option<Monotonic>,
    failure: Option<String>,
}

/// An issuer that cannot be contacted because of its settings or the machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the keys of {issuer} (`auth.oidc`) cannot be fetched from this machine: {reason}")]
pub struct IssuerSetupError {
    issuer: String,
    reason: String,
}

impl Issuers {
    /// Creates the issuers of the settings. It fetches nothing before it is needed.
    pub(super) fn new(
        settings: &[config::IssuerSettings],
        clock: &Arc<dyn Clock>,
        tasks: &TaskTracker,
    ) -> Result<Self, IssuerSetupError> {
        let each = settings.iter().map(|one| {
            let problem = |reason| IssuerSetupError { issuer: one.issuer.clone(), reason };
            let issuer = OidcIssuer {
                name: one.issuer.as_str().into(),
                source: JwksSource::new(one).map_err(problem)?,
                clock: Arc::clone(clock),
                tasks: tasks.clone(),
                known: Mutex::default(),
                fetching: tokio::sync::Mutex::default(),
            };
            Ok((one.issuer.clone(), Arc::new(issuer)))
        });
        each.collect::<Result<_, _>>().map(Self)
    }

    /// Returns the issuer with exactly this name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<OidcIssuer>> {
        self.0.get(name)
    }
}

impl KnownKeys {
    /// Returns the keys if they are not too old to be used.
    fn keys(&self, now: Monotonic) -> Option<&Arc<VerificationKeys>> {
        self.keys.as_ref().filter(|(_, at)| now.since(*at) < OLDEST).map(|(keys, _)| keys)
    }

    /// Returns the remaining cool-down.
    fn rest(&self, now: Monotonic) -> Duration {
        let Some(tried_at) = self.tried_at else { return Duration::ZERO };
        let cool_down = if self.keys(now).is_some() { COOL_DOWN } else { SHORT_COOL_DOWN };
        cool_down.saturating_sub(now.since(tried_at))
    }

    fn is_idle(&self, now: Monotonic) -> bool {
        self.keys(now).is_none() || self.tried_at.is_none_or(|at| now.since(at) >= IDLE)
    }

    fn is_due(&self, now: Monotonic) -> bool {
        self.keys.as_ref().is_none_or(|(_, at)| now.since(*at) >= REFRESHED)
    }
}

/// Returns the key of a published set (RFC 7517) that a token claims to be signed with.
pub(super) fn key_in(set: &[u8], wanted: KeyWanted<'_>) -> Result<Arc<IssuerKey>, TokenRejection> {
    let document = serde_json::from_slice(set).map_err(|_| TokenRejection::UnknownKey)?;
    Ok(VerificationKeys::read(document).find(wanted)?)
}

impl From<KeyLookupError> for TokenRejection {
    fn from(none: KeyLookupError) -> Self {
        match none {
            KeyLookupError::Unknown => Self::UnknownKey,
            KeyLookupError::OtherAlgorithm => Self::Algorithm,
            KeyLookupError::Ambiguous => Self::KeyNotNamed,
        }
    }
}

impl OidcIssuer {
    /// Returns the key that a token claims to be signed with.
    ///
    /// # Errors
    /// If the issuer has no such key, or this cannot be decided now.
    pub(super) async fn key(self: &Arc<Self>, wanted: KeyWanted<'_>) -> Result<Arc<IssuerKey>, AuthError> {
        self.bring_up_to_date().await;
        let found = self.keys()?.find(wanted);
        let found = match found {
            // The key may be new. Within the cool-down nothing is fetched.
            Err(KeyLookupError::Unknown) if self.may_ask() => {
                self.refresh().await;
                self.keys()?.find(wanted)
            }
            found => found,
        };
        found.map_err(|none| AuthError::Token(none.into()))
    }

    /// Fetches keys that are missing or idle, and refreshes others in the background.
    async fn bring_up_to_date(self: &Arc<Self>) {
        let now = self.clock.monotonic();
        let (is_idle, is_due) = {
            let known = self.lock();
            (known.is_idle(now), known.is_due(now))
        };
        if !is_due || !self.may_ask() {
            return;
        }
        if is_idle {
            self.refresh().await;
        } else if self.fetching.try_lock().is_ok() {
            let issuer = Arc::clone(self);
            self.tasks.spawn(async move { issuer.fetch().await });
        }
    }

    fn keys(&self) -> Result<Arc<VerificationKeys>, AuthError> {
        let now = self.clock.monotonic();
        let known = self.lock();
        known.keys(now).cloned().ok_or_else(|| {
            AuthError::IssuerUnavailable(IssuerUnavailable {
                issuer: Arc::clone(&self.name),
                reason: known.failure.clone().unwrap_or_default(),
                retry_after: known.rest(now),
            })
        })
    }

    fn may_ask(&self) -> bool {
        self.lock().rest(self.clock.monotonic()).is_zero()
    }

    /// Fetches the keys in a task of its own and waits for it, so that a caller that hangs up ends the fetch
    /// for nobody else.
    async fn refresh(self: &Arc<Self>) {
        let issuer = Arc::clone(self);
        // A panic is reported by itself, and the cached keys stay.
        let _ = self.tasks.spawn(async move { issuer.fetch().await }).await;
    }

    /// Fetches the keys unless another task just did.
    async fn fetch(&self) {
        let _alone = self.fetching.lock().await;
        if !self.may_ask() {
            return;
        }
        let fetched = self.source.keys().await;
        let now = self.clock.monotonic();
        let mut known = self.lock();
        known.tried_at = Some(now);
        match fetched {
            Ok(keys) => {
                known.keys = Some((Arc::new(keys), now));
                known.failure = None;
            }
            Err(reason) => {
                tracing::warn!(issuer = &*self.name, %reason, "the keys of an issuer cannot be fetched");
                known.failure = Some(reason);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, KnownKeys> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
