//! The read-through cache of entities that nearly every request needs: a value is used while it is current, and read
//! once for all requests that miss it at the same time.

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

/// A value that can be cached under keys of type `K`.
pub trait Cacheable<K>: Debug + Send + Sync + 'static {
    /// Returns true if nothing that the value was made of has changed since the token was taken.
    fn is_current(&self, key: &K, since: &ChangeToken, change_feed: &ChangeFeed) -> bool;

    /// Returns the share of the cache's capacity that the value takes.
    fn weight(&self) -> u32 {
        1
    }
}

/// A cache that reads missing values from the store.
pub struct ReadThroughCache<K, V> {
    change_feed: Arc<ChangeFeed>,
    max_age: Duration,
    values: Cache<K, Arc<CachedValue<V>>>,
    reads: Flights<K, Result<Arc<CachedValue<V>>>>,
}

impl<K, V> fmt::Debug for ReadThroughCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThroughCache").field("max_age", &self.max_age).finish_non_exhaustive()
    }
}

/// A value in the cache.
#[derive(Debug)]
pub struct CachedValue<V> {
    /// The token that was taken before the value was read.
    change_token: ChangeToken,
    /// The value.
    pub value: V,
}

impl<K, V> ReadThroughCache<K, V>
where
    K: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    V: Cacheable<K>,
{
    /// Creates an empty cache for values of a total weight of `capacity`. A value is current while `change_feed` shows
    /// no change of it and has polled within `max_age`. Reads are tasks of `tasks`.
    #[must_use]
    pub fn new(change_feed: Arc<ChangeFeed>, max_age: Duration, capacity: u64, tasks: &TaskTracker) -> Self {
        // The default policy would refuse new entries when full.
        let values = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, cached: &Arc<CachedValue<V>>| cached.value.weight())
            .eviction_policy(EvictionPolicy::lru())
            .build();
        Self { change_feed, max_age, values, reads: Flights::new(tasks.clone()) }
    }

    /// Returns the value of `key`: the cached one if it is current, otherwise the one that `read` returns. Requests for
    /// a key that is being read wait for the same read and share its result, even a failure.
    ///
    /// # Errors
    /// Those of `read`; they are not cached.
    pub async fn get_or_load<F>(&self, key: &K, read: impl Fn() -> F) -> Result<Arc<CachedValue<V>>>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        self.change_feed.catch_up().await;
        if let Some(cached) = self.get(key) {
            return Ok(cached);
        }
        let cached = self.load(key, &read).await?;
        match self.is_current(key, &cached) {
            true => Ok(cached),
            // That read may have begun before a change that this request knows of; the next one begins after it.
            false => self.load(key, &read).await,
        }
    }

    /// Returns the cached value of `key` if it is current.
    fn get(&self, key: &K) -> Option<Arc<CachedValue<V>>> {
        self.peek(key)
            .filter(|cached| self.is_current(key, cached) && self.change_feed.staleness() <= self.max_age)
    }

    /// Returns the cached value of `key`, current or not.
    #[must_use]
    pub fn peek(&self, key: &K) -> Option<Arc<CachedValue<V>>> {
        self.values.get(key)
    }

    /// Returns all cached values, current or not.
    pub fn iter(&self) -> impl Iterator<Item = (Arc<K>, Arc<CachedValue<V>>)> + '_ {
        self.values.iter()
    }

    fn is_current(&self, key: &K, cached: &CachedValue<V>) -> bool {
        cached.value.is_current(key, &cached.change_token, &self.change_feed)
    }

    async fn load<F>(&self, key: &K, read: impl Fn() -> F) -> Result<Arc<CachedValue<V>>>
    where
        F: Future<Output = Result<V>> + Send + 'static,
    {
        let start = || {
            let (values, key) = (self.values.clone(), key.clone());
            let (change_token, value) = (self.change_feed.change_token(), read());
            async move {
                let cached = Arc::new(CachedValue { change_token, value: value.await? });
                values.insert(key, Arc::clone(&cached));
                Ok(cached)
            }
        };
        let result = self.reads.join(key.clone(), start).await;
        result.unwrap_or_else(|Crashed| Err(StoreError::Unexpected("a lookup broke off".to_owned())))
    }
}
