//! A map that is bounded in size and evicts the entries that were used least recently.
//!
//! It is the only use of the cache library here. It never expires entries: their owners judge when an entry
//! still counts.

use std::borrow::ToOwned;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// A map that drops the least recently used entries beyond its capacity.
pub(in crate::broker) struct BoundedCache<K, V>(Cache<K, V>);

impl<K, V> fmt::Debug for BoundedCache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoundedCache").finish_non_exhaustive()
    }
}

impl<K, V> BoundedCache<K, V>
where
    K: Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns an empty map for at most `capacity` entries.
    pub(in crate::broker) fn new(capacity: u64) -> Self {
        // The default policy would refuse new entries when full, and lose a fresh token at once.
        Self(Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build())
    }

    /// Returns an empty map for entries of at most `max_bytes` in all, as `bytes_of` weighs them.
    pub(in crate::broker) fn with_max_bytes(
        max_bytes: u64,
        bytes_of: impl Fn(&K, &V) -> usize + Send + Sync + 'static,
    ) -> Self {
        let weigher = move |key: &K, value: &V| u32::try_from(bytes_of(key, value)).unwrap_or(u32::MAX);
        Self(
            Cache::builder()
                .max_capacity(max_bytes)
                .eviction_policy(EvictionPolicy::lru())
                .weigher(weigher)
                .build(),
        )
    }

    /// Returns the value of a key.
    pub(in crate::broker) fn get<Q>(&self, key: &Q) -> Option<V>
    where
        Q: Eq + Hash + ?Sized,
        K: std::borrow::Borrow<Q>,
    {
        self.0.get(key)
    }

    /// Returns the value of a key, which `make` makes if there is none.
    pub(in crate::broker) fn get_or_insert_with(&self, key: &K, make: impl FnOnce() -> V) -> V
    where
        K: ToOwned<Owned = K>,
    {
        self.0.get_with_by_ref(key, make)
    }

    /// Returns true if the key has a value.
    pub(in crate::broker) fn contains(&self, key: &K) -> bool {
        self.0.contains_key(key)
    }

    /// Sets the value of a key.
    pub(in crate::broker) fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    /// Removes a key.
    pub(in crate::broker) fn remove(&self, key: &K) {
        self.0.invalidate(key);
    }

    /// Returns all entries.
    pub(in crate::broker) fn iter(&self) -> impl Iterator<Item = (Arc<K>, V)> + '_ {
        self.0.iter()
    }

    /// Returns how many entries there are, and how much they weigh, once pending evictions are done.
    #[cfg(test)]
    pub(super) fn size(&self) -> (u64, u64) {
        self.0.run_pending_tasks();
        (self.0.entry_count(), self.0.weighted_size())
    }
}
