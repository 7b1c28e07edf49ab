//! The recipients of full tokens. They are recorded at once and stored within a second, so that a recipient can
//! exchange its token after a restart too.
//!
//! [`TokenRecipients`] owns the recipients that are not stored yet. It decides nothing: a caller that is not
//! recorded, because memory was full, can still use its token.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::cache::{AccessToken, TokenCache};
use crate::auth::AuthenticatedCaller;
use crate::domain::id::TokenId;
use crate::domain::recipient::Recipient;
use crate::store::{Store, StoreError, TokenRecipient};

/// The most bytes of memory that the recipients of all tokens take together.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// The most bytes of recipients that wait to be stored.
const MAX_UNSTORED_BYTES: usize = 16 * 1024 * 1024;
/// The most recipients that are stored in one transaction, and the most transactions in one run: the audit is
/// written in between.
const BATCH: usize = 200;
const BATCHES: usize = 10;

/// The recipients of the tokens in memory, and those that wait to be stored.
#[derive(Debug)]
pub(super) struct TokenRecipients {
    store: Arc<dyn Store>,
    cache: Arc<TokenCache>,
    unstored: Mutex<Unstored>,
    /// The bytes of recipients in memory. Tokens that left the cache are subtracted from time to time.
    bytes: AtomicUsize,
}

#[derive(Debug, Default)]
struct Unstored {
    recipients: Vec<TokenRecipient>,
    /// The bytes of memory that they take.
    bytes: usize,
}

impl TokenRecipients {
    /// Returns a record in which nothing waits to be stored.
    pub(super) fn new(store: Arc<dyn Store>, cache: Arc<TokenCache>) -> Self {
        Self { store, cache, unstored: Mutex::default(), bytes: AtomicUsize::new(0) }
    }

    /// Records that a full token was given to a caller.
    pub(super) fn add(&self, token: &AccessToken, caller: &AuthenticatedCaller) {
        if token.key.restriction.is_some() || self.is_full() {
            return;
        }
        let Some(recipient) = token.recipients.add(caller) else { return };
        let bytes = recipient.bytes();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let mut unstored = self.lock();
        if unstored.bytes + bytes <= MAX_UNSTORED_BYTES {
            unstored.bytes += bytes;
            unstored.recipients.push(TokenRecipient {
                token: token.row.clone(),
                expires_at: token.lifetime.ends_at(),
                recipient,
            });
        }
    }

    /// Adds the recipients that an earlier process stored for a token. If the store is unavailable, it is asked
    /// again when the recipients are needed.
    pub(super) async fn restore(&self, token: &AccessToken) {
        if token.key.restriction.is_some() {
            return;
        }
        match self.store.recipients(&token.row).await {
            Ok(earlier) => {
                let bytes = token.recipients.restore(earlier);
                self.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
            Err(error) => {
                tracing::debug!(token = %token.row, %error, "to whom a token was given is not known yet")
            }
        }
    }

    /// Returns all recipients of a token: those that are stored, and those that wait to be.
    pub(super) async fn of(&self, token: &TokenId) -> Result<Vec<Recipient>, StoreError> {
        // The waiting ones first: they may be stored meanwhile.
        let mut all = self.unstored_of(token);
        for recipient in self.store.recipients(token).await? {
            if !all.contains(&recipient) {
                all.push(recipient);
            }
        }
        Ok(all)
    }

    /// Stores the waiting recipients: a bounded number of them, or `everything`. The others can be found
    /// meanwhile. Only one task may do this at a time.
    pub(super) async fn write(&self, everything: bool) -> Result<(), StoreError> {
        if self.is_full() {
            self.bytes.store(self.cache.recipient_bytes(), Ordering::Relaxed);
        }
        for _ in 0..if everything { usize::MAX } else { BATCHES } {
            let batch: Vec<_> = self.lock().recipients.iter().take(BATCH).cloned().collect();
            if batch.is_empty() {
                return Ok(());
            }
            self.store.save_recipients(&batch).await?;
            // Others only append meanwhile.
            let mut unstored = self.lock();
            unstored.recipients.drain(..batch.len());
            unstored.bytes -= batch.iter().map(|stored| stored.recipient.bytes()).sum::<usize>();
        }
        Ok(())
    }

    fn unstored_of(&self, token: &TokenId) -> Vec<Recipient> {
        let unstored = self.lock();
        let of_it = unstored.recipients.iter().filter(|waiting| waiting.token == *token);
        of_it.map(|waiting| waiting.recipient.clone()).collect()
    }

    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= MAX_BYTES
    }

    fn lock(&self) -> MutexGuard<'_, Unstored> {
        self.unstored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
