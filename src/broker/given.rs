//! To whom full tokens were given. It is noted at once, and written down within a second, so that whoever has
//! such a token can exchange it after a restart too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::Broker;
use super::cache::Token;
use crate::auth::Opened;
use crate::domain::id::TokenId;
use crate::domain::receiver::Receiver;
use crate::store::{Giving, StoreError};

/// To how many a token's givings are remembered. Whoever comes later can use the token, and not have it
/// exchanged by itself.
const REMEMBERED: usize = 1024;
/// And of all tokens together, at about a hundred bytes each.
const REMEMBERED_IN_ALL: usize = 500_000;
/// How many givings wait at most to be written down.
const WAITING: usize = 100_000;
/// How many are written at once, and how often in one go: the audit has its turn each second.
const AT_ONCE: usize = 200;
const TIMES: usize = 10;

/// To whom this process gave a token.
#[derive(Debug, Default)]
pub struct Receivers(RwLock<Vec<Receiver>>);

impl Receivers {
    /// True where this caller was given the token when it came with the same.
    #[must_use]
    pub fn contain(&self, by: &Opened) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().any(|receiver| receiver.is(&by.caller.id, &by.credential))
    }

    /// Takes note of one, and hands it back where it is new.
    fn note(&self, by: &Opened) -> Option<Receiver> {
        if self.contain(by) {
            return None;
        }
        let receiver = Receiver::new(&by.caller.id, &by.credential);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED || known.contains(&receiver) {
            return None;
        }
        known.push(receiver.clone());
        Some(receiver)
    }

    /// Takes note of those to whom it was given by an earlier process; how many they are.
    fn recall(&self, earlier: Vec<Receiver>) -> usize {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = known.len();
        for receiver in earlier {
            if known.len() < REMEMBERED && !known.contains(&receiver) {
                known.push(receiver);
            }
        }
        known.len() - before
    }

    /// How many they are.
    pub(super) fn len(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// All of them, in the order in which they were given it.
    pub(super) fn all(&self) -> Vec<Receiver> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What was given lately.
#[derive(Debug, Default)]
pub(super) struct Givings {
    /// Those that are not written down yet.
    unwritten: Mutex<Vec<Giving>>,
    /// How many are in memory at most: tokens that are gone are taken off now and then.
    remembered: AtomicUsize,
}

impl Givings {
    fn lock(&self) -> MutexGuard<'_, Vec<Giving>> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To whom a token was given that nobody else knows of yet.
    pub(super) fn of(&self, token: &TokenId) -> Vec<Receiver> {
        let waiting = self.lock();
        let of_it = waiting.iter().filter(|giving| giving.token == *token);
        of_it.map(|giving| giving.receiver.clone()).collect()
    }
}

impl Broker {
    /// Takes note that a full token is given to somebody.
    pub(super) fn note_given(&self, token: &Token, by: &Opened) {
        let is_full = || self.givings.remembered.load(Ordering::Relaxed) >= REMEMBERED_IN_ALL;
        if token.key.restriction.is_some() || is_full() {
            return;
        }
        let Some(receiver) = token.receivers.note(by) else { return };
        self.givings.remembered.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.givings.lock();
        if waiting.len() < WAITING {
            waiting.push(Giving { token: token.row.clone(), until: token.life.ends_at(), receiver });
        }
    }

    /// Takes note of those to whom an earlier process gave a token that is found again. Where the store does not
    /// tell, it is asked once somebody wants to know.
    pub(super) async fn recall_receivers(&self, token: &Token) {
        if token.key.restriction.is_some() {
            return;
        }
        match self.store.receivers(&token.row).await {
            Ok(earlier) => {
                let recalled = token.receivers.recall(earlier);
                self.givings.remembered.fetch_add(recalled, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::debug!(token = %token.row, %error, "to whom a token was given is not known yet")
            }
        }
    }

    /// Writes down to whom tokens were given: some, or `everything`. What is not written yet stays to be found
    /// meanwhile.
    pub(super) async fn write_givings(&self, everything: bool) -> Result<(), StoreError> {
        if self.givings.remembered.load(Ordering::Relaxed) >= REMEMBERED_IN_ALL {
            self.givings.remembered.store(self.memory.receivers(), Ordering::Relaxed);
        }
        for _ in 0..if everything { usize::MAX } else { TIMES } {
            let some: Vec<_> = self.givings.lock().iter().take(AT_ONCE).cloned().collect();
            if some.is_empty() {
                return Ok(());
            }
            self.store.note_given(&some).await?;
            // One writes at a time, and others only append.
            self.givings.lock().drain(..some.len());
        }
        Ok(())
    }
}
