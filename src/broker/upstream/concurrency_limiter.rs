//! Whose turn it is to ask Box: so many at once, of one tenant and of one app fewer, so that what
//! hangs for one leaves room for the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::broker::tenant_context::TenantContext;
use crate::domain::id::{AppId, TenantId};

/// How long somebody waits for a turn.
const PATIENCE: Duration = Duration::from_secs(1);
/// The share of all turns that one app's tenants have at most together, and one tenant alone.
const APP_SHARE: usize = 2;
const TENANT_SHARE: usize = 4;
/// How many wait at most, for each turn that there is: more would only wait in vain.
const QUEUE: usize = 4;

/// The turns that are taken.
#[derive(Debug)]
pub(in crate::broker) struct ConcurrencyLimiter {
    all: Arc<Semaphore>,
    apps: Lanes<AppId>,
    tenants: Lanes<TenantId>,
    waiting: AtomicUsize,
    most_waiting: usize,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(in crate::broker) struct Permit {
    _permits: Vec<OwnedSemaphorePermit>,
}

/// There was no turn in time, or there is no use in waiting for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct NoPermit;

impl ConcurrencyLimiter {
    pub(in crate::broker) fn new(count: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count)),
            apps: Lanes::new(count.div_ceil(APP_SHARE)),
            tenants: Lanes::new(count.div_ceil(TENANT_SHARE)),
            waiting: AtomicUsize::new(0),
            most_waiting: count.saturating_mul(QUEUE),
        }
    }

    /// Waits for a turn of this tenant and app.
    ///
    /// # Errors
    /// Where none came in time, or too many wait already.
    pub(in crate::broker) async fn take(&self, view: &TenantContext) -> Result<Permit, NoPermit> {
        let _place = QueuePosition::in_queue(self)?;
        let (tenant, app) = (self.tenants.of(&view.tenant.id), self.apps.of(&view.app.id));
        // A tenant's own crowd waits in its own lane, and only its first stand in the wider ones.
        let permits = async {
            let tenant = tenant.acquire_owned().await?;
            let app = app.acquire_owned().await?;
            Ok(vec![tenant, app, Arc::clone(&self.all).acquire_owned().await?])
        };
        Self::in_time(permits).await
    }

    /// Waits for a turn of nobody's: for credentials that are no tenant's yet.
    ///
    /// # Errors
    /// As [`ConcurrencyLimiter::take`].
    pub(in crate::broker) async fn take_any(&self) -> Result<Permit, NoPermit> {
        let _place = QueuePosition::in_queue(self)?;
        Self::in_time(async { Ok(vec![Arc::clone(&self.all).acquire_owned().await?]) }).await
    }

    async fn in_time(
        permits: impl Future<Output = Result<Vec<OwnedSemaphorePermit>, tokio::sync::AcquireError>>,
    ) -> Result<Permit, NoPermit> {
        match tokio::time::timeout(PATIENCE, permits).await {
            Ok(Ok(permits)) => Ok(Permit { _permits: permits }),
            Ok(Err(tokio::sync::AcquireError { .. })) | Err(_) => Err(NoPermit),
        }
    }
}

/// A place among those who wait.
struct QueuePosition<'a>(&'a AtomicUsize);

impl<'a> QueuePosition<'a> {
    fn in_queue(turns: &'a ConcurrencyLimiter) -> Result<Self, NoPermit> {
        let place = Self(&turns.waiting);
        if place.0.fetch_add(1, Ordering::Relaxed) < turns.most_waiting { Ok(place) } else { Err(NoPermit) }
    }
}

impl Drop for QueuePosition<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A few turns for each of many; whoever has none and waits for none takes no memory.
#[derive(Debug)]
struct Lanes<K> {
    each: usize,
    lanes: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Clone + Eq + Hash> Lanes<K> {
    fn new(each: usize) -> Self {
        Self { each, lanes: Mutex::default() }
    }

    fn of(&self, key: &K) -> Arc<Semaphore> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() > 1024 {
            // Permits and those who wait hold a lane beside the map itself.
            lanes.retain(|_, lane| Arc::strong_count(lane) > 1);
        }
        Arc::clone(lanes.entry(key.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.each))))
    }
}
