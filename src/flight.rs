//! One flight per key: concurrent callers that need the same value wait for the same task.
//!
//! [`Flights`] owns the list of tasks under way. It keeps no results: a later caller begins a new flight.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// The flights that are under way. A flight runs in a task of its own: it survives its callers, and leaves no
/// entry behind if it panics.
#[derive(Debug)]
pub struct Flights<K, V> {
    under_way: Arc<UnderWay<K, V>>,
    tasks: TaskTracker,
}

type UnderWay<K, V> = Mutex<HashMap<K, watch::Receiver<Option<V>>>>;

/// A flight ended without a result: its task panicked, or the process is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashed;

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Returns an empty list; flights will be tasks of `tasks`.
    #[must_use]
    pub fn new(tasks: TaskTracker) -> Self {
        Self { under_way: Arc::default(), tasks }
    }

    /// Returns the result of the flight for `key`: the one that is under way, or else the one that `fly` begins.
    ///
    /// # Errors
    /// If the flight ended without a result.
    pub async fn join<F>(&self, key: K, fly: impl FnOnce() -> F) -> Result<V, Crashed>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut result = self.join_or_begin(key, fly);
        let result = result.wait_for(Option::is_some).await.map_err(|_| Crashed)?;
        result.clone().ok_or(Crashed)
    }

    /// Begins a flight for `key` unless one is under way, and does not wait for it.
    pub fn begin<F>(&self, key: K, fly: impl FnOnce() -> F)
    where
        F: Future<Output = V> + Send + 'static,
    {
        drop(self.join_or_begin(key, fly));
    }

    /// Returns the receiver of the result of the flight for `key`.
    fn join_or_begin<F>(&self, key: K, fly: impl FnOnce() -> F) -> watch::Receiver<Option<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.entry(key) {
            Entry::Occupied(flight) => flight.get().clone(),
            Entry::Vacant(entry) => {
                let (sender, receiver) = watch::channel(None);
                let listed =
                    ListedFlight { under_way: Arc::clone(&self.under_way), key: Some(entry.key().clone()) };
                entry.insert(receiver.clone());
                let flight = fly();
                self.tasks.spawn(async move {
                    let result = flight.await;
                    // From here on callers find the value where the flight put it, and need no flight.
                    drop(listed);
                    sender.send_replace(Some(result));
                });
                receiver
            }
        }
    }
}

/// The entry of a flight in the list, which is removed when the task ends in any way.
struct ListedFlight<K: Eq + Hash, V> {
    under_way: Arc<UnderWay<K, V>>,
    key: Option<K>,
}

impl<K: Eq + Hash, V> Drop for ListedFlight<K, V> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn invariant_4_callers_of_one_key_share_a_flight_that_survives_them_all() {
        let flights = Arc::new(Flights::<&str, u32>::new(TaskTracker::new()));
        let (flown, go) = (Arc::new(AtomicU32::new(0)), Arc::new(Notify::new()));
        let fly = || {
            let (flown, go) = (Arc::clone(&flown), Arc::clone(&go));
            async move {
                go.notified().await;
                flown.fetch_add(1, Ordering::SeqCst) + 1
            }
        };
        let mut callers: Vec<_> = (0..100).map(|_| Box::pin(flights.join("a", fly))).collect();
        for caller in &mut callers {
            assert!(futures::poll!(caller).is_pending());
        }
        drop(callers);
        let late = flights.join("a", fly);
        let mut late = std::pin::pin!(late);
        assert!(futures::poll!(&mut late).is_pending());
        go.notify_one();
        assert_eq!(late.await, Ok(1));
        assert_eq!(flown.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_flight_that_panics_leaves_no_entry_behind() {
        let flights = Flights::<&str, u32>::new(TaskTracker::new());
        let crashed = flights.join("a", || async { panic!("planted") }).await;
        assert_eq!(crashed, Err(Crashed));
        assert_eq!(flights.join("a", || async { 7 }).await, Ok(7));
    }
}
