//! The release of tokens to callers: decided each time, served from memory, and minted at Box if necessary.
//!
//! [`Broker`] is the facade. A request goes down once through the parts, and comes back once:
//! [`Broker::token`] finds the tenant, decides by [`decision`], and obtains the token from the minter, which
//! looks into the cache before it asks Box. Each part owns its state:
//!
//! | part | module | purpose |
//! |---|---|---|
//! | [`TenantDirectory`] | `tenant_context` | tenants with their apps |
//! | [`CredentialCache`] | `credentials` | opened credentials of apps |
//! | [`Upstream`] | `upstream` | limits, circuit breaker, refusals and health of calls to Box |
//! | [`Minter`] | `minter` | one flight per key, from the store or from Box |
//! | [`LivenessChecker`] | `liveness` | tokens that callers report as dead |
//! | [`Revocation`] | `revocation` | revocation, lockdown, and the queue of both |
//! | [`RenewalWorker`] | `renewal` | renewal of tokens in use |
//! | [`AncestorLookup`] | `ancestors` | folders that contain an item |
//! | [`SubjectTokens`] | `subject_token` | tokens that are presented for an exchange |
//! | [`AuditCounter`] | `audit_counter` | counts of releases and refusals |
//!
//! Shared by several parts are the token cache (`cache`), the stored tokens (`token_store`), the revocation fence
//! (`revocation::fence`) and the recipients of tokens (`recipients`). Nothing here knows HTTP, and no part calls
//! the facade.

mod ancestors;
mod audit_counter;
mod cache;
mod credentials;
pub mod decision;
mod error;
mod liveness;
mod minter;
mod recipients;
mod renewal;
mod request;
mod revocation;
mod subject_token;
mod tenant_context;
mod token_store;
mod upstream;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::TaskTracker;

pub use self::ancestors::{AncestorLookup, Ancestors};
pub use self::audit_counter::{AuditCounter, TokenRelease};
pub use self::cache::{AccessToken, RecipientSet, RenewalTimes, TokenLifetime};
pub use self::credentials::{CredentialCache, box_credentials};
pub use self::error::{OutageScope, TokenError};
pub use self::liveness::LivenessChecker;
pub use self::minter::Minter;
pub use self::renewal::RenewalWorker;
pub use self::request::{BOX_WAIT_LIMIT, TokenRequest};
pub use self::revocation::{
    LockdownReport, LockdownScope, REVOCATION_INTERVAL, Revocation, RevocationTarget,
};
pub use self::subject_token::{SubjectToken, SubjectTokens};
pub use self::tenant_context::{TenantContext, TenantDirectory};
pub use self::upstream::{Health, Upstream};

use self::cache::{TokenCache, TtlPolicy};
use self::liveness::TokenStatus;
use self::minter::{AuditCause, MinterParts};
use self::recipients::TokenRecipients;
use self::renewal::RenewalParts;
use self::request::TtlRequirement;
use self::revocation::{RevocationFence, RevocationParts};
use self::token_store::{TokenStore, TokenStoreParts};
use crate::auth::{AuthenticatedCaller, RequestContext};
use crate::box_api::BoxClient;
use crate::clock::Clock;
use crate::config::Settings;
use crate::crypto::Vault;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::TenantId;
use crate::domain::policy::DecisionBasis;
use crate::domain::token_key::TokenKey;
use crate::entropy::Entropy;
use crate::store::change_feed::ChangeFeed;
use crate::store::{ChangedEntity, Store, TenantRef};

/// The interval at which [`RenewalWorker::renew_due`] is to be called.
pub const RENEWAL_INTERVAL: Duration = cache::INTERVAL;

/// A token that is released to a caller, with the reason.
#[derive(Clone, Debug)]
pub struct ReleasedToken {
    /// The token.
    pub token: Arc<AccessToken>,
    /// The caller's grant that allows it, and the rule of the policy that was waived for it.
    pub grounds: DecisionBasis,
    /// The caller whose grant it is.
    pub by: AuthenticatedCaller,
}

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

/// Releases tokens: from memory if it can, else minted.
#[derive(Debug)]
pub struct Broker {
    tenants: Arc<TenantDirectory>,
    credentials: Arc<CredentialCache>,
    upstream: Arc<Upstream>,
    minter: Arc<Minter>,
    liveness: Arc<LivenessChecker>,
    revocation: Arc<Revocation>,
    renewal: Arc<RenewalWorker>,
    ancestors: Arc<AncestorLookup>,
    subject_tokens: SubjectTokens,
    audit: Arc<AuditCounter>,
}

impl Broker {
    /// Returns a token of `tenant`, and the caller of `context` whose grant allows it. Every request is decided
    /// anew, whether the token is in memory or not. A token from memory costs no request to the store or to Box.
    ///
    /// # Errors
    /// Returns the reason for which no token is released.
    pub async fn token(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        request: &TokenRequest,
    ) -> Result<ReleasedToken, TokenError> {
        let mut was_superseded = false;
        loop {
            let (tenant_context, (by, grounds)) = self.authorize(context, tenant, request).await?;
            let key = tenant_context.token_key(&request.subject, request.restriction.as_ref());
            let cause = || AuditContext {
                on_behalf_of: request.on_behalf_of.clone(),
                waived: grounds.waived,
                ..context.audit_context_of(by)
            };
            match self.obtain(&tenant_context, &key, request, &cause).await {
                // The tenant changed during the mint: read the change, and decide again by it.
                Err(TokenError::Superseded) if !was_superseded => {
                    was_superseded = true;
                    self.tenants.refresh().await?;
                }
                obtained => return obtained.map(|token| ReleasedToken { token, grounds, by: by.clone() }),
            }
        }
    }

    /// Returns the tenant if a token may be released now, with the caller whose grant allows it and the basis of
    /// the decision.
    ///
    /// # Errors
    /// Returns the reason for which no token may be released.
    pub async fn authorize<'a>(
        &self,
        context: &'a RequestContext,
        tenant: &TenantRef,
        request: &TokenRequest,
    ) -> Result<(Arc<TenantContext>, (&'a AuthenticatedCaller, DecisionBasis)), TokenError> {
        let tenant_context = self.tenants.find_for(context, tenant).await?.ok_or(TokenError::Absent)?;
        let callers = context.callers().map(|by| (by, &*by.caller));
        let found = decision::first_allowed(callers, &tenant_context, request.access_request_of(context))?;
        Ok((tenant_context, found))
    }

    /// Returns the token of `key`. A current token that the caller reports as dead is checked at Box, and replaced
    /// if it is; a report of any other token proves nothing.
    async fn obtain(
        &self,
        tenant: &Arc<TenantContext>,
        key: &TokenKey,
        request: &TokenRequest,
        cause: AuditCause<'_>,
    ) -> Result<Arc<AccessToken>, TokenError> {
        let requirement = TtlRequirement::Serve(request.min_ttl);
        let current = self.minter.obtain(tenant, key, requirement, cause).await?;
        match &request.rejected {
            Some(rejected) if current.secret == *rejected => {
                match self.liveness.check_reported(tenant, &current).await? {
                    TokenStatus::Alive => Ok(current),
                    TokenStatus::Dead => self.minter.obtain(tenant, key, requirement, cause).await,
                }
            }
            _ => Ok(current),
        }
    }

    /// Revokes tokens for everybody who has them; see [`Revocation::revoke`].
    ///
    /// # Errors
    /// As [`Revocation::revoke`].
    pub async fn revoke(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        target: &RevocationTarget,
    ) -> Result<(), TokenError> {
        self.revocation.revoke(context, tenant, target).await
    }

    /// Drops what is in memory of an entity that changed. Values that are being read meanwhile are dropped by
    /// their change tokens.
    pub fn forget(&self, entity: &ChangedEntity) {
        self.tenants.note_change(entity);
        match entity {
            ChangedEntity::Tenant(tenant) => self.upstream.forget_refusals_of_tenant(tenant),
            ChangedEntity::App(app) => {
                self.upstream.forget_refusals_of_app(app);
                self.credentials.forget(app);
            }
            ChangedEntity::Caller(_) | ChangedEntity::Session(_) => {}
        }
    }

    /// Drops everything that is in memory of an erased tenant.
    pub fn forget_erased(&self, tenant: &TenantId) {
        self.upstream.forget_health(tenant);
        self.forget(&ChangedEntity::Tenant(tenant.clone()));
    }
}

/// The parts, and how they are put together.
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
        let tokens = Arc::new(TokenStore::new(TokenStoreParts {
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
