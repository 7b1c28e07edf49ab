//! The tickets of download URLs, each of which opens a file once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::random;
use crate::storage::FileContent;

/// The largest number of unused tickets. The oldest is dropped first.
const CAPACITY: usize = 10_000;

/// The lifetime of a ticket in minutes, as at Box.
const LIFETIME: i64 = 15;

/// A permission to download one file.
#[derive(Debug)]
pub(crate) struct DownloadTicket {
    secret: String,
    pub(crate) content: FileContent,
    pub(crate) file_name: String,
    /// The app whose pages may use the ticket.
    pub(crate) client_id: String,
    expires_at: Timestamp,
}

/// All unused tickets.
#[derive(Debug, Default)]
pub(crate) struct DownloadTickets(Mutex<UnusedTickets>);

#[derive(Debug, Default)]
struct UnusedTickets {
    last_number: u64,
    by_number: BTreeMap<u64, DownloadTicket>,
}

impl DownloadTickets {
    /// Issues a ticket and returns its text.
    pub(crate) fn issue(
        &self,
        content: FileContent,
        file_name: &str,
        client_id: &str,
        now: Timestamp,
    ) -> String {
        let secret = random::alphanumeric(32);
        let mut tickets = self.lock();
        tickets.by_number.retain(|_, ticket| now < ticket.expires_at);
        if tickets.by_number.len() == CAPACITY {
            tickets.by_number.pop_first();
        }
        tickets.last_number += 1;
        let number = tickets.last_number;
        let text = format!("{number}-{secret}");
        let ticket = DownloadTicket {
            secret,
            content,
            file_name: file_name.to_owned(),
            client_id: client_id.to_owned(),
            expires_at: now.checked_add(SignedDuration::from_mins(LIFETIME)).unwrap_or(now),
        };
        tickets.by_number.insert(number, ticket);
        text
    }

    /// Uses up a ticket and returns it. Returns `None` if it is unknown, used or expired.
    pub(crate) fn redeem(&self, text: &str, now: Timestamp) -> Option<DownloadTicket> {
        let (number, secret) = text.split_once('-')?;
        let number = number.parse().ok()?;
        let mut tickets = self.lock();
        tickets.by_number.get(&number).filter(|ticket| ticket.secret == secret)?;
        tickets.by_number.remove(&number).filter(|ticket| now < ticket.expires_at)
    }

    fn lock(&self) -> MutexGuard<'_, UnusedTickets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
