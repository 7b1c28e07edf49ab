//! The mint of tokens, one flight per key at a time.
//!
//! [`Minter`] returns a token from the cache, from the store or from Box, in this order. A flight waits for
//! revocations that affect its key, asks Box through [`Upstream`], saves the token with its audit record, and
//! caches it, unless it was revoked meanwhile. The caller was authorised before: nothing here decides who may
//! have a token.

mod downscope;
mod enterprise_check;
mod test_mint;

use std::sync::Arc;

use self::enterprise_check::EnterpriseMembers;
use super::TokenError;
use super::audit_counter::AuditCounter;
use super::cache::{AccessToken, TokenCache, TtlPolicy};
use super::credentials::CredentialCache;
use super::request::{BOX_WAIT_LIMIT, TtlRequirement};
use super::revocation::{Revocation, RevocationFence};
use super::tenant_context::TenantContext;
use super::token_store::{MintDisposition, SealedTokenStore};
use super::upstream::Upstream;
use crate::box_api::{BoxCredentials, BoxError, MintedToken};
use crate::clock::Clock;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::TokenId;
use crate::domain::token_key::TokenKey;
use crate::flight::Flights;
use crate::store::{SaveOutcome, StoreError};

/// The result of a flight.
#[derive(Clone, Debug)]
struct MintOutcome {
    token: Arc<AccessToken>,
    /// True if the token was minted by this flight.
    is_new: bool,
}

/// The origin of tokens: the cache, the store, or Box.
#[derive(Debug)]
pub struct Minter {
    cache: Arc<TokenCache>,
    ttl: Arc<TtlPolicy>,
    tokens: Arc<SealedTokenStore>,
    credentials: Arc<CredentialCache>,
    upstream: Arc<Upstream>,
    fence: Arc<RevocationFence>,
    revocation: Arc<Revocation>,
    audit: Arc<AuditCounter>,
    clock: Arc<dyn Clock>,
    flights: Flights<TokenKey, Result<MintOutcome, TokenError>>,
    members: EnterpriseMembers,
}

/// The parts that a [`Minter`] works with.
#[derive(Debug)]
pub(super) struct MinterParts {
    pub(super) cache: Arc<TokenCache>,
    pub(super) ttl: Arc<TtlPolicy>,
    pub(super) tokens: Arc<SealedTokenStore>,
    pub(super) credentials: Arc<CredentialCache>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) fence: Arc<RevocationFence>,
    pub(super) revocation: Arc<Revocation>,
    pub(super) audit: Arc<AuditCounter>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) tasks: tokio_util::task::TaskTracker,
}

/// Makes the audit context of a mint, if one is needed: a token from the cache needs none.
pub(super) type AuditCause<'a> = &'a (dyn Fn() -> AuditContext + Sync);

impl Minter {
    /// Returns a minter with no flights under way.
    pub(super) fn new(parts: MinterParts) -> Self {
        let MinterParts { cache, ttl, tokens, credentials, upstream, fence, revocation, audit, clock, tasks } =
            parts;
        let (flights, members) = (Flights::new(tasks), EnterpriseMembers::default());
        Self { cache, ttl, tokens, credentials, upstream, fence, revocation, audit, clock, flights, members }
    }

    /// Returns the token of `key`: from the cache, from the store, or from Box.
    pub(super) async fn obtain(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        key: &TokenKey,
        requirement: TtlRequirement,
        cause: AuditCause<'_>,
    ) -> Result<Arc<AccessToken>, TokenError> {
        if let Some(token) = self.cache.get(key) {
            if self.ttl.meets(&token, requirement) {
                if token.begins_renewal(self.clock.as_ref()) {
                    let renewal = || self.flight(tenant, key, TtlRequirement::Renew, cause());
                    self.flights.begin(key.clone(), renewal);
                }
                token.note_use();
                return Ok(token);
            }
            // A token that cannot be served any more proves nothing: Box may give longer lifetimes by now.
            if self.ttl.meets(&token, TtlRequirement::Serve(None)) {
                check_min_ttl(&token, requirement)?;
            }
        }
        tokio::time::timeout(BOX_WAIT_LIMIT, self.join_flight(tenant, key, requirement, cause))
            .await
            .map_err(|_| TokenError::timed_out())?
    }

    /// Renews the token of `key`, in the flight that is under way or in a new one.
    pub(super) async fn renew(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        key: &TokenKey,
    ) -> Result<(), TokenError> {
        let renewal = || self.flight(tenant, key, TtlRequirement::Renew, AuditContext::BROKER);
        match self.flights.join(key.clone(), renewal).await {
            Ok(outcome) => outcome.map(drop),
            Err(_) => Err(TokenError::Crashed),
        }
    }

    async fn join_flight(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        key: &TokenKey,
        requirement: TtlRequirement,
        cause: AuditCause<'_>,
    ) -> Result<Arc<AccessToken>, TokenError> {
        // A flight that was under way already may bring a token that was enough for its first caller only.
        for _ in 0..2 {
            let flight = self.flights.join(key.clone(), || self.flight(tenant, key, requirement, cause()));
            let outcome = match flight.await.map_err(|_| TokenError::Crashed)? {
                // Another caller's `min_ttl` cannot be met; this one's is judged by itself.
                Err(TokenError::MinTtlUnavailable { given, .. }) if !requirement.exceeds(given) => continue,
                outcome => outcome?,
            };
            if self.ttl.meets(&outcome.token, requirement) {
                return Ok(outcome.token);
            }
            check_min_ttl(&outcome.token, requirement)?;
            if outcome.is_new {
                break;
            }
        }
        let reason = "the token had no life left when it arrived".to_owned();
        Err(BoxError::Protocol { reason }.into())
    }

    /// Returns the work of one flight. An earlier flight may have ended since the caller looked.
    fn flight(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        key: &TokenKey,
        requirement: TtlRequirement,
        cause: AuditContext,
    ) -> impl Future<Output = Result<MintOutcome, TokenError>> + Send + 'static {
        let (minter, tenant, key) = (Arc::clone(self), Arc::clone(tenant), key.clone());
        async move {
            let began_after = minter.fence.wait_until_open(&key, tenant.labels()).await;
            let cached = minter.cache.get(&key);
            if let Some(token) = cached.filter(|token| minter.ttl.meets(token, requirement)) {
                return Ok(MintOutcome { token, is_new: false });
            }
            // A token that was revoked since it was found counts as not found.
            if let Some(token) = minter.tokens.find(&key).await?
                && minter.cache_unless_revoked(&tenant, &token, began_after)
                && minter.ttl.meets(&token, requirement)
            {
                return Ok(MintOutcome { token, is_new: false });
            }
            let token = minter.mint(&tenant, &key, (requirement, began_after), &cause).await?;
            Ok(MintOutcome { token, is_new: true })
        }
    }

    /// Mints the token of `key` and keeps it. The mint began after revocation number `began_after`.
    async fn mint(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        key: &TokenKey,
        (requirement, began_after): (TtlRequirement, u64),
        cause: &AuditContext,
    ) -> Result<Arc<AccessToken>, TokenError> {
        self.audit.check_writable().await?;
        let credentials = self.credentials_for(tenant, key).await?;
        let minted = match &key.restriction {
            Some(restriction) => {
                self.downscope(tenant, key, restriction, &credentials, requirement, cause).await?
            }
            None => {
                let enterprise = &tenant.tenant.enterprise_id;
                let mint = self.upstream.call(tenant, key, async |client| {
                    client.mint(&credentials, enterprise, &key.subject).await
                });
                let minted = mint.await??;
                self.check_enterprise(tenant, key, &credentials, &minted, cause).await?;
                minted
            }
        };
        self.save_and_cache(tenant, key, &credentials, (minted, began_after), cause).await
    }

    /// Saves a minted token, then caches it. Its mint began after revocation number `began_after`.
    async fn save_and_cache(
        self: &Arc<Self>,
        tenant: &TenantContext,
        key: &TokenKey,
        credentials: &Arc<BoxCredentials>,
        (minted, began_after): (MintedToken, u64),
        cause: &AuditContext,
    ) -> Result<Arc<AccessToken>, TokenError> {
        if self.fence.view().is_revoked(tenant, key, began_after) {
            let disposition = MintDisposition::Discarded(&TokenError::Superseded);
            self.discard(tenant, key, credentials, minted, cause, disposition).await?;
            return Err(TokenError::Superseded);
        }
        let (row, outcome) = match self.save(tenant, key, &minted, cause, MintDisposition::Kept).await {
            Ok(saved) => saved,
            Err(error) => {
                // Nobody has it and nothing records it: once it is dead, it was as good as never minted.
                self.revocation.retire_unsaved(credentials, minted.token);
                return Err(error);
            }
        };
        if outcome == SaveOutcome::Fenced {
            self.revocation.retire(credentials, row, minted.token);
            return Err(TokenError::Superseded);
        }
        let secret = minted.token.clone();
        let token = self.tokens.token_of(minted, key, row.clone());
        // A revocation at this moment may have looked for the subject's tokens before this one was there to be
        // found. The row first: nobody may find it now.
        if !self.cache_unless_revoked(tenant, &token, began_after) {
            let discarded = self.tokens.discard(&row).await;
            self.revocation.retire(credentials, row, secret);
            discarded?;
            return Err(TokenError::Superseded);
        }
        Ok(token)
    }

    /// Caches a token and returns true, unless it was revoked after revocation number `began_after`.
    fn cache_unless_revoked(
        &self,
        tenant: &TenantContext,
        token: &Arc<AccessToken>,
        began_after: u64,
    ) -> bool {
        // A revocation from here on waits for this view to end, then finds the token cached and removes it.
        let fence = self.fence.view();
        let is_revoked = fence.is_revoked(tenant, &token.key, began_after);
        if !is_revoked {
            self.cache.insert(&token.key, token);
        }
        !is_revoked
    }

    /// Saves a minted token that must not be served, and has it revoked.
    async fn discard(
        self: &Arc<Self>,
        tenant: &TenantContext,
        key: &TokenKey,
        credentials: &Arc<BoxCredentials>,
        minted: MintedToken,
        cause: &AuditContext,
        disposition: MintDisposition<'_>,
    ) -> Result<(), TokenError> {
        match self.save(tenant, key, &minted, cause, disposition).await {
            Ok((row, _)) => {
                self.revocation.retire(credentials, row, minted.token);
                Ok(())
            }
            Err(error) => {
                self.revocation.retire_unsaved(credentials, minted.token);
                Err(error)
            }
        }
    }

    async fn save(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
        minted: &MintedToken,
        cause: &AuditContext,
        disposition: MintDisposition<'_>,
    ) -> Result<(TokenId, SaveOutcome), TokenError> {
        let (row, saved): (_, Result<_, StoreError>) =
            self.tokens.save(tenant, key, minted, cause, disposition).await?;
        self.audit.note_recording(saved.as_ref().err().cloned());
        Ok((row, saved?))
    }

    /// Returns the app's credentials, for a token of `key`.
    async fn credentials_for(
        &self,
        tenant: &TenantContext,
        key: &TokenKey,
    ) -> Result<Arc<BoxCredentials>, TokenError> {
        let credentials = self.credentials.of_app(&tenant.app).await;
        credentials.inspect_err(|error| self.upstream.record_health(key, Some(error)))
    }
}

/// Fails if the requirement demands more than the lifetime that Box gives.
fn check_min_ttl(token: &AccessToken, requirement: TtlRequirement) -> Result<(), TokenError> {
    let given = token.lifetime.given;
    match requirement.min_ttl() {
        Some(asked) if requirement.exceeds(given) => Err(TokenError::MinTtlUnavailable { asked, given }),
        _ => Ok(()),
    }
}
