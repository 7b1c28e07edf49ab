//! Who is calling: credentials in, callers out.

pub mod api_key;
mod buckets;
pub mod limits;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::clock::Clock;
use crate::crypto::{CryptoError, Vault};
use crate::domain::caller::{ApiKey, Caller, CallerState};
use crate::domain::event::{Actor, Cause, Credential};
use crate::domain::id::KeyId;
use crate::store::watch::{Stamp, Watch};
use crate::store::{CallerRef, Store, StoreError};

/// How many keys are remembered, known and unknown ones.
const REMEMBERED: u64 = 100_000;

/// An authenticated caller.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The caller, with the grants of the moment.
    pub caller: Arc<Caller>,
    /// What it came with.
    pub credential: Credential,
    /// When that ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The address that the request came from.
    pub peer: Option<IpAddr>,
}

impl Identity {
    /// Who acts, for the record.
    #[must_use]
    pub fn cause(&self, request_id: &str) -> Cause {
        let Caller { id, name, .. } = &*self.caller;
        let actor = Actor::Caller { id: id.clone(), name: name.clone(), credential: self.credential.clone() };
        Cause { actor, request_id: Some(request_id.to_owned()), peer: self.peer, on_behalf_of: None }
    }
}

/// Why a credential is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// It is none, or not one that opens anything.
    #[error("the credential opens nothing")]
    Unauthenticated,
    /// It cannot be judged, because its row cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It cannot be judged without a pepper that is not in the key set.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Turns API keys into callers.
#[derive(Debug)]
pub struct Authenticator {
    store: Arc<dyn Store>,
    watch: Arc<Watch>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    max_age: Duration,
    known: Cache<KeyId, Arc<Known>>,
}

/// What a key's id led to when it was last looked up.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    caller: Option<Arc<Caller>>,
    /// When the key was last used, in seconds of Unix time; zero for not since it was looked up.
    used: AtomicI64,
}

impl Authenticator {
    /// An authenticator that lets what it remembers stand for at most `max_age` while the store is away.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        watch: Arc<Watch>,
        vault: Arc<Vault>,
        clock: Arc<dyn Clock>,
        max_age: Duration,
    ) -> Self {
        let known = Cache::builder().max_capacity(REMEMBERED).eviction_policy(EvictionPolicy::lru()).build();
        Self { store, watch, vault, clock, max_age, known }
    }

    /// The caller whose key this is.
    ///
    /// # Errors
    /// Where it is nobody's, or where that cannot be said at the moment.
    pub async fn authenticate(&self, text: &str) -> Result<Identity, AuthError> {
        let id = api_key::id_of(text).ok_or(AuthError::Unauthenticated)?;
        self.identify(&id, |key| self.vault.matches(&key.pepper, &key.digest, text.as_bytes())).await
    }

    /// A caller that was authenticated before, as it stands now: with the grants of this moment.
    ///
    /// # Errors
    /// Where its key opens nothing any more, or where that cannot be said at the moment.
    pub async fn again(&self, identity: &Identity) -> Result<Identity, AuthError> {
        match &identity.credential {
            Credential::Key(id) => {
                Ok(Identity { peer: identity.peer, ..self.identify(id, |_| Ok(true)).await? })
            }
            Credential::Jwt { .. } => Err(AuthError::Unauthenticated),
        }
    }

    /// From before whatever is read from now on.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.watch.stamp()
    }

    async fn identify(
        &self,
        id: &KeyId,
        is_proven: impl FnOnce(&ApiKey) -> Result<bool, CryptoError>,
    ) -> Result<Identity, AuthError> {
        let known = self.look_up(id).await?;
        let caller = known.caller.as_ref().ok_or(AuthError::Unauthenticated)?;
        let key = caller.keys.iter().find(|key| key.id == *id).ok_or(AuthError::Unauthenticated)?;
        let now = self.clock.wall();
        if !is_proven(key)? || !key.is_live(now) || caller.state == CallerState::Locked {
            return Err(AuthError::Unauthenticated);
        }
        known.used.store(now.as_second(), Ordering::Relaxed);
        let credential = Credential::Key(id.clone());
        Ok(Identity { caller: Arc::clone(caller), credential, expires_at: key.expires_at, peer: None })
    }

    async fn look_up(&self, id: &KeyId) -> Result<Arc<Known>, StoreError> {
        self.watch.catch_up().await;
        if let Some(known) = self.known.get(id) {
            let current = match &known.caller {
                Some(caller) => self.watch.is_current(&known.stamp, &[caller.id.as_str()]),
                None => self.watch.is_still(&known.stamp),
            };
            if current && self.watch.age() <= self.max_age {
                return Ok(known);
            }
        }
        let stamp = self.watch.stamp();
        let caller = self.store.caller(&CallerRef::Key(id.clone())).await?.map(Arc::new);
        let known = Arc::new(Known { stamp, caller, used: AtomicI64::new(0) });
        self.known.insert(id.clone(), Arc::clone(&known));
        Ok(known)
    }

    /// Writes down when keys were last used.
    ///
    /// # Errors
    /// Where the store does not answer; the times are kept for the next attempt.
    pub async fn record_uses(&self) -> Result<(), StoreError> {
        let used: Vec<_> = self
            .known
            .iter()
            .filter_map(|(id, known)| {
                let second = known.used.load(Ordering::Relaxed);
                (second != 0).then_some((id, known, second))
            })
            .collect();
        let uses: Vec<(KeyId, Timestamp)> = used
            .iter()
            .filter_map(|(id, _, second)| Some(((**id).clone(), Timestamp::from_second(*second).ok()?)))
            .collect();
        if uses.is_empty() {
            return Ok(());
        }
        self.store.touch_keys(&uses).await?;
        for (_, known, second) in used {
            // A use that came meanwhile is left for the next time.
            let _ = known.used.compare_exchange(second, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
        Ok(())
    }
}
