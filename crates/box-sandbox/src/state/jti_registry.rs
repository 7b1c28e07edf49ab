//! The `jti` claims that were used, each of which is accepted once.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rsa::sha2::{Digest as _, Sha256};

/// The largest number of remembered `jti`s. An assertion lives 60 s, so this is enough for thousands of grants per
/// second.
const CAPACITY: usize = 250_000;

/// A reason why a `jti` is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JtiError {
    /// It was used before, by an assertion that has not expired yet.
    Replayed,
    /// The registry is full of `jti`s that could still be replayed.
    RegistryFull,
}

/// The used `jti`s of all clients, each kept until its assertion expires.
#[derive(Debug, Default)]
pub(crate) struct JtiRegistry(Mutex<UsedJtis>);

#[derive(Debug, Default)]
struct UsedJtis {
    digests: HashSet<[u8; 32]>,
    by_expiry: BTreeMap<i64, Vec<[u8; 32]>>,
}

impl JtiRegistry {
    /// Records the `jti` of a client's assertion that expires at `exp` (seconds since 1970).
    pub(crate) fn use_once(
        &self,
        client_id: &str,
        jti: &str,
        exp: i64,
        now: Timestamp,
    ) -> Result<(), JtiError> {
        let digest: [u8; 32] = Sha256::new()
            .chain_update((client_id.len() as u64).to_be_bytes())
            .chain_update(client_id)
            .chain_update(jti)
            .finalize()
            .into();
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let unexpired = used.by_expiry.split_off(&now.as_second());
        for expired in std::mem::replace(&mut used.by_expiry, unexpired).into_values().flatten() {
            used.digests.remove(&expired);
        }
        if used.digests.contains(&digest) {
            return Err(JtiError::Replayed);
        }
        if used.digests.len() >= CAPACITY {
            return Err(JtiError::RegistryFull);
        }
        used.digests.insert(digest);
        used.by_expiry.entry(exp).or_default().push(digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jti_is_accepted_once_per_client_until_its_assertion_expires() {
        let used = JtiRegistry::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(used.use_once("a", "one", 160, at(100)), Ok(()));
        assert_eq!(used.use_once("a", "one", 160, at(159)), Err(JtiError::Replayed));
        assert_eq!(used.use_once("b", "one", 160, at(159)), Ok(()));
        assert_eq!(used.use_once("a", "one", 221, at(161)), Ok(()));
    }
}
