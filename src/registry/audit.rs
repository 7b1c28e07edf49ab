//! Reading the audit: all of it for those who may, else one tenant's.

use std::time::Duration;

use crate::audit::SignedCheckpoint;
use crate::auth::RequestContext;
use crate::domain::grant::Permission;
use crate::domain::id::TenantId;
use crate::registry::{Registry, RegistryError, require};
use crate::store::{AuditCursor, AuditFilter, AuditPage, CallerRef, TenantRef};

/// How many read the audit at a time.
pub(super) const READERS: usize = 2;
/// How long one waits for a turn.
const TURN: Duration = Duration::from_secs(1);

/// Which records an admin wants to read.
#[derive(Debug, Default)]
pub struct AuditQuery {
    /// About this tenant.
    pub tenant: Option<TenantRef>,
    /// By this caller, or about it.
    pub caller: Option<CallerRef>,
    /// Whatever else has to fit.
    pub filter: AuditFilter,
}

impl Registry {
    /// Records of the audit, the newest first.
    ///
    /// # Errors
    /// As [`RegistryError`] tells: whoever may not read all of it has to name a tenant.
    pub async fn audit(
        &self,
        context: &RequestContext,
        query: AuditQuery,
        behind: Option<&AuditCursor>,
        limit: usize,
    ) -> Result<AuditPage, RegistryError> {
        let tenant = self.audited_tenant(context, query.tenant.as_ref()).await?;
        let mut filter = AuditFilter { tenant, ..query.filter };
        if let Some(caller) = query.caller {
            filter.caller = match caller {
                CallerRef::Id(id) => Some(id),
                by => match self.store.caller(&by).await? {
                    Some(caller) => Some(caller.id),
                    // Those who are gone have their story still, and perhaps another has the name.
                    None => {
                        let detail = "There is no such caller now; name one that is gone by its id.";
                        return Err(RegistryError::invalid("/caller", detail));
                    }
                },
            };
        }
        // Whoever looks for what no index leads to must not keep the database from the others.
        let reading = tokio::time::timeout(TURN, self.audit_readers.acquire()).await;
        let _turn = reading.ok().and_then(Result::ok).ok_or(RegistryError::Overloaded)?;
        Ok(self.store.audit_records(&filter, behind, limit).await?)
    }

    /// The tenant whose records may be read; `None` for everybody's.
    async fn audited_tenant(
        &self,
        context: &RequestContext,
        tenant: Option<&TenantRef>,
    ) -> Result<Option<TenantId>, RegistryError> {
        let reads_all = context.any(|caller| caller.holds_everywhere(Permission::AuditRead));
        let Some(tenant) = tenant else {
            return match reads_all {
                true => Ok(None),
                false if context.any(|caller| caller.holds(Permission::AuditRead)) => {
                    Err(RegistryError::invalid(
                        "/tenant",
                        "Name the tenant: only a grant on `tenant: \"*\"` reads everybody's records.",
                    ))
                }
                false => Err(RegistryError::Forbidden("no grant gives audit:read")),
            };
        };
        let view = self.broker.view_for(context, tenant).await?;
        match (view, tenant) {
            (Some(view), _) => {
                let _ = require(context, &view.tenant, Permission::AuditRead)?;
                Ok(Some(view.tenant.id.clone()))
            }
            // An erased tenant's story stays; its id is never anybody else's.
            (None, TenantRef::Id(id)) if reads_all => Ok(Some(id.clone())),
            (None, _) => Err(RegistryError::Absent),
        }
    }

    /// The last checkpoint, and the public key by which the next ones are signed.
    ///
    /// # Errors
    /// Where the caller may not read everybody's records, or the store does not answer.
    pub async fn last_checkpoint(
        &self,
        context: &RequestContext,
    ) -> Result<(Option<SignedCheckpoint>, &[u8]), RegistryError> {
        super::require_everywhere(context, Permission::AuditRead).map(drop)?;
        Ok((self.store.last_checkpoint().await?, self.vault.audit_signer().public_key()))
    }
}
