//! The exchange of a full token for a restricted one.

use std::sync::Arc;

use super::Minter;
use crate::box_api::{BoxCredentials, BoxError, ExchangeOutcome, MintedToken};
use crate::broker::error::TokenError;
use crate::broker::request::TtlRequirement;
use crate::broker::tenant_context::TenantContext;
use crate::broker::token_store::MintDisposition;
use crate::domain::audit_event::AuditContext;
use crate::domain::restriction::Restriction;
use crate::domain::token_key::TokenKey;

impl Minter {
    /// Exchanges the subject's full token for a restricted one. The full token is renewed first if it has little
    /// life left, and minted anew if Box reports it dead.
    pub(super) async fn downscope(
        self: &Arc<Self>,
        tenant: &Arc<TenantContext>,
        key: &TokenKey,
        restriction: &Restriction,
        credentials: &Arc<BoxCredentials>,
        requirement: TtlRequirement,
        cause: &AuditContext,
    ) -> Result<MintedToken, TokenError> {
        let parent_key = key.parent();
        let parent_requirement = TtlRequirement::Exchange(requirement.min_ttl());
        let began = self.clock.monotonic();
        loop {
            let parent_cause = || cause.clone();
            let parent = self.obtain(tenant, &parent_key, parent_requirement, &parent_cause);
            let parent = Box::pin(parent).await?;
            let exchange = self.upstream.call(tenant, key, async |client| {
                client.downscope(credentials, &parent.secret, restriction).await
            });
            match exchange.await? {
                // A parent that was minted since then is dead for a reason that another mint does not mend.
                Err(BoxError::ParentDead { .. })
                    if parent.lifetime.age(self.clock.as_ref()) > self.clock.monotonic().since(began) =>
                {
                    self.tokens.forget(&parent).await?;
                }
                Err(error) => return Err(error.into()),
                Ok(ExchangeOutcome::Restricted(child)) => return Ok(child),
                Ok(ExchangeOutcome::Overreaching(child, overreach)) => {
                    let refusal = overreach.into();
                    self.upstream.note_box_outcome(tenant, key, Some(&refusal));
                    self.upstream.record_health(key, Some(&refusal));
                    let disposition = MintDisposition::Discarded(&refusal);
                    self.discard(tenant, key, credentials, child, cause, disposition).await?;
                    return Err(refusal);
                }
            }
        }
    }
}
