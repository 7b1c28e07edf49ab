//! The journal: every request, for tests to count and to read. It contains no secret.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::http::{RequestSummary, path_matches, value_matches};

/// The number of requests that are remembered. The oldest is dropped first.
const CAPACITY: usize = 100_000;

/// One request. It is recorded when it arrives, so a request that hangs or is abandoned counts too.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct JournalEntry {
    /// The request's number. Numbers start at 1 and are never reused.
    pub(crate) n: u64,
    /// The time of arrival by the sandbox's clock.
    pub(crate) time: String,
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) summary: RequestSummary,
    /// The id of the fault that the request triggered.
    pub(crate) fault: Option<u64>,
    /// The status of the response; `None` until there is one.
    pub(crate) status: Option<u16>,
    /// Box's error code, if the response is an error.
    pub(crate) error: Option<String>,
    /// The SHA-256 of the token that the response issued.
    pub(crate) issued: Option<String>,
}

/// A filter for entries, which selects those that match every given field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JournalFilter {
    client_id: Option<String>,
    subject: Option<String>,
    /// A whole path, or a prefix followed by `*`.
    path: Option<String>,
    /// The last part of the grant type.
    grant: Option<String>,
    status: Option<u16>,
    /// Selects entries with a greater `n`.
    since: Option<u64>,
}

impl JournalFilter {
    fn matches(&self, entry: &JournalEntry) -> bool {
        let summary = &entry.summary;
        value_matches(self.client_id.as_deref(), summary.client_id.as_deref())
            && value_matches(self.subject.as_deref(), summary.subject.as_deref())
            && value_matches(self.grant.as_deref(), summary.grant.as_deref())
            && path_matches(self.path.as_deref(), &entry.path)
            && self.status.is_none_or(|status| entry.status == Some(status))
            && self.since.is_none_or(|since| entry.n > since)
    }
}

/// All recorded requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<JournalEntries>);

#[derive(Debug, Default)]
struct JournalEntries {
    entries: VecDeque<JournalEntry>,
    last_number: u64,
}

impl Journal {
    /// Records a request and returns its number.
    pub(crate) fn begin(&self, mut entry: JournalEntry) -> u64 {
        let mut journal = self.lock();
        journal.last_number += 1;
        entry.n = journal.last_number;
        if journal.entries.len() == CAPACITY {
            journal.entries.pop_front();
        }
        journal.entries.push_back(entry);
        journal.last_number
    }

    /// Records the response to a request.
    pub(crate) fn finish(&self, n: u64, status: u16, error: Option<String>, issued: Option<String>) {
        let mut journal = self.lock();
        if let Ok(index) = journal.entries.binary_search_by_key(&n, |entry| entry.n)
            && let Some(entry) = journal.entries.get_mut(index)
        {
            (entry.status, entry.error, entry.issued) = (Some(status), error, issued);
        }
    }

    /// Returns the entries that match.
    pub(crate) fn read(&self, filter: &JournalFilter) -> Vec<JournalEntry> {
        self.lock().entries.iter().filter(|entry| filter.matches(entry)).cloned().collect()
    }

    /// Returns the number of entries that match.
    pub(crate) fn count(&self, filter: &JournalFilter) -> usize {
        self.lock().entries.iter().filter(|entry| filter.matches(entry)).count()
    }

    /// Removes the entries that match.
    pub(crate) fn remove(&self, filter: &JournalFilter) {
        self.lock().entries.retain(|entry| !filter.matches(entry));
    }

    fn lock(&self) -> MutexGuard<'_, JournalEntries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
