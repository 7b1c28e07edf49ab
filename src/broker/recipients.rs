//! To whom full tokens were given. It is noted at once, and written down within a second, so that whoever has
//! such a token can exchange it after a restart too.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use super::Broker;
use crate::auth::AuthenticatedCaller;
use crate::broker::cache::token::AccessToken;
use crate::domain::id::TokenId;
use crate::domain::recipient::Recipient;
use crate::store::{StoreError, TokenRecipient};

/// To how many a token's givings are remembered, and in how many bytes. Whoever comes later can use the token, and
/// not have it exchanged by itself.
const REMEMBERED: usize = 1024;
const REMEMBERED_BYTES: usize = 256 * 1024;
/// In how many bytes those of all tokens together are.
const REMEMBERED_IN_ALL: usize = 64 * 1024 * 1024;
/// How many bytes of givings wait at most to be written down.
const WAITING: usize = 16 * 1024 * 1024;
/// How many are written at once, and how often in one go: the audit has its turn each second.
const AT_ONCE: usize = 200;
const TIMES: usize = 10;

/// To whom this process gave a token.
#[derive(Debug, Default)]
pub struct RecipientSet(RwLock<Known>);

#[derive(Debug, Default)]
struct Known {
    all: Vec<Recipient>,
    /// How much memory they take.
    bytes: usize,
}

impl Known {
    /// Takes note of one, where it is new and there is room; how many bytes it takes then.
    fn note(&mut self, receiver: Recipient) -> Option<usize> {
        let bytes = receiver.bytes();
        let has_room = self.all.len() < REMEMBERED && self.bytes + bytes <= REMEMBERED_BYTES;
        if !has_room || self.all.contains(&receiver) {
            return None;
        }
        self.all.push(receiver);
        self.bytes += bytes;
        Some(bytes)
    }
}

impl RecipientSet {
    /// True where this caller was given the token when it came with the same.
    #[must_use]
    pub fn contain(&self, by: &AuthenticatedCaller) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.all.iter().any(|receiver| receiver.is(&by.caller.id, &by.credential))
    }

    /// Takes note of one, and hands it back where it is new.
    fn note(&self, by: &AuthenticatedCaller) -> Option<Recipient> {
        // Whoever comes when there is no room waits for nobody.
        if self.contain(by) || self.are_all() {
            return None;
        }
        let receiver = Recipient::new(&by.caller.id, &by.credential);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.note(receiver.clone()).map(|_| receiver)
    }

    /// True where no more are remembered.
    fn are_all(&self) -> bool {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.all.len() >= REMEMBERED || known.bytes >= REMEMBERED_BYTES
    }

    /// Takes note of those to whom it was given by an earlier process; how many bytes they take.
    fn recall(&self, earlier: Vec<Recipient>) -> usize {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        earlier.into_iter().filter_map(|receiver| known.note(receiver)).sum()
    }

    /// How many bytes they take.
    pub(super) fn bytes(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// All of them, in the order in which they were given it.
    pub(super) fn all(&self) -> Vec<Recipient> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).all.clone()
    }
}

/// What was given lately.
#[derive(Debug, Default)]
pub(super) struct TokenRecipients {
    /// Those that are not written down yet.
    unwritten: Mutex<Unwritten>,
    /// How many bytes are in memory at most: tokens that are gone are taken off now and then.
    remembered: AtomicUsize,
}

#[derive(Debug, Default)]
struct Unwritten {
    givings: Vec<TokenRecipient>,
    /// How much memory their receivers take.
    bytes: usize,
}

impl TokenRecipients {
    fn lock(&self) -> MutexGuard<'_, Unwritten> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To whom a token was given that nobody else knows of yet.
    pub(super) fn of(&self, token: &TokenId) -> Vec<Recipient> {
        let waiting = self.lock();
        let of_it = waiting.givings.iter().filter(|giving| giving.token == *token);
        of_it.map(|giving| giving.recipient.clone()).collect()
    }
}

impl Broker {
    /// Takes note that a full token is given to somebody.
    pub(super) fn save_recipients(&self, token: &AccessToken, by: &AuthenticatedCaller) {
        let is_full = || self.givings.remembered.load(Ordering::Relaxed) >= REMEMBERED_IN_ALL;
        if token.key.restriction.is_some() || is_full() {
            return;
        }
        let Some(receiver) = token.receivers.note(by) else { return };
        let bytes = receiver.bytes();
        self.givings.remembered.fetch_add(bytes, Ordering::Relaxed);
        let mut waiting = self.givings.lock();
        if waiting.bytes + bytes <= WAITING {
            waiting.bytes += bytes;
            waiting.givings.push(TokenRecipient {
                token: token.row.clone(),
                expires_at: token.life.ends_at(),
                recipient: receiver,
            });
        }
    }

    /// Takes note of those to whom an earlier process gave a token that is found again. Where the store does not
    /// tell, it is asked once somebody wants to know.
    pub(super) async fn recall_receivers(&self, token: &AccessToken) {
        if token.key.restriction.is_some() {
            return;
        }
        match self.store.recipients(&token.row).await {
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
            self.givings.remembered.store(self.memory.bytes_of_receivers(), Ordering::Relaxed);
        }
        for _ in 0..if everything { usize::MAX } else { TIMES } {
            let some: Vec<_> = self.givings.lock().givings.iter().take(AT_ONCE).cloned().collect();
            if some.is_empty() {
                return Ok(());
            }
            self.store.save_recipients(&some).await?;
            // One writes at a time, and others only append.
            let mut waiting = self.givings.lock();
            waiting.givings.drain(..some.len());
            waiting.bytes -= some.iter().map(|giving| giving.recipient.bytes()).sum::<usize>();
        }
        Ok(())
    }
}
