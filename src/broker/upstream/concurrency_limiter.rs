//! The limit of concurrent requests to Box: in all, and fewer per app and per tenant, so that slow requests of
//! one leave permits for the others.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::broker::tenant_context::TenantContext;
use crate::domain::id::{AppId, TenantId};

/// The longest time that a request waits for a permit.
const PERMIT_WAIT_LIMIT: Duration = Duration::from_secs(1);
/// The share of all permits that the tenants of one app have together at most, and one tenant alone.
const APP_SHARE: usize = 2;
const TENANT_SHARE: usize = 4;
/// The most waiting requests per permit: more would only wait in vain.
const QUEUE_PER_PERMIT: usize = 4;
/// The number of semaphores beyond which those that nobody uses are dropped.
const IDLE_SEMAPHORES: usize = 1024;

/// The permits for requests to Box.
#[derive(Debug)]
pub(super) struct ConcurrencyLimiter {
    all: Arc<Semaphore>,
    apps: KeyedSemaphores<AppId>,
    tenants: KeyedSemaphores<TenantId>,
    waiting: AtomicUsize,
    max_waiting: usize,
}

/// A permit for one request to Box, until it is dropped.
#[derive(Debug)]
pub(in crate::broker) struct Permit {
    _permits: Vec<OwnedSemaphorePermit>,
}

/// No permit became free in time, or the queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoPermit;

impl ConcurrencyLimiter {
    /// Returns a limiter with `permits` permits in all.
    pub(super) fn new(permits: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(permits)),
            apps: KeyedSemaphores::new(permits.div_ceil(APP_SHARE)),
            tenants: KeyedSemaphores::new(permits.div_ceil(TENANT_SHARE)),
            waiting: AtomicUsize::new(0),
            max_waiting: permits.saturating_mul(QUEUE_PER_PERMIT),
        }
    }

    /// Waits for a permit of this tenant and its app.
    ///
    /// # Errors
    /// If none becomes free in time, or too many requests wait already.
    pub(super) async fn acquire(&self, tenant: &TenantContext) -> Result<Permit, NoPermit> {
        let _position = QueuePosition::enter(self)?;
        let (tenant, app) = (self.tenants.of(tenant.id()), self.apps.of(&tenant.app.id));
        // A tenant's surplus waits for the tenant's own semaphore, and only its first wait for the wider ones.
        let permits = async {
            let tenant = tenant.acquire_owned().await?;
            let app = app.acquire_owned().await?;
            Ok(vec![tenant, app, Arc::clone(&self.all).acquire_owned().await?])
        };
        Self::in_time(permits).await
    }

    /// Waits for a permit of no tenant: for credentials that belong to none yet.
    ///
    /// # Errors
    /// As [`ConcurrencyLimiter::acquire`].
    pub(super) async fn acquire_unowned(&self) -> Result<Permit, NoPermit> {
        let _position = QueuePosition::enter(self)?;
        Self::in_time(async { Ok(vec![Arc::clone(&self.all).acquire_owned().await?]) }).await
    }

    async fn in_time(
        permits: impl Future<Output = Result<Vec<OwnedSemaphorePermit>, AcquireError>>,
    ) -> Result<Permit, NoPermit> {
        match tokio::time::timeout(PERMIT_WAIT_LIMIT, permits).await {
            Ok(Ok(permits)) => Ok(Permit { _permits: permits }),
            Ok(Err(AcquireError { .. })) | Err(_) => Err(NoPermit),
        }
    }
}

/// A position in the queue, until it is dropped.
struct QueuePosition<'a>(&'a AtomicUsize);

impl<'a> QueuePosition<'a> {
    fn enter(limiter: &'a ConcurrencyLimiter) -> Result<Self, NoPermit> {
        let position = Self(&limiter.waiting);
        let before = position.0.fetch_add(1, Ordering::Relaxed);
        if before < limiter.max_waiting { Ok(position) } else { Err(NoPermit) }
    }
}

impl Drop for QueuePosition<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A semaphore for each key; a key that nobody uses takes no memory for long.
#[derive(Debug)]
struct KeyedSemaphores<K> {
    permits_each: usize,
    semaphores: Mutex<HashMap<K, Arc<Semaphore>>>,
}

impl<K: Clone + Eq + Hash> KeyedSemaphores<K> {
    fn new(permits_each: usize) -> Self {
        Self { permits_each, semaphores: Mutex::default() }
    }

    fn of(&self, key: &K) -> Arc<Semaphore> {
        let mut semaphores = self.semaphores.lock().unwrap_or_else(PoisonError::into_inner);
        if semaphores.len() > IDLE_SEMAPHORES {
            // Permits and waiting requests hold a semaphore beside the map itself.
            semaphores.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        let new = || Arc::new(Semaphore::new(self.permits_each));
        Arc::clone(semaphores.entry(key.clone()).or_insert_with(new))
    }
}
