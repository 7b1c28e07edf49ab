//! The memory of `jti`s: each may be used once.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rsa::sha2::{Digest as _, Sha256};

/// How many `jti`s are remembered at most: at 60 s each, thousands of grants a second.
const CAPACITY: usize = 250_000;

/// Why a `jti` was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFresh {
    /// It was used before, and the assertion that used it has not expired yet.
    Replayed,
    /// The memory is full of `jti`s that may still come again; forgetting one would let it.
    Full,
}

/// The `jti`s of every client, until their assertions expire.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    digests: HashSet<[u8; 32]>,
    by_end: BTreeMap<i64, Vec<[u8; 32]>>,
}

impl Replays {
    /// Takes a client's `jti` whose assertion ends at `exp` (seconds since 1970).
    pub(crate) fn take(&self, client_id: &str, jti: &str, exp: i64, now: Timestamp) -> Result<(), NotFresh> {
        let digest: [u8; 32] = Sha256::new()
            .chain_update((client_id.len() as u64).to_be_bytes())
            .chain_update(client_id)
            .chain_update(jti)
            .finalize()
            .into();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = seen.by_end.split_off(&now.as_second());
        for digest in std::mem::replace(&mut seen.by_end, alive).into_values().flatten() {
            seen.digests.remove(&digest);
        }
        if seen.digests.contains(&digest) {
            return Err(NotFresh::Replayed);
        }
        if seen.digests.len() >= CAPACITY {
            return Err(NotFresh::Full);
        }
        seen.digests.insert(digest);
        seen.by_end.entry(exp).or_default().push(digest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jti_is_taken_once_per_client_until_its_assertion_ends() {
        let replays = Replays::default();
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(replays.take("a", "one", 160, at(100)), Ok(()));
        assert_eq!(replays.take("a", "one", 160, at(159)), Err(NotFresh::Replayed));
        assert_eq!(replays.take("b", "one", 160, at(159)), Ok(()));
        assert_eq!(replays.take("a", "one", 221, at(161)), Ok(()));
    }
}
