//! The parts that all services of `registry` share: storage, seals, Box, the broker, time and randomness.
//!
//! It owns no state of its own besides the limit on key work, and knows nothing of tenants, apps or callers.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::error::RegistryError;
use crate::box_api::BoxClient;
use crate::broker::Broker;
use crate::clock::Clock;
use crate::crypto::Vault;
use crate::entropy::Entropy;
use crate::store::Store;

/// The number of private keys that are decoded or generated at a time: each may keep a core busy for half a second.
const KEY_THREADS: usize = 2;

/// The shared parts.
#[derive(Debug)]
pub(super) struct Deps {
    pub store: Arc<dyn Store>,
    pub vault: Arc<Vault>,
    pub box_client: Arc<BoxClient>,
    pub broker: Arc<Broker>,
    pub clock: Arc<dyn Clock>,
    pub entropy: Arc<dyn Entropy>,
    key_threads: Arc<Semaphore>,
}

impl Deps {
    /// Takes the shared parts from those of the broker.
    pub(super) fn new(parts: crate::broker::BrokerParts, broker: Arc<Broker>) -> Self {
        let crate::broker::BrokerParts { store, vault, upstream, clock, entropy, .. } = parts;
        let key_threads = Arc::new(Semaphore::new(KEY_THREADS));
        Self { store, vault, box_client: upstream, broker, clock, entropy, key_threads }
    }

    /// Returns the wall clock's time in the precision of rows and answers: milliseconds.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.wall();
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    /// Returns a new random id.
    pub(super) fn new_id<T>(&self, generate: fn(&dyn Entropy) -> T) -> T {
        generate(self.entropy.as_ref())
    }

    /// Runs expensive work on a private key on a blocking thread, so that it delays no other request.
    ///
    /// # Errors
    /// [`RegistryError::Overloaded`] if the work did not run to its end.
    pub(super) async fn run_key_work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RegistryError> {
        let permit = Arc::clone(&self.key_threads).acquire_owned().await;
        let permit = permit.map_err(|_| RegistryError::Overloaded)?;
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        task.await.map_err(|_| RegistryError::Overloaded)
    }
}
