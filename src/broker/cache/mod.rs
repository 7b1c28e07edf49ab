//! The tokens in memory.
//!
//! [`TokenCache`] owns them and the index of their renewal times. Its size is bounded; whether a token may
//! still be served is judged from the token itself each time, by [`TtlPolicy`]. It never asks the store or Box.

mod bounded;
mod lifetime;
mod recipient_set;
mod renewal_schedule;
mod token;
mod ttl_policy;

use std::collections::HashSet;
use std::sync::Arc;

pub use self::lifetime::TokenLifetime;
pub use self::recipient_set::RecipientSet;
pub use self::token::{AccessToken, RenewalTimes};

pub(super) use self::bounded::BoundedCache;
pub(super) use self::renewal_schedule::INTERVAL;
pub(super) use self::ttl_policy::TtlPolicy;

use self::renewal_schedule::RenewalSchedule;
use crate::clock::{Clock, Monotonic};
use crate::domain::id::TokenId;
use crate::domain::token_key::TokenKey;

/// The share of the tokens' bytes that the index of full tokens by SHA-256 may take in addition.
const INDEX_SHARE: u64 = 4;
/// The length of a SHA-256 in hex.
const SHA256_HEX: usize = 64;

/// The tokens in memory, at most one per key.
#[derive(Debug)]
pub(super) struct TokenCache {
    clock: Arc<dyn Clock>,
    tokens: BoundedCache<TokenKey, Arc<AccessToken>>,
    /// The keys of full tokens by the token's SHA-256. The token of that key may be another by now.
    keys_by_fingerprint: BoundedCache<Box<str>, TokenKey>,
    renewals: RenewalSchedule,
}

impl TokenCache {
    /// Returns an empty cache for at most `max_bytes` of tokens.
    pub(super) fn new(max_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            tokens: BoundedCache::with_max_bytes(max_bytes, |key: &TokenKey, token: &Arc<AccessToken>| {
                weight_of(key) + token.bytes()
            }),
            keys_by_fingerprint: BoundedCache::with_max_bytes(
                max_bytes / INDEX_SHARE,
                |_, key: &TokenKey| weight_of(key) + SHA256_HEX,
            ),
            renewals: RenewalSchedule::default(),
        }
    }

    /// Returns the token of a key, even one that has expired.
    pub(super) fn get(&self, key: &TokenKey) -> Option<Arc<AccessToken>> {
        self.tokens.get(key)
    }

    /// Returns the full token of this SHA-256 (lower-case hex), even one that has expired, unless a newer one
    /// replaced it.
    pub(super) fn find_full_by_hash(&self, fingerprint: &str) -> Option<Arc<AccessToken>> {
        let key = self.keys_by_fingerprint.get(fingerprint)?;
        self.get(&key).filter(|token| *token.fingerprint == *fingerprint)
    }

    /// Returns the keys of all tokens.
    pub(super) fn keys(&self) -> impl Iterator<Item = Arc<TokenKey>> + '_ {
        self.tokens.iter().map(|(key, _)| key)
    }

    /// Returns the bytes of memory that the tokens' recipients take.
    pub(super) fn recipient_bytes(&self) -> usize {
        self.tokens.iter().map(|(_, token)| token.recipients.bytes()).sum()
    }

    /// Keeps a token and schedules its renewal, unless it is present already or the present one lives longer.
    pub(super) fn insert(&self, key: &TokenKey, token: &Arc<AccessToken>) {
        let clock = self.clock.as_ref();
        let is_kept = |present: Arc<AccessToken>| {
            present.row == token.row || present.lifetime.left(clock) > token.lifetime.left(clock)
        };
        if self.tokens.get(key).is_some_and(is_kept) {
            return;
        }
        self.tokens.insert(key.clone(), Arc::clone(token));
        if key.restriction.is_none() {
            self.keys_by_fingerprint.insert(token.fingerprint.clone(), key.clone());
        }
        self.schedule_renewal(key.clone(), token.renewal.at);
    }

    /// Removes a token, unless another took its place.
    pub(super) fn remove(&self, token: &Arc<AccessToken>) {
        if self.tokens.get(&token.key).is_some_and(|present| Arc::ptr_eq(&present, token)) {
            self.tokens.remove(&token.key);
        }
    }

    /// Removes the token of a key.
    pub(super) fn remove_key(&self, key: &TokenKey) {
        self.tokens.remove(key);
    }

    /// Removes the tokens of these rows of the store.
    pub(super) fn remove_by_row_ids(&self, rows: &HashSet<TokenId>) {
        let found = self.tokens.iter().filter(|(_, token)| rows.contains(&token.row));
        for (key, _) in found {
            self.tokens.remove(&key);
        }
    }

    /// Schedules the renewal of a key's token.
    pub(super) fn schedule_renewal(&self, key: TokenKey, at: Monotonic) {
        self.renewals.plan(key, at);
    }

    /// Takes the keys whose renewal is due out of the schedule, the earliest first.
    pub(super) fn take_due_renewals(&self) -> Vec<TokenKey> {
        self.renewals.take_due(self.clock.monotonic())
    }
}

/// Returns the bytes of memory that a key takes.
fn weight_of(key: &TokenKey) -> usize {
    // The encoding holds every field once, much as the key in memory does; the map adds about as
    // much again in nodes and counters.
    key.encoding().len() + 256
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::clock::ManualClock;
    use crate::domain::id::{BoxId, Generation, TenantId};
    use crate::domain::subject::Subject;
    use crate::entropy::SystemEntropy;
    use crate::secret::SecretString;

    fn key(tenant: &str, user: u64) -> TokenKey {
        TokenKey {
            tenant: TenantId::parse(tenant).unwrap(),
            generation: Generation(1),
            subject: Subject::User { id: BoxId::parse(&user.to_string()).unwrap() },
            restriction: None,
        }
    }

    #[test]
    fn many_tokens_of_one_tenant_stay_bounded_and_evict_no_token_in_use() {
        let capacity = 1024 * 1024;
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let cache = TokenCache::new(capacity, clock.clone());
        let token = |secret: u64| {
            let lifetime = TokenLifetime::new(Duration::from_hours(1), (clock.wall(), clock.monotonic()));
            let of = (key("ten_a", secret), TokenId::generate(&SystemEntropy));
            let secret = SecretString::new(format!("{secret:032}"));
            let renewal = RenewalTimes { margin: Duration::from_mins(10), at: clock.monotonic() };
            Arc::new(AccessToken::new(secret, lifetime, renewal, None, of))
        };
        let neighbour = key("ten_b", 1);
        cache.insert(&neighbour, &token(0));
        for user in 1..=100_000 {
            cache.insert(&key("ten_a", user), &token(user));
            if user % 100 == 0 {
                assert!(cache.get(&neighbour).is_some(), "in use, and gone after {user} others");
            }
        }
        let (entries, bytes) = cache.tokens.size();
        assert!(bytes <= capacity, "{bytes}");
        assert!(entries > 500, "and it is used: {entries}");
    }
}
