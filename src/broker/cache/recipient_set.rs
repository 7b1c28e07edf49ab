//! The recipients of one full token, as far as they are in memory.
//!
//! [`crate::broker::recipients`] stores them; a set only remembers.

use std::sync::{PoisonError, RwLock};

use crate::auth::AuthenticatedCaller;
use crate::domain::recipient::Recipient;

/// The most recipients of one token, and the most bytes of memory that they take. A later caller can use the
/// token, but cannot exchange it by itself.
const MAX_RECIPIENTS: usize = 1024;
const MAX_BYTES: usize = 256 * 1024;

/// The callers to whom a token was given.
#[derive(Debug, Default)]
pub struct RecipientSet(RwLock<Recipients>);

#[derive(Debug, Default)]
struct Recipients {
    all: Vec<Recipient>,
    /// The bytes of memory that they take.
    bytes: usize,
}

impl Recipients {
    fn is_full(&self) -> bool {
        self.all.len() >= MAX_RECIPIENTS || self.bytes >= MAX_BYTES
    }

    /// Adds a recipient and returns its size in bytes, if it is new and there is room.
    fn add(&mut self, recipient: Recipient) -> Option<usize> {
        let bytes = recipient.bytes();
        let has_room = self.all.len() < MAX_RECIPIENTS && self.bytes + bytes <= MAX_BYTES;
        if !has_room || self.all.contains(&recipient) {
            return None;
        }
        self.all.push(recipient);
        self.bytes += bytes;
        Some(bytes)
    }
}

impl RecipientSet {
    /// Returns true if the token was given to this caller when it presented the same credential.
    #[must_use]
    pub fn contains(&self, caller: &AuthenticatedCaller) -> bool {
        let recipients = self.0.read().unwrap_or_else(PoisonError::into_inner);
        recipients.all.iter().any(|recipient| recipient.is(&caller.caller.id, &caller.credential))
    }

    /// Adds a caller, and returns it as a recipient if it is new.
    pub(in crate::broker) fn add(&self, caller: &AuthenticatedCaller) -> Option<Recipient> {
        // Without room, nobody has to wait for the write lock.
        if self.contains(caller) || self.is_full() {
            return None;
        }
        let recipient = Recipient::new(&caller.caller.id, &caller.credential);
        let mut recipients = self.0.write().unwrap_or_else(PoisonError::into_inner);
        recipients.add(recipient.clone()).map(|_| recipient)
    }

    /// Adds the recipients that an earlier process recorded, and returns the bytes that they take.
    pub(in crate::broker) fn restore(&self, earlier: Vec<Recipient>) -> usize {
        let mut recipients = self.0.write().unwrap_or_else(PoisonError::into_inner);
        earlier.into_iter().filter_map(|recipient| recipients.add(recipient)).sum()
    }

    /// Returns the bytes of memory that the recipients take.
    pub(in crate::broker) fn bytes(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Returns all recipients, in the order in which they received the token.
    pub(in crate::broker) fn all(&self) -> Vec<Recipient> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).all.clone()
    }

    fn is_full(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_full()
    }
}
