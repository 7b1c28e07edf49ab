//! How often things happen: repeats are counted, and written down as one record.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use jiff::Timestamp;

use crate::clock::Monotonic;
use crate::domain::event::{Actor, Event};

/// Over how many locks the counts are spread.
const SHARDS: usize = 16;

/// Something that happens often, cheap to tell from others of its kind.
pub trait Counted {
    /// Feeds what tells it from others.
    fn feed(&self, hasher: &mut impl Hasher);
    /// True where `event` is a record of the same.
    fn is(&self, event: &Event) -> bool;
    /// A record of it, happening once at `at`.
    fn event(&self, at: Timestamp) -> Event;
}

/// Counts of what is not written down yet, or may be repeated soon. Their number is bounded: beyond
/// that, what differs only in detail is counted as one.
#[derive(Debug)]
pub struct Tally {
    shards: [Mutex<HashTable<Entry>>; SHARDS],
    hasher: DefaultHashBuilder,
    window: Duration,
    /// How many entries a shard has at most.
    capacity: usize,
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    /// The record, as it was the first time since the last one was written.
    event: Event,
    /// How often since then.
    pending: u64,
    /// When the last one was written.
    written: Option<Monotonic>,
}

impl Tally {
    /// Counts for at most about `capacity` different things, each written at once when it is new and
    /// then once every `window` while it goes on.
    #[must_use]
    pub fn new(window: Duration, capacity: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: DefaultHashBuilder::default(),
            window,
            capacity: capacity.div_ceil(SHARDS),
        }
    }

    /// Counts one.
    pub fn count(&self, what: &impl Counted, at: Timestamp) {
        let mut hasher = self.hasher.build_hasher();
        what.feed(&mut hasher);
        let hash = hasher.finish();
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.find_mut(hash, |entry| entry.hash == hash && what.is(&entry.event)) {
            entry.once_more(at, 1, || what.event(at));
            return;
        }
        let is_full = shard.len() >= self.capacity;
        drop(shard);
        let event = what.event(at);
        if is_full { self.count_coarsely(event) } else { self.insert(hash, event) }
    }

    /// Counts an event that has no cheaper form.
    pub fn count_event(&self, event: Event) {
        let hash = self.hash_of(&event);
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.find_mut(hash, |entry| is_same(&entry.event, &event)) {
            let (at, count) = (event.at, event.count);
            entry.once_more(at, count, || event);
            return;
        }
        let is_full = shard.len() >= self.capacity;
        drop(shard);
        if is_full { self.count_coarsely(event) } else { self.insert(hash, event) }
    }

    /// Where there are too many different things, counts by what matters most: who, what, how it ended.
    /// Those too are so many at most; beyond that only how often.
    fn count_coarsely(&self, event: Event) {
        let coarse = coarse(event);
        let hash = self.hash_of(&coarse);
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.find_mut(hash, |entry| is_same(&entry.event, &coarse)) {
            let (at, count) = (coarse.at, coarse.count);
            entry.once_more(at, count, || coarse);
            return;
        }
        if shard.len() < 2 * self.capacity {
            drop(shard);
            return self.insert(hash, coarse);
        }
        drop(shard);
        let rest = Event { actor: Actor::Unknown, tenant: None, reason: None, ..coarse };
        let hash = self.hash_of(&rest);
        let mut shard = self.shard(hash);
        match shard.find_mut(hash, |entry| is_same(&entry.event, &rest)) {
            Some(entry) => {
                let (at, count) = (rest.at, rest.count);
                entry.once_more(at, count, || rest);
            }
            None => {
                drop(shard);
                self.insert(hash, rest);
            }
        }
    }

    fn insert(&self, hash: u64, event: Event) {
        let pending = event.count;
        let entry = Entry { hash, event, pending, written: None };
        self.shard(hash).insert_unique(hash, entry, |entry| entry.hash);
    }

    /// What is to be written now: what is new, and what went on for a whole window; `everything` that
    /// is not written yet, where the process ends. What is not to be written after all has to be given
    /// back by [`Tally::give_back`].
    #[must_use]
    pub fn due(&self, now: Monotonic, everything: bool) -> Vec<Event> {
        let mut due = Vec::new();
        for shard in 0..SHARDS {
            self.lock(shard).retain(|entry| {
                let rested = entry.written.is_none_or(|written| now.since(written) >= self.window);
                if entry.pending == 0 {
                    return !rested;
                }
                if rested || everything {
                    due.push(Event { count: entry.pending, ..entry.event.clone() });
                    entry.pending = 0;
                    entry.written = Some(now);
                }
                true
            });
        }
        due
    }

    /// Takes back what could not be written; it is due again at once.
    pub fn give_back(&self, events: Vec<Event>) {
        for event in events {
            let hash = self.hash_of(&event);
            let mut shard = self.shard(hash);
            match shard.find_mut(hash, |entry| is_same(&entry.event, &event)) {
                Some(entry) => {
                    entry.pending += event.count;
                    entry.written = None;
                    // The record tells of the first time.
                    entry.event = event;
                }
                None => {
                    drop(shard);
                    if self.is_full(hash) { self.count_coarsely(event) } else { self.insert(hash, event) }
                }
            }
        }
    }

    fn is_full(&self, hash: u64) -> bool {
        self.shard(hash).len() >= self.capacity
    }

    fn hash_of(&self, event: &Event) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        feed(event, &mut hasher);
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, HashTable<Entry>> {
        // The table itself uses the other bits.
        self.lock((hash >> 20) as usize % SHARDS)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, HashTable<Entry>> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn once_more(&mut self, at: Timestamp, count: u64, event: impl FnOnce() -> Event) {
        if self.pending == 0 {
            self.event = Event { at, ..event() };
        }
        self.pending = self.pending.saturating_add(count);
    }
}

/// Feeds what tells an event from others: all but when, in which request, and how often.
pub(crate) fn feed(event: &Event, hasher: &mut impl Hasher) {
    (&event.actor, event.peer, &event.on_behalf_of, event.action, event.outcome).hash(hasher);
    (&event.reason, &event.tenant, &event.app, &event.caller, &event.fingerprint).hash(hasher);
}

/// True for records of the same, but for when, in which request, and how often.
fn is_same(a: &Event, b: &Event) -> bool {
    let same = Event { at: b.at, request_id: b.request_id.clone(), count: b.count, ..a.clone() };
    same == *b
}

fn coarse(event: Event) -> Event {
    Event {
        peer: None,
        on_behalf_of: None,
        subject: None,
        scopes: None,
        resource: None,
        fingerprint: None,
        generation: None,
        app: None,
        caller: None,
        detail: None,
        request_id: None,
        ..event
    }
}
