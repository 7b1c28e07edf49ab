//! What is looked up for nearly every request: remembered while it counts, and read once for all who miss it at
//! the same time.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use tokio_util::task::TaskTracker;

use super::change_feed::{ChangeFeed, ChangeToken};
use super::{Result, StoreError};
use crate::flight::{Crashed, Flights};

/// What a key leads to.
pub trait Cacheable<K>: Debug + Send + Sync + 'static {
    /// True where nothing that it was made of changed since `stamp`.
    fn is_current(&self, key: &K, since: &ChangeToken, change_feed: &ChangeFeed) -> bool;

    /// How much of the room it takes.
    fn weight(&self) -> u32 {
        1
    }
}

/// What keys lead to, as far as somebody looked.
pub struct ReadThroughCache<K, V> {
    change_feed: Arc<ChangeFeed>,
    max_age: Duration,
    known: Cache<K, Arc<CachedValue<V>>>,
    readings: Flights<K, Result<Arc<CachedValue<V>>>>,
}

impl<K, V> fmt::Debug for ReadThroughCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThroughCache").field("max_age", &self.max_age).finish_non_exhaustive()
    }
}

/// What a key led to when it was looked up.
#[derive(Debug)]
pub struct CachedValue<V> {
    /// From before it was read.
    change_token: ChangeToken,
    /// What was value.
    pub value: V,
}

impl<K, V> ReadThroughCache<K, V>
where
    K: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    V: Cacheable<K>,
{
    /// Nothing is known yet, and there is room for as much as weighs `capacity`. What is known counts while
    /// `change_feed` tells of no change, and heard from the store within `max_age`. Readings are tasks of `tasks`.
    #[must_use]
    pub fn new(change_feed: Arc<ChangeFeed>, max_age: Duration, capacity: u64, tasks: &TaskTracker) -> Self {
        // The default policy would refuse new entries when full.
        let known = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, known: &Arc<CachedValue<V>>| known.value.weight())
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { change_feed, max_age, known, readings: Flights::new(tasks.clone()) }
    }

    /// What `key` leads to: what is remembered of it where that counts, else what `read` finds. Those who come
    /// while it is being read wait for the same reading, its failure too.
    ///
    /// # Errors
    /// Those of `read`; nothing is remembered then.
    pub async fn get_or_load<F>(&self, key: &K, read: impl Fn() -> F) -> Result<Arc<CachedValue<V>>>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        self.change_feed.catch_up().await;
        if let Some(known) = self.remembered(key) {
            return Ok(known);
        }
        let known = self.read(key, &read).await?;
        match self.is_current(key, &known) {
            true => Ok(known),
            // That reading may have begun before whoever asks now knew of the change; the next one did not.
            false => self.read(key, &read).await,
        }
    }

    /// What is remembered of `key`, where it counts.
    fn remembered(&self, key: &K) -> Option<Arc<CachedValue<V>>> {
        let counts = |known: &Arc<CachedValue<V>>| {
            self.is_current(key, known) && self.change_feed.staleness() <= self.max_age
        };
        self.peek(key).filter(counts)
    }

    /// What is remembered of `key`, whether it counts or not.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<Arc<CachedValue<V>>> {
        self.known.get(key)
    }

    /// All that is remembered.
    pub fn iter(&self) -> impl Iterator<Item = (Arc<K>, Arc<CachedValue<V>>)> + '_ {
        self.known.iter()
    }

    fn is_current(&self, key: &K, known: &CachedValue<V>) -> bool {
        known.value.is_current(key, &known.change_token, &self.change_feed)
    }

    async fn read<F>(&self, key: &K, read: impl Fn() -> F) -> Result<Arc<CachedValue<V>>>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        let reading = || {
            let (known, key) = (self.known.clone(), key.clone());
            let (change_token, value) = (self.change_feed.change_token(), read());
            async move {
                let looked = Arc::new(CachedValue { change_token, value: value.await? });
                known.insert(key, Arc::clone(&looked));
                Ok(looked)
            }
        };
        let landed = self.readings.join(key.clone(), reading).await;
        landed.unwrap_or_else(|Crashed| Err(StoreError::Unexpected("a lookup broke off".to_owned())))
    }
}
