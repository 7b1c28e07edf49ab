//! What is kept in memory. The library below bounds how much; whether an entry still counts stands
//! in the entry and is judged when it is served.

pub(super) mod lifetime;
pub(super) mod renewal_schedule;
pub(super) mod token;

use std::collections::HashSet;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::box_api::BoxCredentials;
use crate::broker::cache::token::AccessToken;
use crate::broker::revocation::fence::{FenceView, RevocationFence};
use crate::broker::tenant_context::TenantContext;
use crate::broker::webhooks::WebhookKeys;
use crate::clock::{Clock, Monotonic};
use crate::domain::id::{AppId, BoxId, Generation, TenantId, TokenId};
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// How many apps' credentials and users are remembered at most.
const CREDENTIALS: u64 = 10_000;
const MEMBERS: u64 = 1_000_000;
const DEATHS: u64 = 10_000;
/// What share of the tokens' bytes may be taken more to find full ones by their SHA-256.
const INDEX_SHARE: u64 = 4;
/// How long a SHA-256 in hex is.
const SHA256_HEX: usize = 64;

/// One app's credentials, opened and parsed at most once per generation.
#[derive(Debug)]
pub struct CredentialSlot {
    /// Of which generation.
    pub generation: Generation,
    /// The credentials, once they are needed.
    pub opened: tokio::sync::OnceCell<Arc<BoxCredentials>>,
    /// The keys with which its webhooks are signed, once they are needed.
    pub webhook_keys: tokio::sync::OnceCell<Arc<WebhookKeys>>,
}

/// All that the broker keeps in memory.
#[derive(Debug)]
pub struct TokenCache {
    tokens: Cache<TokenKey, Arc<AccessToken>>,
    /// Where to look for a full token, by its SHA-256; whether it is there stands under its key.
    full_tokens: Cache<Box<str>, TokenKey>,
    credentials: Cache<AppId, Arc<CredentialSlot>>,
    members: Cache<(TenantId, Generation, BoxId), ()>,
    deaths: Cache<TokenKey, Monotonic>,
    revoked: Cache<(TenantId, Subject), u64>,
    pub(in crate::broker) fences: RevocationFence,
}

impl TokenCache {
    /// Empty, with room for `tokens_bytes` of tokens.
    #[must_use]
    pub fn new(tokens_bytes: u64) -> Self {
        // The default policy would refuse new entries when full, and lose a fresh token at once.
        fn bounded<K, V>(capacity: u64) -> Cache<K, V>
        where
            K: std::hash::Hash + Eq + Send + Sync + 'static,
            V: Clone + Send + Sync + 'static,
        {
            Cache::builder().max_capacity(capacity).eviction_policy(EvictionPolicy::lru()).build()
        }
        let tokens = Cache::builder()
            .max_capacity(tokens_bytes)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|key: &TokenKey, token: &Arc<AccessToken>| {
                u32::try_from(weight_of(key) + token.bytes()).unwrap_or(u32::MAX)
            })
            .build();
        let full_tokens = Cache::builder()
            .max_capacity(tokens_bytes / INDEX_SHARE)
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, key: &TokenKey| u32::try_from(weight_of(key) + SHA256_HEX).unwrap_or(u32::MAX))
            .build();
        Self {
            tokens,
            full_tokens,
            credentials: bounded(CREDENTIALS),
            members: bounded(MEMBERS),
            deaths: bounded(DEATHS),
            revoked: bounded(DEATHS),
            fences: RevocationFence::default(),
        }
    }

    /// The token under `key`, alive or not.
    #[must_use]
    pub fn token(&self, key: &TokenKey) -> Option<Arc<AccessToken>> {
        self.tokens.get(key)
    }

    /// Keeps a token, unless it is there already or the one that is there lives longer; false then.
    pub fn keep_token(&self, key: &TokenKey, token: &Arc<AccessToken>, clock: &dyn Clock) -> bool {
        let keeps =
            |kept: &Arc<AccessToken>| kept.row == token.row || kept.life.left(clock) > token.life.left(clock);
        let is_new = !self.tokens.get(key).is_some_and(|kept| keeps(&kept));
        if is_new {
            self.tokens.insert(key.clone(), Arc::clone(token));
            if key.restriction.is_none() {
                self.full_tokens.insert(token.fingerprint.clone(), key.clone());
            }
        }
        is_new
    }

    /// The full token of this SHA-256 (lower-case hex), alive or not; one that a younger one replaced is not
    /// here any more.
    #[must_use]
    pub fn full_token_with(&self, fingerprint: &str) -> Option<Arc<AccessToken>> {
        let key = self.full_tokens.get(fingerprint)?;
        self.token(&key).filter(|token| *token.fingerprint == *fingerprint)
    }

    /// How many bytes those take to whom the tokens were given that are here.
    pub(in crate::broker) fn bytes_of_receivers(&self) -> usize {
        self.tokens.iter().map(|(_, token)| token.receivers.bytes()).sum()
    }

    /// Forgets a token, if it is still the one that is there.
    pub fn forget_token(&self, key: &TokenKey, token: &Arc<AccessToken>) {
        if self.tokens.get(key).is_some_and(|kept| Arc::ptr_eq(&kept, token)) {
            self.tokens.invalidate(key);
        }
    }

    /// Forgets the tokens of these rows.
    pub fn forget_rows(&self, rows: &HashSet<TokenId>) {
        let found = self.tokens.iter().filter(|(_, token)| rows.contains(&token.row));
        for (key, _) in found {
            self.tokens.invalidate(&*key);
        }
    }

    /// Takes note that a token under `key` died before its time, and tells when one did before.
    pub fn note_death(&self, key: &TokenKey, now: Monotonic) -> Option<Monotonic> {
        let before = self.deaths.get(key);
        self.deaths.insert(key.clone(), now);
        before
    }

    /// Takes note that a subject's tokens are being revoked: those under way are theirs too.
    pub(in crate::broker) fn note_revocation(&self, tenant: &TenantId, subject: &Subject) {
        let number = self.fences.advance();
        self.revoked.insert((tenant.clone(), subject.clone()), number);
        self.fences.wait_for_looks();
    }

    /// True where the subject's tokens were revoked, or a caller locked who could have such a token,
    /// after the first so many revocations.
    pub(in crate::broker) fn was_revoked_after(
        &self,
        view: &TenantContext,
        key: &TokenKey,
        count: u64,
    ) -> bool {
        self.is_stopped(&self.fences.look(), (view, key), count)
    }

    /// The same for somebody who goes on looking.
    pub(in crate::broker) fn is_stopped(
        &self,
        look: &FenceView<'_>,
        (view, key): (&TenantContext, &TokenKey),
        count: u64,
    ) -> bool {
        let of = (key.tenant.clone(), key.subject.clone());
        self.revoked.get(&of).is_some_and(|number| number > count)
            || look.stops(key, &view.tenant.labels, count)
    }

    /// The keys whose tokens are kept.
    pub(in crate::broker) fn keys(&self) -> impl Iterator<Item = Arc<TokenKey>> + '_ {
        self.tokens.iter().map(|(key, _)| key)
    }

    /// Forgets whatever is kept under a key.
    pub(in crate::broker) fn forget_key(&self, key: &TokenKey) {
        self.tokens.invalidate(key);
    }

    /// The place for an app's credentials of `generation`; those of any other are dropped.
    #[must_use]
    pub fn credentials(&self, app: &AppId, generation: Generation) -> Arc<CredentialSlot> {
        let empty = || {
            let (opened, webhook_keys) = Default::default();
            Arc::new(CredentialSlot { generation, opened, webhook_keys })
        };
        let slot = self.credentials.get_with_by_ref(app, empty);
        if slot.generation == generation {
            return slot;
        }
        // Whoever still looks at an older generation must not push the newer one out.
        let is_newer = slot.generation < generation;
        let slot = empty();
        if !is_newer {
            return slot;
        }
        self.credentials.insert(app.clone(), Arc::clone(&slot));
        slot
    }

    /// Drops an app's credentials.
    pub fn forget_credentials(&self, app: &AppId) {
        self.credentials.invalidate(app);
    }

    /// True where Box showed that the user belongs to the tenant's enterprise.
    #[must_use]
    pub fn is_member(&self, key: &TokenKey, user: &BoxId) -> bool {
        self.members.contains_key(&(key.tenant.clone(), key.generation, user.clone()))
    }

    /// Remembers that the user belongs to the tenant's enterprise.
    pub fn keep_member(&self, key: &TokenKey, user: &BoxId) {
        self.members.insert((key.tenant.clone(), key.generation, user.clone()), ());
    }
}

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
    use crate::broker::cache::lifetime::TokenLifetime;
    use crate::clock::ManualClock;
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
    fn a_tenants_hundred_thousand_users_leave_memory_bounded_and_a_neighbours_token_in_it() {
        let capacity = 1024 * 1024;
        let (memory, clock) = (TokenCache::new(capacity), ManualClock::new(Timestamp::UNIX_EPOCH));
        let token = |secret: u64| {
            let life = TokenLifetime::new(Duration::from_hours(1), (clock.wall(), clock.monotonic()));
            let of = (key("ten_a", secret), TokenId::generate(&SystemEntropy));
            let secret = SecretString::new(format!("{secret:032}"));
            Arc::new(AccessToken::new(secret, life, (Duration::from_mins(10), clock.monotonic()), None, of))
        };
        let neighbour = key("ten_b", 1);
        memory.keep_token(&neighbour, &token(0), &clock);
        for user in 1..=100_000 {
            memory.keep_token(&key("ten_a", user), &token(user), &clock);
            if user % 100 == 0 {
                assert!(memory.token(&neighbour).is_some(), "in use, and gone after {user} others");
            }
        }
        memory.tokens.run_pending_tasks();
        assert!(memory.tokens.weighted_size() <= capacity, "{}", memory.tokens.weighted_size());
        assert!(memory.tokens.entry_count() > 500, "and it is used: {}", memory.tokens.entry_count());
    }
}
