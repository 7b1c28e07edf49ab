//! A token in memory, and what is known of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::auth::AuthenticatedCaller;
use crate::box_api::RestrictedObject;
use crate::broker::cache::lifetime::TokenLifetime;
use crate::broker::error::TokenError;
use crate::broker::recipients::RecipientSet;
use crate::clock::{Clock, Monotonic};
use crate::crypto::sha256_hex;
use crate::domain::id::TokenId;
use crate::domain::token_key::TokenKey;
use crate::secret::SecretString;

/// How long a renewal that failed is not tried again.
const RENEWAL_PAUSE: Duration = Duration::from_secs(5);

/// A token with what is known of it.
#[derive(Debug)]
pub struct AccessToken {
    /// The token itself.
    pub secret: SecretString,
    /// How long it may be used.
    pub life: TokenLifetime,
    /// How long before its end it is renewed.
    pub margin: Duration,
    /// How Box restricted it; `None` for a full token.
    pub restricted_to: Option<Vec<RestrictedObject>>,
    /// What it was minted for.
    pub key: TokenKey,
    /// SHA-256 of it, in lower-case hex.
    pub fingerprint: Box<str>,
    /// Its row in the store.
    pub row: TokenId,
    /// When it is renewed by itself, if somebody used it.
    pub renewal: Monotonic,
    /// To whom it was given; a full token alone.
    pub receivers: RecipientSet,
    /// True once somebody had it for a full one, by a token exchange.
    exchanged: AtomicBool,
    /// True once somebody had it from memory.
    used: AtomicBool,
    /// When somebody last set out to renew it.
    renewed: Mutex<Option<Monotonic>>,
    /// When Box was last seen to take it.
    alive: Mutex<Option<Monotonic>>,
    /// When Box did not even say whether it takes it, and why.
    unseen: Mutex<Option<(Monotonic, TokenError)>>,
}

impl AccessToken {
    /// A token that nobody renews yet.
    #[must_use]
    pub fn new(
        secret: SecretString,
        life: TokenLifetime,
        (margin, renewal): (Duration, Monotonic),
        restricted_to: Option<Vec<RestrictedObject>>,
        (key, row): (TokenKey, TokenId),
    ) -> Self {
        Self {
            fingerprint: sha256_hex(secret.expose().as_bytes()).into(),
            secret,
            life,
            margin,
            restricted_to,
            key,
            row,
            renewal,
            receivers: RecipientSet::default(),
            exchanged: AtomicBool::new(false),
            used: AtomicBool::new(false),
            renewed: Mutex::new(None),
            alive: Mutex::new(None),
            unseen: Mutex::new(None),
        }
    }

    /// Takes note that Box could not be asked about it.
    pub(in crate::broker) fn note_unseen(&self, error: &TokenError, clock: &dyn Clock) {
        *self.unseen.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((clock.monotonic(), error.clone()));
    }

    /// Why Box could not be asked about it, where that is less than this time ago, and how much of the
    /// time is left.
    pub(in crate::broker) fn was_unseen_within(
        &self,
        time: Duration,
        clock: &dyn Clock,
    ) -> Option<(TokenError, Duration)> {
        let unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, error) = unseen.as_ref()?;
        let left = time.saturating_sub(clock.monotonic().since(*at));
        (!left.is_zero()).then(|| (error.clone(), left))
    }

    /// Takes note that Box took it.
    pub(in crate::broker) fn note_alive(&self, clock: &dyn Clock) {
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = Some(clock.monotonic());
    }

    /// True where Box took it within this time.
    pub(in crate::broker) fn was_alive_within(&self, time: Duration, clock: &dyn Clock) -> bool {
        let alive = *self.alive.lock().unwrap_or_else(PoisonError::into_inner);
        alive.is_some_and(|alive| clock.monotonic().since(alive) < time)
    }

    /// Takes note that somebody had it for a full one, by a token exchange.
    pub fn note_exchange(&self) {
        self.exchanged.store(true, Ordering::Relaxed);
    }

    /// True where whoever asks like a client of Box's had it before: this caller with a full one, and with a
    /// downscoped one anybody who exchanged something for it, who may have shown no credentials.
    #[must_use]
    pub fn was_had(&self, by: &AuthenticatedCaller) -> bool {
        match self.key.restriction {
            None => self.receivers.contain(by),
            Some(_) => self.exchanged.load(Ordering::Relaxed),
        }
    }

    /// Takes note that somebody had it from memory.
    pub fn note_use(&self) {
        // Nearly always it is noted already: a line of memory that everybody reads stays everybody's.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// True where somebody had it from memory.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }

    /// True while more than `needed` of its life remains.
    #[must_use]
    pub fn outlives(&self, needed: Duration, clock: &dyn Clock) -> bool {
        self.life.left(clock) > needed
    }

    /// True for the one who is to renew it: the first to see it inside its margin, and the first
    /// after each pause while that fails.
    #[must_use]
    pub fn wants_renewal(&self, clock: &dyn Clock) -> bool {
        if self.outlives(self.margin, clock) {
            return false;
        }
        let now = clock.monotonic();
        let mut renewed = self.renewed.lock().unwrap_or_else(PoisonError::into_inner);
        let due = renewed.is_none_or(|last| now.since(last) >= RENEWAL_PAUSE);
        if due {
            *renewed = Some(now);
        }
        due
    }

    pub(in crate::broker) fn bytes(&self) -> usize {
        let restricted = self.restricted_to.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.secret.expose().len() + self.fingerprint.len() + restricted * 160
    }
}
