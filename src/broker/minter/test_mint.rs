//! Mints that test credentials or a tenant. Their tokens are discarded, or adopted as the tenant's first.

use std::sync::Arc;

use super::Minter;
use crate::box_api::{BoxClient, BoxCredentials, MintedToken};
use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::broker::token_store::MintDisposition;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::BoxId;
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;

impl Minter {
    /// Mints a service account's token for a test that is repeated automatically, unless Box refused or failed
    /// recently. The token is to be passed to [`Minter::adopt_test_token`] or [`Minter::discard_test_token`].
    ///
    /// # Errors
    /// As those of a mint.
    pub async fn retry_mint(
        &self,
        tenant: &TenantContext,
    ) -> Result<(MintedToken, Arc<BoxCredentials>), TokenError> {
        let key = tenant.token_key(&Subject::ENTERPRISE, None);
        let credentials = self.credentials_for(tenant, &key).await?;
        let enterprise = &tenant.tenant.enterprise_id;
        let mint = async |client: &BoxClient| client.mint(&credentials, enterprise, &key.subject).await;
        let minted = self.upstream.call(tenant, &key, mint).await??;
        Ok((minted, credentials))
    }

    /// Mints a token for an admin's test, whatever Box refused recently. The token is to be passed to
    /// [`Minter::discard_test_token`].
    ///
    /// # Errors
    /// As those of a mint.
    pub async fn test_mint(
        &self,
        tenant: &TenantContext,
        subject: &Subject,
    ) -> Result<(MintedToken, Arc<BoxCredentials>), TokenError> {
        let key = tenant.token_key(subject, None);
        let credentials = self.credentials_for(tenant, &key).await?;
        let _permit = self.upstream.permit(tenant).await?;
        let client = self.upstream.client();
        let result = client.mint(&credentials, &tenant.tenant.enterprise_id, subject).await;
        Ok((self.upstream.record_result(tenant, &key, result)?, credentials))
    }

    /// Mints a service account's token with credentials that belong to no tenant yet. The token is to be passed
    /// to [`Minter::adopt_test_token`] or `Revocation::discard_unowned_token`.
    ///
    /// # Errors
    /// As those of a mint.
    pub async fn test_credentials(
        &self,
        credentials: &BoxCredentials,
        enterprise: &BoxId,
    ) -> Result<MintedToken, TokenError> {
        let _permit = self.upstream.unowned_permit().await?;
        Ok(self.upstream.client().mint(credentials, enterprise, &Subject::ENTERPRISE).await?)
    }

    /// Records a token that was minted for a test, and has it revoked.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn discard_test_token(
        self: &Arc<Self>,
        tenant: &TenantContext,
        (subject, restriction): (&Subject, Option<&Restriction>),
        credentials: &Arc<BoxCredentials>,
        minted: MintedToken,
        cause: &AuditContext,
    ) -> Result<(), TokenError> {
        let key = tenant.token_key(subject, restriction);
        self.discard(tenant, &key, credentials, minted, cause, MintDisposition::Test).await
    }

    /// Keeps the token by which a registration was tested, as the tenant's first.
    ///
    /// # Errors
    /// If the store does not save it.
    pub async fn adopt_test_token(
        self: &Arc<Self>,
        tenant: &TenantContext,
        minted: MintedToken,
        cause: &AuditContext,
    ) -> Result<(), TokenError> {
        let credentials = self.credentials.of_app(&tenant.app).await?;
        let key = tenant.token_key(&Subject::ENTERPRISE, None);
        self.upstream.note_success(tenant.id());
        let began_after = self.fence.last_revocation();
        self.save_and_cache(tenant, &key, &credentials, (minted, began_after), cause).await.map(drop)
    }
}
