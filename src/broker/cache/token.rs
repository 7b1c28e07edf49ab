//! A token in memory, with the state that decides how it is served, renewed and checked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::lifetime::TokenLifetime;
use super::recipient_set::RecipientSet;
use crate::auth::AuthenticatedCaller;
use crate::box_api::RestrictedObject;
use crate::broker::error::TokenError;
use crate::clock::{Clock, Monotonic};
use crate::crypto::sha256_hex;
use crate::domain::id::TokenId;
use crate::domain::token_key::TokenKey;
use crate::secret::SecretString;

/// The time until a failed renewal is tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// The times by which a token is renewed.
#[derive(Clone, Copy, Debug)]
pub struct RenewalTimes {
    /// The remaining lifetime at which the next request renews it.
    pub margin: Duration,
    /// The time at which it is renewed without a request, if it is in use.
    pub at: Monotonic,
}

/// A token that Box gave.
#[derive(Debug)]
pub struct AccessToken {
    /// The token itself.
    pub secret: SecretString,
    /// The time for which it may be used.
    pub lifetime: TokenLifetime,
    /// The times by which it is renewed.
    pub renewal: RenewalTimes,
    /// The restriction that Box reported; `None` for a full token.
    pub restricted_to: Option<Vec<RestrictedObject>>,
    /// The key under which it was minted.
    pub key: TokenKey,
    /// Its SHA-256, in lower-case hex.
    pub fingerprint: Box<str>,
    /// The id of its row in the store.
    pub row: TokenId,
    /// The callers to whom it was given; only for a full token.
    pub recipients: RecipientSet,
    /// True once a caller received it by a token exchange.
    exchanged: AtomicBool,
    /// True once a caller received it from memory.
    used: AtomicBool,
    /// The time at which its last renewal began.
    renewal_began: Mutex<Option<Monotonic>>,
    liveness: Mutex<Liveness>,
}

/// The results of the last liveness checks of a token.
#[derive(Debug, Default)]
struct Liveness {
    /// The time at which Box last accepted it.
    confirmed: Option<Monotonic>,
    /// The time and the error of the last check that got no result.
    failed: Option<(Monotonic, TokenError)>,
}

impl AccessToken {
    /// Returns a token that nobody has used or renewed yet.
    #[must_use]
    pub fn new(
        secret: SecretString,
        lifetime: TokenLifetime,
        renewal: RenewalTimes,
        restricted_to: Option<Vec<RestrictedObject>>,
        (key, row): (TokenKey, TokenId),
    ) -> Self {
        Self {
            fingerprint: sha256_hex(secret.expose().as_bytes()).into(),
            secret,
            lifetime,
            renewal,
            restricted_to,
            key,
            row,
            recipients: RecipientSet::default(),
            exchanged: AtomicBool::new(false),
            used: AtomicBool::new(false),
            renewal_began: Mutex::new(None),
            liveness: Mutex::default(),
        }
    }

    /// Records that a liveness check got no result from Box.
    pub(in crate::broker) fn note_failed_check(&self, error: &TokenError, clock: &dyn Clock) {
        self.liveness().failed = Some((clock.monotonic(), error.clone()));
    }

    /// Returns the error of a liveness check that failed less than `time` ago, and the rest of that time.
    pub(in crate::broker) fn failed_check_within(
        &self,
        time: Duration,
        clock: &dyn Clock,
    ) -> Option<(TokenError, Duration)> {
        let liveness = self.liveness();
        let (at, error) = liveness.failed.as_ref()?;
        let left = time.saturating_sub(clock.monotonic().since(*at));
        (!left.is_zero()).then(|| (error.clone(), left))
    }

    /// Records that Box accepts the token.
    pub(in crate::broker) fn note_alive(&self, clock: &dyn Clock) {
        self.liveness().confirmed = Some(clock.monotonic());
    }

    /// Returns true if Box accepted the token less than `time` ago.
    pub(in crate::broker) fn was_alive_within(&self, time: Duration, clock: &dyn Clock) -> bool {
        let confirmed = self.liveness().confirmed;
        confirmed.is_some_and(|confirmed| clock.monotonic().since(confirmed) < time)
    }

    /// Records that a caller received the token by a token exchange.
    pub fn note_exchange(&self) {
        self.exchanged.store(true, Ordering::Relaxed);
    }

    /// Returns true if a caller of the OAuth token endpoint may have received the token before: for a full
    /// token this caller, for a restricted one anybody by a token exchange, which needs no credentials.
    #[must_use]
    pub fn may_have_been_received_by(&self, caller: &AuthenticatedCaller) -> bool {
        match self.key.restriction {
            None => self.recipients.contains(caller),
            Some(_) => self.exchanged.load(Ordering::Relaxed),
        }
    }

    /// Records that a caller received the token from memory.
    pub(in crate::broker) fn note_use(&self) {
        // It is nearly always set already; without a write the cache line stays shared between cores.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Returns true if a caller received the token from memory.
    pub(in crate::broker) fn is_in_use(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns true if more than `needed` of its lifetime remains.
    pub(in crate::broker) fn outlives(&self, needed: Duration, clock: &dyn Clock) -> bool {
        self.lifetime.left(clock) > needed
    }

    /// Returns true if no more of its lifetime remains than its renewal margin.
    #[must_use]
    pub fn is_within_margin(&self, clock: &dyn Clock) -> bool {
        !self.outlives(self.renewal.margin, clock)
    }

    /// Returns true to the one request that renews the token: the first inside its margin, and the first
    /// after each pause while renewals fail.
    pub(in crate::broker) fn begins_renewal(&self, clock: &dyn Clock) -> bool {
        if !self.is_within_margin(clock) {
            return false;
        }
        let now = clock.monotonic();
        let mut began = self.renewal_began.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = began.is_none_or(|last| now.since(last) >= RENEWAL_PAUSE);
        if is_due {
            *began = Some(now);
        }
        is_due
    }

    /// Returns the bytes of memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let restricted = self.restricted_to.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.secret.expose().len() + self.fingerprint.len() + restricted * 160
    }

    fn liveness(&self) -> MutexGuard<'_, Liveness> {
        self.liveness.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
