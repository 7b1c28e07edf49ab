//! The parts of a [`Broker`]: how they are put together, and how other modules reach them.
//!
//! Each part is given what it needs, and no part is given the facade.

use std::sync::Arc;

use tokio_util::task::TaskTracker;

use super::cache::{TokenCache, TtlPolicy};
use super::minter::MinterParts;
use super::recipients::TokenRecipients;
use super::renewal::RenewalParts;
use super::revocation::{RevocationFence, RevocationParts};
use super::token_store::{SealedTokenStore, SealedTokenStoreParts};
use super::{
    AncestorLookup, AuditCounter, Broker, CredentialCache, LivenessChecker, Minter, RenewalWorker,
    Revocation, SubjectTokens, TenantDirectory, Upstream,
};
use crate::box_api::BoxClient;
use crate::clock::Clock;
use crate::config::Settings;
use crate::crypto::Vault;
use crate::entropy::Entropy;
use crate::store::Store;
use crate::store::change_feed::ChangeFeed;

/// The services that a broker works with.
#[derive(Clone, Debug)]
pub struct BrokerParts {
    /// The store of tenants, credentials and tokens.
    pub store: Arc<dyn Store>,
    /// The changes that other processes made.
    pub change_feed: Arc<ChangeFeed>,
    /// The vault that seals credentials and tokens.
    pub vault: Arc<Vault>,
    /// The client of Box.
    pub upstream: Arc<BoxClient>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The source of randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The tasks that outlive their callers; the process waits for them when it stops.
    pub tasks: TaskTracker,
}

impl Broker {
    /// Returns a broker with nothing in memory yet.
    #[must_use]
    pub fn new(parts: BrokerParts, settings: &Settings) -> Self {
        let BrokerParts { store, change_feed, vault, upstream: client, clock, entropy, tasks } = parts;
        let permits = settings.limits.mints_in_flight;
        let max_age = settings.auth.max_policy_age;
        let tenants = Arc::new(TenantDirectory::new(store.clone(), change_feed, max_age, &tasks));
        let cache = Arc::new(TokenCache::new(settings.tokens.cache_max_bytes, clock.clone()));
        let ttl = Arc::new(TtlPolicy::new(&settings.tokens, clock.clone(), entropy.clone()));
        let credentials = Arc::new(CredentialCache::new(store.clone(), vault.clone()));
        let upstream = Arc::new(Upstream::new(client.clone(), clock.clone(), permits));
        let recipients = Arc::new(TokenRecipients::new(store.clone(), cache.clone()));
        let window = settings.audit.window;
        let audit = Arc::new(AuditCounter::new(store.clone(), clock.clone(), recipients.clone(), window));
        let tokens = Arc::new(SealedTokenStore::new(SealedTokenStoreParts {
            store: store.clone(),
            vault,
            cache: cache.clone(),
            recipients: recipients.clone(),
            ttl: ttl.clone(),
            clock: clock.clone(),
            entropy,
        }));
        let fence = Arc::new(RevocationFence::default());
        let revocation = Arc::new(Revocation::new(RevocationParts {
            store: store.clone(),
            client,
            clock: clock.clone(),
            tasks: tasks.clone(),
            tenants: tenants.clone(),
            credentials: credentials.clone(),
            cache: cache.clone(),
            tokens: tokens.clone(),
            fence: fence.clone(),
        }));
        let minter = Arc::new(Minter::new(MinterParts {
            cache: cache.clone(),
            ttl: ttl.clone(),
            tokens: tokens.clone(),
            credentials: credentials.clone(),
            upstream: upstream.clone(),
            fence,
            revocation: revocation.clone(),
            audit: audit.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
        }));
        let liveness = Arc::new(LivenessChecker::new(
            tenants.clone(),
            (cache.clone(), tokens.clone()),
            upstream.clone(),
            clock.clone(),
            tasks.clone(),
        ));
        let ancestors = Arc::new(AncestorLookup::new(
            minter.clone(),
            tokens.clone(),
            upstream.clone(),
            clock.clone(),
            tasks.clone(),
        ));
        let subject_tokens = SubjectTokens::new(store, cache.clone(), tokens, recipients, clock.clone());
        let renewal = RenewalParts {
            tenants: tenants.clone(),
            cache,
            ttl,
            upstream: upstream.clone(),
            minter: minter.clone(),
            clock,
            tasks,
        };
        let renewal = Arc::new(RenewalWorker::new(renewal, permits));
        Self {
            tenants,
            credentials,
            upstream,
            minter,
            liveness,
            revocation,
            renewal,
            ancestors,
            subject_tokens,
            audit,
        }
    }

    /// Returns the tenants with their apps.
    #[must_use]
    pub fn tenants(&self) -> &TenantDirectory {
        &self.tenants
    }

    /// Returns the opened credentials of apps.
    #[must_use]
    pub fn credentials(&self) -> &CredentialCache {
        &self.credentials
    }

    /// Returns the guarded way to Box, with the health of tenants.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// Returns the minter, for mints that test credentials.
    #[must_use]
    pub fn minter(&self) -> &Arc<Minter> {
        &self.minter
    }

    /// Returns the checker of tokens that may be dead.
    #[must_use]
    pub fn liveness(&self) -> &Arc<LivenessChecker> {
        &self.liveness
    }

    /// Returns the revocation of tokens.
    #[must_use]
    pub fn revocation(&self) -> &Arc<Revocation> {
        &self.revocation
    }

    /// Returns the renewal of tokens in use.
    #[must_use]
    pub fn renewal(&self) -> &Arc<RenewalWorker> {
        &self.renewal
    }

    /// Returns the look-up of the folders that contain items.
    #[must_use]
    pub fn ancestors(&self) -> &Arc<AncestorLookup> {
        &self.ancestors
    }

    /// Returns the look-up of tokens that are presented for an exchange.
    #[must_use]
    pub fn subject_tokens(&self) -> &SubjectTokens {
        &self.subject_tokens
    }

    /// Returns the counts of releases and refusals.
    #[must_use]
    pub fn audit(&self) -> &AuditCounter {
        &self.audit
    }
}
