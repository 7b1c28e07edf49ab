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
mod parts;
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

pub use self::ancestors::{AncestorLookup, Ancestors};
pub use self::audit_counter::{AuditCounter, TokenRelease};
pub use self::cache::{AccessToken, RecipientSet, RenewalTimes, TokenLifetime};
pub use self::credentials::{CredentialCache, box_credentials};
pub use self::error::{OutageScope, TokenError};
pub use self::liveness::LivenessChecker;
pub use self::minter::Minter;
pub use self::parts::BrokerParts;
pub use self::renewal::RenewalWorker;
pub use self::request::{BOX_WAIT_LIMIT, TokenRequest};
pub use self::revocation::{
    LockdownReport, LockdownScope, REVOCATION_INTERVAL, Revocation, RevocationTarget,
};
pub use self::subject_token::{SubjectToken, SubjectTokens};
pub use self::tenant_context::{TenantContext, TenantDirectory};
pub use self::upstream::{Health, Upstream};

use self::liveness::TokenStatus;
use self::minter::AuditCause;
use self::request::TtlRequirement;
use crate::auth::{AuthenticatedCaller, RequestContext};
use crate::domain::audit_event::AuditContext;
use crate::domain::id::TenantId;
use crate::domain::policy::DecisionBasis;
use crate::domain::token_key::TokenKey;
use crate::store::{ChangedEntity, TenantRef};

/// The interval at which [`RenewalWorker::renew_due`] is to be called.
pub const RENEWAL_INTERVAL: Duration = cache::INTERVAL;

/// A token that is released to a caller, with the reason.
#[derive(Clone, Debug)]
pub struct ReleasedToken {
    /// The token.
    pub token: Arc<AccessToken>,
    /// The caller's grant that allows it, and the rule of the policy that was waived for it.
    pub basis: DecisionBasis,
    /// The caller whose grant it is.
    pub by: AuthenticatedCaller,
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
            let (tenant_context, (by, basis)) = self.authorize(context, tenant, request).await?;
            let key = tenant_context.token_key(&request.subject, request.restriction.as_ref());
            let cause = || AuditContext {
                on_behalf_of: request.on_behalf_of.clone(),
                waived: basis.waived,
                ..context.audit_context_of(by)
            };
            match self.obtain(&tenant_context, &key, request, &cause).await {
                // The tenant changed during the mint: read the change, and decide again by it.
                Err(TokenError::Superseded) if !was_superseded => {
                    was_superseded = true;
                    self.tenants.refresh().await?;
                }
                obtained => return obtained.map(|token| ReleasedToken { token, basis, by: by.clone() }),
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
        let found = decision::first_allowed(callers, &tenant_context, request.access_request(context))?;
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
