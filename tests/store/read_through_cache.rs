//! The read-through cache.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use box_token_broker::clock::SystemClock;
use box_token_broker::domain::id::CallerId;
use box_token_broker::entropy::SystemEntropy;
use box_token_broker::store::change_feed::{ChangeFeed, ChangeToken};
use box_token_broker::store::read_through_cache::{Cacheable, ReadThroughCache};
use box_token_broker::store::{ChangedEntity, StoreError};
use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::harness::Harness;

/// A value that holds the number of the read that returned it.
#[derive(Debug)]
struct Row(u32);

impl Cacheable<CallerId> for Row {
    fn is_current(&self, key: &CallerId, since: &ChangeToken, change_feed: &ChangeFeed) -> bool {
        change_feed.unchanged_since(since, &[key.as_str()])
    }
}

/// A cache with one key, whose reads each wait until the test releases them.
struct Desk {
    lookups: ReadThroughCache<CallerId, Row>,
    change_feed: Arc<ChangeFeed>,
    key: CallerId,
    begun: Arc<AtomicU32>,
    may_end: Arc<Semaphore>,
}

impl Desk {
    async fn on(harness: &Harness) -> Self {
        let change_feed =
            ChangeFeed::start(Arc::clone(&harness.store), Arc::new(SystemClock::new())).await.unwrap();
        let change_feed = Arc::new(change_feed);
        let tasks = TaskTracker::new();
        Self {
            lookups: ReadThroughCache::new(Arc::clone(&change_feed), Duration::from_mins(1), 10, &tasks),
            change_feed,
            key: CallerId::generate(&SystemEntropy),
            begun: Arc::default(),
            may_end: Arc::new(Semaphore::new(0)),
        }
    }

    /// Returns the number of the read that provided the value; with `fails`, reads fail.
    async fn asks(&self, fails: bool) -> Result<u32, StoreError> {
        let read = || {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let may_end = Arc::clone(&self.may_end);
            async move {
                may_end.acquire().await.unwrap().forget();
                match fails {
                    true => Err(StoreError::Unavailable("planted".to_owned())),
                    false => Ok(Row(number)),
                }
            }
        };
        self.lookups.get_or_load(&self.key, read).await.map(|known| known.value.0)
    }

    /// Returns the results of a hundred concurrent requests.
    async fn crowd(&self, fails: bool) -> Vec<Result<u32, StoreError>> {
        let asking = join_all((0..100).map(|_| self.asks(fails)));
        tokio::time::timeout(Duration::from_secs(30), asking).await.expect("a reading for each of them")
    }

    /// Releases one read as soon as so many have begun.
    async fn ends(&self, begun: u32) {
        while self.begun.load(Ordering::SeqCst) < begun {
            tokio::task::yield_now().await;
        }
        self.may_end.add_permits(1);
    }
}

pub(crate) async fn concurrent_misses_of_one_key_share_one_read(harness: &Harness) {
    let desk = Desk::on(harness).await;
    let (answers, ()) = tokio::join!(desk.crowd(false), desk.ends(1));
    assert_eq!(answers, vec![Ok(1); 100]);
    assert_eq!(desk.asks(false).await, Ok(1), "it is remembered");
    desk.change_feed.mark_changed(&ChangedEntity::Caller(desk.key.clone()));
    let (answer, ()) = tokio::join!(desk.asks(false), desk.ends(2));
    assert_eq!(answer, Ok(2), "until it changes");
}

pub(crate) async fn a_read_from_before_a_change_is_not_used_after_it(harness: &Harness) {
    let desk = Desk::on(harness).await;
    let late = async {
        while desk.begun.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        desk.change_feed.mark_changed(&ChangedEntity::Caller(desk.key.clone()));
        tokio::join!(desk.ends(1), desk.crowd(false)).1
    };
    let (_, crowd, ()) = tokio::join!(desk.asks(false), late, desk.ends(2));
    assert_eq!(crowd, vec![Ok(2); 100]);
}

pub(crate) async fn a_failed_read_fails_for_all_waiters_and_is_not_cached(harness: &Harness) {
    let desk = Desk::on(harness).await;
    let (answers, ()) = tokio::join!(desk.crowd(true), desk.ends(1));
    assert_eq!(answers, vec![Err(StoreError::Unavailable("planted".to_owned())); 100]);
    let (answer, ()) = tokio::join!(desk.asks(false), desk.ends(2));
    assert_eq!(answer, Ok(2));
}
