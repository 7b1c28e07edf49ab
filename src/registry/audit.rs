//! Reading the audit: all records for those who may read everything, else those of one tenant.
//!
//! It only reads. Records are written by the calls that they are about, in the same transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::access::{require, require_everywhere};
use super::deps::Deps;
use super::error::RegistryError;
use crate::audit::SignedCheckpoint;
use crate::auth::RequestContext;
use crate::domain::grant::Permission;
use crate::domain::id::{CallerId, TenantId};
use crate::store::{AuditCursor, AuditFilter, AuditRecord, CallerRef, Page, PageRequest, TenantRef};

/// The number of audit queries that run at a time: one without a matching index must not block the database for
/// others.
const MAX_READERS: usize = 2;
/// The time that a query waits for a free place.
const READER_TIMEOUT: Duration = Duration::from_secs(1);

/// The records that an admin asks for.
#[derive(Debug, Default)]
pub struct AuditQuery {
    /// Records about this tenant.
    pub tenant: Option<TenantRef>,
    /// Records of actions by this caller or on it.
    pub caller: Option<CallerRef>,
    /// Further conditions.
    pub filter: AuditFilter,
}

/// The service that reads the audit.
#[derive(Debug)]
pub struct AuditReader {
    deps: Arc<Deps>,
    readers: Semaphore,
}

impl AuditReader {
    pub(super) fn new(deps: Arc<Deps>) -> Self {
        Self { deps, readers: Semaphore::new(MAX_READERS) }
    }

    /// Returns a page of audit records, newest first.
    ///
    /// # Errors
    /// [`RegistryError::Invalid`] if the query names no tenant and the caller may not read all records.
    pub async fn list(
        &self,
        context: &RequestContext,
        query: AuditQuery,
        page: &PageRequest<AuditCursor>,
    ) -> Result<Page<AuditRecord, AuditCursor>, RegistryError> {
        let tenant = self.readable_tenant(context, query.tenant.as_ref()).await?;
        let mut filter = AuditFilter { tenant, ..query.filter };
        if let Some(caller) = query.caller {
            filter.caller = Some(self.caller_id(caller).await?);
        }
        let permit = tokio::time::timeout(READER_TIMEOUT, self.readers.acquire()).await;
        let _permit = permit.ok().and_then(Result::ok).ok_or(RegistryError::Overloaded)?;
        Ok(self.deps.store.audit_records(&filter, page).await?)
    }

    async fn caller_id(&self, caller: CallerRef) -> Result<CallerId, RegistryError> {
        if let CallerRef::Id(id) = caller {
            return Ok(id);
        }
        // The records of a deleted caller stay, but its name may belong to another one now.
        self.deps.store.caller(&caller).await?.map(|caller| caller.id).ok_or_else(|| {
            let detail = "There is no such caller now; name one that is gone by its id.";
            RegistryError::invalid("/caller", detail)
        })
    }

    /// Returns the tenant whose records the caller may read; `None` for all records.
    async fn readable_tenant(
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
        let view = self.deps.broker.tenants().find_for(context, tenant).await?;
        match (view, tenant) {
            (Some(view), _) => {
                let _ = require(context, &view.tenant, Permission::AuditRead)?;
                Ok(Some(view.tenant.id.clone()))
            }
            // The records of an erased tenant stay, and ids are never used again.
            (None, TenantRef::Id(id)) if reads_all => Ok(Some(id.clone())),
            (None, _) => Err(RegistryError::Absent),
        }
    }

    /// Returns the last checkpoint, and the public key that signs the next ones.
    ///
    /// # Errors
    /// If the caller may not read all records, or the store does not answer.
    pub async fn last_checkpoint(
        &self,
        context: &RequestContext,
    ) -> Result<(Option<SignedCheckpoint>, &[u8]), RegistryError> {
        require_everywhere(context, Permission::AuditRead).map(drop)?;
        Ok((self.deps.store.last_checkpoint().await?, self.deps.vault.audit_signer().public_key()))
    }
}
