//! The tally of repeated events, which are counted and recorded as one.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use jiff::Timestamp;

use crate::clock::Monotonic;
use crate::domain::audit_event::{Actor, AuditEvent, Credential};
use crate::domain::id::{CallerId, SessionId};

/// The number of shards, each with a lock of its own.
const SHARDS: usize = 16;

/// Something that happens often and is compared without building its event.
pub trait Countable {
    /// Hashes the fields that distinguish it from others.
    fn hash_identity(&self, hasher: &mut impl Hasher);
    /// Returns true if `event` records the same thing.
    fn matches(&self, event: &AuditEvent) -> bool;
    /// Returns the event of one occurrence at `at`.
    fn to_event(&self, at: Timestamp) -> AuditEvent;
}

/// The counts of events that are not recorded yet or may soon repeat. Their number is limited; beyond the limit, events
/// that differ only in details are counted as one.
#[derive(Debug)]
pub struct Tally {
    shards: [Mutex<Shard>; SHARDS],
    hasher: DefaultHashBuilder,
    window: Duration,
    /// The maximum number of entries of a shard, and of one caller among them.
    capacity: usize,
    share: usize,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashTable<Entry>,
    /// The number of entries of each caller; all unauthenticated requests count as one caller.
    owners: HashMap<Option<CallerId>, usize>,
}

impl Shard {
    fn insert(&mut self, entry: Entry) {
        *self.owners.entry(owner(&entry.event)).or_default() += 1;
        self.entries.insert_unique(entry.hash, entry, |entry| entry.hash);
    }

    fn owned(&self, event: &AuditEvent) -> usize {
        self.owners.get(&owner(event)).copied().unwrap_or(0)
    }
}

fn owner(event: &AuditEvent) -> Option<CallerId> {
    match &event.actor {
        Actor::Caller { id, .. } => Some(id.clone()),
        Actor::Unknown | Actor::CommandLine | Actor::Broker => None,
    }
}

#[derive(Debug)]
struct Entry {
    hash: u64,
    /// The first occurrence since the last record was written.
    event: AuditEvent,
    /// The number of occurrences since then.
    pending: u64,
    /// When the last record was written.
    written: Option<Monotonic>,
}

impl Tally {
    /// Creates a tally of at most about `capacity` different events, and `share` of one caller. Each is recorded at
    /// once when it is new, and then once in every `window` while it repeats.
    #[must_use]
    pub fn new(window: Duration, capacity: usize, share: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: DefaultHashBuilder::default(),
            window,
            capacity: capacity.div_ceil(SHARDS),
            share: share.div_ceil(SHARDS),
        }
    }

    /// Counts one occurrence.
    pub fn count(&self, what: &impl Countable, at: Timestamp) {
        let mut hasher = self.hasher.build_hasher();
        what.hash_identity(&mut hasher);
        let hash = hasher.finish();
        let mut shard = self.shard(hash);
        let same = |entry: &Entry| entry.hash == hash && what.matches(&entry.event);
        if let Some(entry) = shard.entries.find_mut(hash, same) {
            entry.repeat(at, 1, || what.to_event(at));
            return;
        }
        drop(shard);
        self.count_new(hash, what.to_event(at));
    }

    /// Counts an event that is already built.
    pub fn count_event(&self, event: AuditEvent) {
        let hash = self.hash_of(&event);
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.entries.find_mut(hash, |entry| is_repeat(&entry.event, &event)) {
            let (at, count) = (event.at, event.count);
            entry.repeat(at, count, || event);
            return;
        }
        drop(shard);
        self.count_new(hash, event);
    }

    /// Counts a new event: as an entry of its own while the shard and its caller have room.
    fn count_new(&self, hash: u64, event: AuditEvent) {
        let shard = self.shard(hash);
        let has_room = shard.entries.len() < self.capacity && shard.owned(&event) < self.share;
        drop(shard);
        if has_room { self.insert(hash, event) } else { self.count_coarsely(event) }
    }

    /// Counts an event without its details: caller, action and outcome remain. The number of such entries is limited
    /// too; beyond it only action and outcome remain.
    fn count_coarsely(&self, event: AuditEvent) {
        let coarse = without_details(event);
        let hash = self.hash_of(&coarse);
        let mut shard = self.shard(hash);
        if let Some(entry) = shard.entries.find_mut(hash, |entry| is_repeat(&entry.event, &coarse)) {
            let (at, count) = (coarse.at, coarse.count);
            entry.repeat(at, count, || coarse);
            return;
        }
        if shard.entries.len() < 2 * self.capacity {
            drop(shard);
            return self.insert(hash, coarse);
        }
        drop(shard);
        let rest = AuditEvent { actor: Actor::Unknown, tenant: None, reason: None, ..coarse };
        let hash = self.hash_of(&rest);
        let mut shard = self.shard(hash);
        match shard.entries.find_mut(hash, |entry| is_repeat(&entry.event, &rest)) {
            Some(entry) => {
                let (at, count) = (rest.at, rest.count);
                entry.repeat(at, count, || rest);
            }
            None => {
                drop(shard);
                self.insert(hash, rest);
            }
        }
    }

    fn insert(&self, hash: u64, event: AuditEvent) {
        let pending = event.count;
        let entry = Entry { hash, event, pending, written: None };
        self.shard(hash).insert(entry);
    }

    /// Takes the events that are to be recorded now: new ones, and those that repeated for a whole window; all of them
    /// if `everything` is true, as at the end of the process. If recording fails, [`Tally::requeue`] takes them back.
    #[must_use]
    pub fn take_due(&self, now: Monotonic, everything: bool) -> Vec<AuditEvent> {
        let mut due = Vec::new();
        for shard in 0..SHARDS {
            let Shard { entries, owners } = &mut *self.lock(shard);
            entries.retain(|entry| {
                let rested = entry.written.is_none_or(|written| now.since(written) >= self.window);
                if entry.pending == 0 {
                    if rested && let Some(owned) = owners.get_mut(&owner(&entry.event)) {
                        *owned -= 1;
                    }
                    return !rested;
                }
                if rested || everything {
                    due.push(AuditEvent { count: entry.pending, ..entry.event.clone() });
                    entry.pending = 0;
                    entry.written = Some(now);
                }
                true
            });
            owners.retain(|_, owned| *owned > 0);
        }
        due
    }

    /// Takes back events that could not be recorded; they are due again at once.
    pub fn requeue(&self, events: Vec<AuditEvent>) {
        for event in events {
            let hash = self.hash_of(&event);
            let mut shard = self.shard(hash);
            match shard.entries.find_mut(hash, |entry| is_repeat(&entry.event, &event)) {
                Some(entry) => {
                    entry.pending += event.count;
                    entry.written = None;
                    // The record is about the first occurrence.
                    entry.event = event;
                }
                None => {
                    drop(shard);
                    self.count_new(hash, event);
                }
            }
        }
    }

    fn hash_of(&self, event: &AuditEvent) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hash_event_identity(event, &mut hasher);
        hasher.finish()
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        // The table itself uses the other bits of the hash.
        self.lock((hash >> 20) as usize % SHARDS)
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn repeat(&mut self, at: Timestamp, count: u64, event: impl FnOnce() -> AuditEvent) {
        if self.pending == 0 {
            self.event = AuditEvent { at, ..event() };
        }
        self.pending = self.pending.saturating_add(count);
    }
}

/// Hashes the fields that distinguish an event from others: not its time, its request or its count.
fn hash_event_identity(event: &AuditEvent, hasher: &mut impl Hasher) {
    (&event.actor, event.peer, &event.on_behalf_of, event.action, event.outcome).hash(hasher);
    (&event.reason, &event.tenant, &event.app, &event.caller, &event.fingerprint).hash(hasher);
}

/// Returns true for events that differ only in time, request and count.
fn is_repeat(a: &AuditEvent, b: &AuditEvent) -> bool {
    let same = AuditEvent { at: b.at, request_id: b.request_id.clone(), count: b.count, ..a.clone() };
    same == *b
}

/// Returns an event without its details: actor, action, tenant and outcome remain.
fn without_details(event: AuditEvent) -> AuditEvent {
    let mut actor = event.actor;
    if let Actor::Caller { credential, .. } = &mut actor {
        match credential {
            Credential::Jwt { token_id, .. } => *token_id = None,
            Credential::Session(id) => *id = SessionId::several(),
            Credential::Key(_) => {}
        }
    }
    AuditEvent {
        actor,
        peer: None,
        on_behalf_of: None,
        subject: None,
        scopes: None,
        resource: None,
        fingerprint: None,
        generation: None,
        app: None,
        caller: None,
        detail: Some("several that differ, told together".to_owned()),
        request_id: None,
        ..event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::domain::audit_event::{AuditAction, AuditContext, AuditOutcome};
    use crate::domain::id::{KeyId, Name};
    use crate::domain::on_behalf_of::OnBehalfOf;

    fn refused(caller: &str, on_behalf_of: usize) -> AuditEvent {
        let actor = Actor::Caller {
            id: CallerId::parse(caller).unwrap(),
            name: Name::parse("job").unwrap(),
            credential: Credential::Key(KeyId::parse("key_a").unwrap()),
        };
        AuditEvent {
            outcome: AuditOutcome::Refused,
            on_behalf_of: Some(OnBehalfOf::parse(&on_behalf_of.to_string()).unwrap()),
            ..AuditContext::for_actor(actor).event(Timestamp::UNIX_EPOCH, AuditAction::TokenRelease)
        }
    }

    #[test]
    fn a_caller_that_varies_its_requests_fills_only_its_own_share_and_no_count_is_lost() {
        let (tally, clock) =
            (Tally::new(Duration::from_mins(1), 1600, 160), ManualClock::new(Timestamp::UNIX_EPOCH));
        for number in 0..10_000 {
            tally.count_event(refused("cal_loud", number));
        }
        for number in 0..20 {
            tally.count_event(refused("cal_quiet", number));
        }
        let due = tally.take_due(clock.monotonic(), false);
        let of = |caller: &str| {
            let id = Some(CallerId::parse(caller).unwrap());
            due.iter().filter(|event| owner(event) == id).collect::<Vec<_>>()
        };
        let (loud, quiet) = (of("cal_loud"), of("cal_quiet"));
        assert!(loud.len() <= 161, "{} records", loud.len());
        assert_eq!(loud.iter().map(|event| event.count).sum::<u64>(), 10_000);
        assert_eq!(quiet.len(), 20, "nobody else's records are told together");
        assert!(quiet.iter().all(|event| event.on_behalf_of.is_some()));
        // Entries that were recorded and do not repeat make room.
        clock.advance(Duration::from_mins(2));
        assert_eq!(tally.take_due(clock.monotonic(), false), []);
        tally.count_event(refused("cal_loud", 77_777));
        let [again] = &tally.take_due(clock.monotonic(), false)[..] else { panic!("one record") };
        assert!(again.on_behalf_of.is_some(), "{again:?}");
    }
}
