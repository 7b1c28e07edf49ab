//! The check that a user of a shared app belongs to the tenant's enterprise.

use std::sync::Arc;

use super::Minter;
use crate::box_api::{BoxCredentials, MintedToken};
use crate::broker::cache::BoundedCache;
use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::broker::token_store::MintDisposition;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::{BoxId, Generation, TenantId};
use crate::domain::subject::Subject;
use crate::domain::token_key::TokenKey;

/// The most users that are remembered.
const MAX_MEMBERS: u64 = 1_000_000;

/// The users whom Box reported as members of their tenant's enterprise, in one generation.
#[derive(Debug)]
pub(super) struct EnterpriseMembers(BoundedCache<(TenantId, Generation, BoxId), ()>);

impl Default for EnterpriseMembers {
    fn default() -> Self {
        Self(BoundedCache::new(MAX_MEMBERS))
    }
}

impl EnterpriseMembers {
    fn contains(&self, key: &TokenKey, user: &BoxId) -> bool {
        self.0.contains(&(key.tenant.clone(), key.generation, user.clone()))
    }

    fn insert(&self, key: &TokenKey, user: &BoxId) {
        self.0.insert((key.tenant.clone(), key.generation, user.clone()), ());
    }
}

impl Minter {
    /// On a shared app, succeeds for a user's token only after Box reported that the user belongs to the
    /// tenant's enterprise: the assertion of the mint does not name an enterprise.
    pub(super) async fn check_enterprise(
        self: &Arc<Self>,
        tenant: &TenantContext,
        key: &TokenKey,
        credentials: &Arc<BoxCredentials>,
        minted: &MintedToken,
        cause: &AuditContext,
    ) -> Result<(), TokenError> {
        let Subject::User { id: user } = &key.subject else { return Ok(()) };
        if !tenant.app.is_shared() || self.members.contains(key, user) {
            return Ok(());
        }
        let refusal = match self.upstream.client().enterprise_of(&minted.token).await {
            Ok(Some(enterprise)) if enterprise == tenant.tenant.enterprise_id => {
                self.members.insert(key, user);
                return Ok(());
            }
            Ok(_) => TokenError::ForeignUser,
            Err(error) => error.into(),
        };
        self.upstream.note_box_outcome(tenant, key, Some(&refusal));
        let disposition = MintDisposition::Discarded(&refusal);
        self.discard(tenant, key, credentials, minted.clone(), cause, disposition).await?;
        Err(refusal)
    }
}
