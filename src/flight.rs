//! One flight per key: whoever needs the same thing at the same time waits for the same task.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// The flights that are under way. A flight runs in its own task: callers that go away do not end
/// it, and a flight that panics leaves no entry behind.
#[derive(Debug)]
pub struct Flights<K, V> {
    under_way: Arc<UnderWay<K, V>>,
    tasks: TaskTracker,
}

type UnderWay<K, V> = Mutex<HashMap<K, watch::Receiver<Option<V>>>>;

/// The flight ended without a result: its task panicked, or the process is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crashed;

impl<K, V> Flights<K, V>
where
    K: Clone + Eq + Hash + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// No flights yet; those to come are tasks of `tasks`.
    #[must_use]
    pub fn new(tasks: TaskTracker) -> Self {
        Self { under_way: Arc::default(), tasks }
    }

    /// The result of the flight for `key`: the one that is under way, or the one that `fly` begins.
    ///
    /// # Errors
    /// Where the flight ended without a result.
    pub async fn join<F>(&self, key: K, fly: impl FnOnce() -> F) -> Result<V, Crashed>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut landing = self.board(key, fly);
        let landed = landing.wait_for(Option::is_some).await.map_err(|_| Crashed)?;
        landed.clone().ok_or(Crashed)
    }

    /// Sees to it that a flight for `key` is under way, and waits for nothing.
    pub fn begin<F>(&self, key: K, fly: impl FnOnce() -> F)
    where
        F: Future<Output = V> + Send + 'static,
    {
        drop(self.board(key, fly));
    }

    fn board<F>(&self, key: K, fly: impl FnOnce() -> F) -> watch::Receiver<Option<V>>
    where
        F: Future<Output = V> + Send + 'static,
    {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        match under_way.entry(key) {
            Entry::Occupied(flight) => flight.get().clone(),
            Entry::Vacant(place) => {
                let (landed, landing) = watch::channel(None);
                let gone = Gone { under_way: Arc::clone(&self.under_way), key: Some(place.key().clone()) };
                place.insert(landing.clone());
                let flight = fly();
                self.tasks.spawn(async move {
                    let result = flight.await;
                    // Whoever comes now finds what the flight brought, and needs none.
                    drop(gone);
                    landed.send_replace(Some(result));
                });
                landing
            }
        }
    }
}

/// Takes a flight off the list when its task ends, however it ends.
struct Gone<K: Eq + Hash, V> {
    under_way: Arc<UnderWay<K, V>>,
    key: Option<K>,
}

impl<K: Eq + Hash, V> Drop for Gone<K, V> {
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
