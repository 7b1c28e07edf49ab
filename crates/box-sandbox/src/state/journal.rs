//! What Box's side saw, request by request, for tests to count and to read. It holds no secret.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::http::request::Seen;
use crate::state::faults::path_fits;

/// How many requests are remembered; older ones are forgotten.
const CAPACITY: usize = 100_000;

/// One request. It is noted on arrival, so that one that hangs or is given up counts too.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Entry {
    /// Counts up from 1 for as long as the sandbox runs.
    pub(crate) n: u64,
    /// When it arrived, by the sandbox's clock.
    pub(crate) time: String,
    pub(crate) method: String,
    pub(crate) path: String,
    #[serde(flatten)]
    pub(crate) seen: Seen,
    /// The fault that struck it.
    pub(crate) fault: Option<u64>,
    /// Absent while it is not answered.
    pub(crate) status: Option<u16>,
    /// Box's error code, where it was refused.
    pub(crate) error: Option<String>,
    /// The SHA-256 of the token it was given.
    pub(crate) issued: Option<String>,
}

/// Which entries to read: those that fit every field given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Filter {
    pub(crate) client_id: Option<String>,
    pub(crate) subject: Option<String>,
    /// The whole path, or its beginning followed by `*`.
    pub(crate) path: Option<String>,
    /// The last part of the grant type.
    pub(crate) grant: Option<String>,
    pub(crate) status: Option<u16>,
    /// Only entries with a greater `n`.
    pub(crate) since: Option<u64>,
}

impl Filter {
    fn fits(&self, entry: &Entry) -> bool {
        let is = |wanted: &Option<String>, is: &Option<String>| wanted.is_none() || wanted == is;
        is(&self.client_id, &entry.seen.client_id)
            && is(&self.subject, &entry.seen.subject)
            && is(&self.grant, &entry.seen.grant)
            && self.path.as_deref().is_none_or(|path| path_fits(path, &entry.path))
            && self.status.is_none_or(|status| entry.status == Some(status))
            && self.since.is_none_or(|since| entry.n > since)
    }
}

/// The requests that were seen, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    entries: VecDeque<Entry>,
    last: u64,
}

impl Journal {
    /// Notes a request and answers with its number.
    pub(crate) fn begin(&self, mut entry: Entry) -> u64 {
        let mut pages = self.lock();
        pages.last += 1;
        entry.n = pages.last;
        if pages.entries.len() == CAPACITY {
            pages.entries.pop_front();
        }
        pages.entries.push_back(entry);
        pages.last
    }

    /// Notes how a request was answered.
    pub(crate) fn finish(&self, n: u64, status: u16, error: Option<String>, issued: Option<String>) {
        let mut pages = self.lock();
        if let Ok(index) = pages.entries.binary_search_by_key(&n, |entry| entry.n)
            && let Some(entry) = pages.entries.get_mut(index)
        {
            (entry.status, entry.error, entry.issued) = (Some(status), error, issued);
        }
    }

    /// The entries that fit.
    pub(crate) fn read(&self, filter: &Filter) -> Vec<Entry> {
        self.lock().entries.iter().filter(|entry| filter.fits(entry)).cloned().collect()
    }

    /// How many entries fit.
    pub(crate) fn count(&self, filter: &Filter) -> usize {
        self.lock().entries.iter().filter(|entry| filter.fits(entry)).count()
    }

    /// Forgets the entries that fit. Numbers go on counting.
    pub(crate) fn forget(&self, filter: &Filter) {
        self.lock().entries.retain(|entry| !filter.fits(entry));
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
