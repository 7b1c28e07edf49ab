//! What callers do: ask for tokens. [`Broker::token`] tells the whole story.

mod ancestors;
mod audit_counter;
pub mod cache;
pub mod decision;
mod error;
mod liveness;
mod minter;
mod recipients;
mod renewal;
mod revocation;
mod subject_token;
mod tenant_context;
mod token_store;
mod upstream;
mod webhooks;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

pub use crate::broker::ancestors::Ancestors;
pub use crate::broker::audit_counter::TokenRelease;
pub use crate::broker::cache::token::AccessToken;
pub use crate::broker::error::TokenError;
pub use crate::broker::minter::credentials_of;
pub use crate::broker::revocation::lockdown::{LockdownReport, LockdownScope};
pub use crate::broker::revocation::queue::INTERVAL as REVOCATION_INTERVAL;
pub use crate::broker::revocation::retirement::RevocationTarget;
pub use crate::broker::subject_token::SubjectToken;
pub use crate::broker::tenant_context::TenantContext;
pub use crate::broker::upstream::circuit_breaker::OutageScope;
pub use crate::broker::upstream::health::Health;

use crate::audit::Tally;
use crate::auth::{AuthenticatedCaller, RequestContext};
use crate::box_api::{BoxClient, BoxError};
use crate::broker::ancestors::AncestorLookup;
use crate::broker::cache::TokenCache;
use crate::broker::cache::renewal_schedule::RenewalSchedule;
use crate::broker::liveness::TokenStatus;
use crate::broker::recipients::TokenRecipients;
use crate::broker::revocation::queue::RevocationQueue;
use crate::broker::tenant_context::TENANTS;
use crate::broker::upstream::circuit_breaker::CircuitBreaker;
use crate::broker::upstream::concurrency_limiter::ConcurrencyLimiter;
use crate::broker::upstream::health::TenantHealth;
use crate::clock::Clock;
use crate::config;
use crate::crypto::Vault;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::TokenId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::{AccessRequest, DecisionBasis};
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;
use crate::entropy::Entropy;
use crate::flight::Flights;
use crate::secret::SecretString;
use crate::store::change_feed::ChangeFeed;
use crate::store::read_through_cache::ReadThroughCache;
use crate::store::{Store, StoreError, TenantRef};

/// What a caller wants.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// For whom.
    pub subject: Subject,
    /// How restricted; `None` is a full token.
    pub restriction: Option<Restriction>,
    /// How long it must live at least.
    pub min_ttl: Option<Duration>,
    /// A token that Box answered 401 to.
    pub rejected: Option<SecretString>,
    /// For whom, as the caller claims; which token it gets does not hang on it.
    pub on_behalf_of: Option<OnBehalfOf>,
}

impl TokenRequest {
    /// What is asked of grants and policy.
    #[must_use]
    pub fn ask(&self) -> AccessRequest<'_> {
        AccessRequest::Token {
            subject: &self.subject,
            restriction: self.restriction.as_ref(),
            on_behalf_of: self.on_behalf_of.as_ref(),
        }
    }

    /// The same, by what it is asked with: what leaves through a browser session needs another permission.
    fn ask_by(&self, context: &RequestContext) -> AccessRequest<'_> {
        match &self.restriction {
            Some(restriction) if context.is_of_a_session() => AccessRequest::SessionToken {
                subject: &self.subject,
                restriction,
                on_behalf_of: self.on_behalf_of.as_ref(),
            },
            _ => self.ask(),
        }
    }
}

/// A token that may leave, and by what.
#[derive(Clone, Debug)]
pub struct ReleasedToken {
    /// The token.
    pub token: Arc<AccessToken>,
    /// The caller's grant that gives it, and the policy's rule that was waived for it.
    pub grounds: DecisionBasis,
    /// That caller.
    pub by: AuthenticatedCaller,
}

/// Hands out tokens: those it has, else those it mints.
#[derive(Debug)]
pub struct Broker {
    store: Arc<dyn Store>,
    change_feed: Arc<ChangeFeed>,
    vault: Arc<Vault>,
    upstream: Arc<BoxClient>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    settings: config::TokenSettings,
    tenants: ReadThroughCache<TenantRef, Option<Arc<TenantContext>>>,
    memory: TokenCache,
    flights: Flights<TokenKey, Result<MintOutcome, TokenError>>,
    looks: Flights<TokenId, Result<TokenStatus, TokenError>>,
    items: AncestorLookup,
    gate: CircuitBreaker,
    healths: TenantHealth,
    turns: ConcurrencyLimiter,
    schedule: RenewalSchedule,
    queue: RevocationQueue,
    renewing: tokio::sync::Mutex<()>,
    renewals: Arc<Semaphore>,
    renewal_places: usize,
    tasks: TaskTracker,
    tally: Tally,
    givings: TokenRecipients,
    writing_counts: tokio::sync::Mutex<()>,
    /// Why the last token could not be written down, until something can be again.
    unrecorded: Mutex<Option<StoreError>>,
}

/// The share of all turns at Box that renewals take at most.
const RENEWAL_SHARE: usize = 2;

/// How long a caller waits for Box in all; what was begun goes on without it.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// All that a broker is made of.
#[derive(Clone, Debug)]
pub struct BrokerParts {
    /// Where tokens and credentials are kept.
    pub store: Arc<dyn Store>,
    /// What others changed.
    pub change_feed: Arc<ChangeFeed>,
    /// What seals them.
    pub vault: Arc<Vault>,
    /// Box.
    pub upstream: Arc<BoxClient>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Where what outlives its caller is waited for when the process stops.
    pub tasks: TaskTracker,
}

/// What a flight brought: a token, and whether it was minted for this flight.
#[derive(Clone, Debug)]
struct MintOutcome {
    token: Arc<AccessToken>,
    minted: bool,
}

/// How long a token must live to be of use.
#[derive(Clone, Copy, Debug)]
enum TtlRequirement {
    /// Above its floor, and for what the caller was promised.
    Serve(Option<Duration>),
    /// Beyond its margin too: for tokens that others are made from.
    Last(Option<Duration>),
    /// Not due to be renewed yet.
    Renew,
}

impl TtlRequirement {
    /// What the caller was promised.
    fn promised(self) -> Option<Duration> {
        match self {
            Self::Serve(promised) | Self::Last(promised) => promised,
            Self::Renew => None,
        }
    }

    /// True where more is promised than nine tenths of the life that Box gives: it would cost a mint
    /// for nearly every request.
    fn exceeds(self, given: Duration) -> bool {
        self.promised().is_some_and(|asked| asked > given - given / 10)
    }
}

impl Broker {
    /// A broker with nothing in memory yet.
    #[must_use]
    pub fn new(parts: BrokerParts, settings: &config::Settings) -> Self {
        let BrokerParts { store, change_feed, vault, upstream, clock, entropy, tasks } = parts;
        let turns = settings.limits.mints_in_flight;
        let tenants =
            ReadThroughCache::new(Arc::clone(&change_feed), settings.auth.max_policy_age, TENANTS, &tasks);
        Self {
            gate: CircuitBreaker::new(Arc::clone(&clock)),
            healths: TenantHealth::new(Arc::clone(&clock)),
            turns: ConcurrencyLimiter::new(turns),
            schedule: RenewalSchedule::default(),
            queue: RevocationQueue::default(),
            renewing: tokio::sync::Mutex::default(),
            renewals: Arc::new(Semaphore::new(turns.div_ceil(RENEWAL_SHARE))),
            renewal_places: turns.div_ceil(RENEWAL_SHARE),
            store,
            change_feed,
            vault,
            upstream,
            clock,
            entropy,
            settings: settings.tokens.clone(),
            tenants,
            memory: TokenCache::new(settings.tokens.cache_max_bytes),
            flights: Flights::new(tasks.clone()),
            looks: Flights::new(tasks.clone()),
            items: AncestorLookup::new(tasks.clone()),
            tasks,
            tally: Tally::new(settings.audit.window, audit_counter::COUNTED, audit_counter::COUNTED_OF_ONE),
            givings: TokenRecipients::default(),
            writing_counts: tokio::sync::Mutex::default(),
            unrecorded: Mutex::default(),
        }
    }

    /// A token of `tenant` for `context`, and by which of its callers. Every request is decided anew, whether the token is in
    /// memory or not; what is in memory touches neither the store nor Box.
    ///
    /// # Errors
    /// As [`TokenError`] tells.
    pub async fn token(
        self: &Arc<Self>,
        context: &RequestContext,
        tenant: &TenantRef,
        wanted: &TokenRequest,
    ) -> Result<ReleasedToken, TokenError> {
        let mut superseded = false;
        loop {
            let (view, (by, grounds)) = self.judge(context, tenant, wanted).await?;
            let key = TokenKey {
                tenant: view.tenant.id.clone(),
                generation: view.generation(),
                subject: wanted.subject.clone(),
                restriction: wanted.restriction.clone(),
            };
            let cause = || AuditContext {
                on_behalf_of: wanted.on_behalf_of.clone(),
                waived: grounds.waived,
                ..context.audit_context_of(by)
            };
            let need = TtlRequirement::Serve(wanted.min_ttl);
            let obtained = match &wanted.rejected {
                None => self.obtain(&view, &key, need, &cause).await,
                Some(rejected) => self.replace(&view, &key, need, rejected, &cause).await,
            };
            match obtained {
                // The tenant changed under the mint: hear what changed, and judge by that.
                Err(TokenError::Superseded) if !superseded => {
                    superseded = true;
                    self.change_feed.poll().await?;
                }
                obtained => return obtained.map(|token| ReleasedToken { token, grounds, by: by.clone() }),
            }
        }
    }

    /// The tenant, where this context may have such a token of it at this moment, by which of its callers
    /// and by what.
    ///
    /// # Errors
    /// As [`TokenError`] tells, where not.
    pub async fn judge<'a>(
        &self,
        context: &'a RequestContext,
        tenant: &TenantRef,
        wanted: &TokenRequest,
    ) -> Result<(Arc<TenantContext>, (&'a AuthenticatedCaller, DecisionBasis)), TokenError> {
        let view = self.view_for(context, tenant).await?.ok_or(TokenError::Absent)?;
        let callers = context.callers().map(|opened| (opened, &*opened.caller));
        let found = decision::first_allowed(callers, &view, wanted.ask_by(context))?;
        Ok((view, found))
    }

    /// The token under `key`: from memory, from the store, or from Box.
    async fn obtain(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        key: &TokenKey,
        need: TtlRequirement,
        cause: &(dyn Fn() -> AuditContext + Sync),
    ) -> Result<Arc<AccessToken>, TokenError> {
        if let Some(token) = self.memory.token(key) {
            if self.meets(&token, need) {
                if token.wants_renewal(self.clock.as_ref()) {
                    self.flights.begin(key.clone(), || self.fly(view, key, TtlRequirement::Renew, cause()));
                }
                token.note_use();
                return Ok(token);
            }
            // Once nobody can have it any more it proves nothing: Box may give longer lives by now.
            if self.meets(&token, TtlRequirement::Serve(None)) {
                refuse_more_than_box_gives(&token, need)?;
            }
        }
        tokio::time::timeout(PATIENCE, self.flown(view, key, need, cause))
            .await
            .map_err(|_| TokenError::too_late())?
    }

    async fn flown(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        key: &TokenKey,
        need: TtlRequirement,
        cause: &(dyn Fn() -> AuditContext + Sync),
    ) -> Result<Arc<AccessToken>, TokenError> {
        // A flight that was under way already may bring a token that was enough for others.
        for _ in 0..2 {
            let flight = self.flights.join(key.clone(), || self.fly(view, key, need, cause()));
            let landed = match flight.await.map_err(|_| TokenError::Crashed)? {
                // Somebody else's promise cannot be kept; this one is judged by itself.
                Err(TokenError::MinTtlUnavailable { given, .. }) if !need.exceeds(given) => continue,
                landed => landed?,
            };
            if self.meets(&landed.token, need) {
                return Ok(landed.token);
            }
            refuse_more_than_box_gives(&landed.token, need)?;
            if landed.minted {
                break;
            }
        }
        let reason = "the token had no life left when it arrived".to_owned();
        Err(BoxError::Protocol { reason }.into())
    }

    /// What one flight does. Whoever flew before may have landed since the caller looked.
    fn fly(
        self: &Arc<Self>,
        view: &Arc<TenantContext>,
        key: &TokenKey,
        need: TtlRequirement,
        cause: AuditContext,
    ) -> impl Future<Output = Result<MintOutcome, TokenError>> + Send + 'static {
        let (broker, view, key) = (Arc::clone(self), Arc::clone(view), key.clone());
        async move {
            let revocations = broker.memory.fences.pass(&key, &view.tenant.labels).await;
            if let Some(token) = broker.memory.token(&key).filter(|token| broker.meets(token, need)) {
                return Ok(MintOutcome { token, minted: false });
            }
            // One that was revoked since it was found is as good as not found.
            if let Some(token) = broker.stored(&key).await?
                && broker.keep_unless_revoked(&view, &key, &token, revocations)
                && broker.meets(&token, need)
            {
                return Ok(MintOutcome { token, minted: false });
            }
            let token = broker.mint(&view, &key, (need, revocations), &cause).await?;
            Ok(MintOutcome { token, minted: true })
        }
    }

    /// Keeps a token, unless it was revoked after the first so many revocations; false then.
    fn keep_unless_revoked(
        &self,
        view: &TenantContext,
        key: &TokenKey,
        token: &Arc<AccessToken>,
        revocations: u64,
    ) -> bool {
        // Whoever closes a fence from here on finds it kept, and takes it out.
        let look = self.memory.fences.look();
        let is_revoked = self.memory.is_stopped(&look, (view, key), revocations);
        if !is_revoked {
            self.keep(key, token);
        }
        !is_revoked
    }

    /// Keeps a token in memory, and has it renewed in time.
    fn keep(&self, key: &TokenKey, token: &Arc<AccessToken>) {
        if self.memory.keep_token(key, token, self.clock.as_ref()) {
            self.schedule.plan(key.clone(), token.renewal);
        }
    }

    fn meets(&self, token: &AccessToken, need: TtlRequirement) -> bool {
        let floor = token.life.floor(self.settings.min_ttl, need.promised());
        match need {
            TtlRequirement::Serve(_) => token.outlives(floor, self.clock.as_ref()),
            TtlRequirement::Last(_) => token.outlives(floor.max(token.margin), self.clock.as_ref()),
            TtlRequirement::Renew => !self.is_due(token) && token.outlives(floor, self.clock.as_ref()),
        }
    }
}

/// Refuses a promise that cannot be kept.
fn refuse_more_than_box_gives(token: &AccessToken, need: TtlRequirement) -> Result<(), TokenError> {
    let given = token.life.given;
    match need.promised() {
        Some(asked) if need.exceeds(given) => Err(TokenError::MinTtlUnavailable { asked, given }),
        _ => Ok(()),
    }
}
