//! The test of a tenant: checks with fresh tokens what works between the tenant and Box.

use super::Tenants;
use crate::auth::RequestContext;
use crate::box_api::{BoxClient, BoxError};
use crate::broker::{TenantContext, TokenError};
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::grant::Permission;
use crate::domain::id::BoxId;
use crate::domain::subject::Subject;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};
use crate::registry::deps::Deps;
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck, DiagnosticTokens};
use crate::registry::error::RegistryError;
use crate::registry::rows;
use crate::store::{StoreError, TenantRef};

impl Tenants {
    /// Checks what works between a tenant and Box, with fresh tokens that are revoked afterwards. A pending tenant
    /// whose test succeeds is activated.
    ///
    /// # Errors
    /// If the caller may not test the tenant, it is deleted, or the store does not answer.
    pub async fn test(
        &self,
        context: &RequestContext,
        tenant: &TenantRef,
        user: Option<&BoxId>,
    ) -> Result<Vec<CheckResult>, RegistryError> {
        let deps = &*self.deps;
        let (context, view) =
            rows::tenants::find_tenant(deps, context, tenant, Permission::TenantsTest).await?;
        if view.tenant.state == TenantState::Deleted {
            return Err(RegistryError::Conflict("The tenant is deleted; restore it first."));
        }
        let cause = context.audit_context();
        if view.app.is_awaiting_key() {
            return Ok(checks_without_key(&view, &deps.box_client));
        }
        let (minted, credentials) = match deps.broker.minter().test_mint(&view, &Subject::ENTERPRISE).await {
            Ok(probe) => probe,
            Err(TokenError::Store(error @ StoreError::Unavailable(_))) => return Err(error.into()),
            Err(error) => return Ok(checks_after_failed_mint(&view, &error, &deps.box_client)),
        };
        deps.broker.upstream().forget_refusals(&view);
        let mut checks = vec![diagnosis::check_key(&view.app), CheckResult::assertion_accepted()];
        checks.push(match deps.box_client.service_account(&minted.token).await {
            Ok(account) => {
                let check = CheckResult::service_account_found(&account);
                store_service_account(deps, &view, account, &cause).await;
                check
            }
            Err(error) => CheckResult::failure(DiagnosticCheck::ServiceAccount, &error.into()),
        });
        checks.push(check_user(deps, &view, user, &cause).await);
        let tokens = DiagnosticTokens { broker: &deps.broker, view: Some(&view), cause: &cause };
        checks.extend(
            diagnosis::check_token_uses(&deps.box_client, &credentials, &minted.token, user, tokens).await,
        );
        deps.broker
            .minter()
            .discard_test_token(&view, (&Subject::ENTERPRISE, None), &credentials, minted, &cause)
            .await?;
        if view.tenant.state == TenantState::Pending
            && let Err(error) = self.pending.verify(&TenantRef::Id(view.tenant.id.clone())).await
        {
            tracing::info!(tenant = %view.tenant.id, %error, "a tenant stays pending");
        }
        Ok(checks)
    }
}

/// Mints a token for a user, checks that the user belongs to the tenant's enterprise, and revokes the token.
async fn check_user(
    deps: &Deps,
    view: &TenantContext,
    user: Option<&BoxId>,
    cause: &AuditContext,
) -> CheckResult {
    let Some(user) = user else {
        return CheckResult::skipped(DiagnosticCheck::UserToken, "Name a `user` to have this checked.");
    };
    let subject = Subject::User { id: user.clone() };
    let (minted, credentials) = match deps.broker.minter().test_mint(view, &subject).await {
        Ok(probe) => probe,
        Err(error) => return CheckResult::failure(DiagnosticCheck::UserToken, &error),
    };
    let enterprise = match view.app.is_shared() {
        false => Ok(Some(view.tenant.enterprise_id.clone())),
        true => deps.box_client.enterprise_of(&minted.token).await,
    };
    let check = match enterprise {
        Ok(Some(enterprise)) if enterprise == view.tenant.enterprise_id => {
            CheckResult::pass(DiagnosticCheck::UserToken, format!("Box gave a token for user {user}."))
        }
        Ok(_) => CheckResult::failure(DiagnosticCheck::UserToken, &TokenError::ForeignUser),
        Err(error) => CheckResult::failure(DiagnosticCheck::UserToken, &BoxError::into(error)),
    };
    match deps.broker.minter().discard_test_token(view, (&subject, None), &credentials, minted, cause).await {
        Ok(()) => check,
        Err(error) => CheckResult::failure(DiagnosticCheck::UserToken, &error),
    }
}

/// Stores the service account as Box shows it now. A failure is only logged, because the test merely reports.
async fn store_service_account(
    deps: &Deps,
    view: &TenantContext,
    account: ServiceAccount,
    cause: &AuditContext,
) {
    if view.tenant.service_account.as_ref() == Some(&account) {
        return;
    }
    let next = Tenant { service_account: Some(account), ..view.tenant.clone() };
    let detail = "service_account".to_owned();
    let event = rows::tenants::tenant_event(deps, &next, cause, AuditAction::TenantUpdate, detail);
    if let Err(error) = rows::tenants::replace_tenant(deps, next, &event, None).await {
        tracing::warn!(tenant = %view.tenant.id, %error, "the service account was not written down");
    }
}

/// Returns the checks of a tenant whose keypair is not activated yet.
fn checks_without_key(view: &TenantContext, box_client: &BoxClient) -> Vec<CheckResult> {
    let reason = "Needs the keypair to be activated first.";
    let skipped = [DiagnosticCheck::Assertion].into_iter().chain(CHECKS_WITH_TOKEN);
    let mut checks = vec![diagnosis::check_key(&view.app)];
    checks.extend(skipped.map(|check| CheckResult::skipped(check, reason)));
    checks.push(diagnosis::check_clock(box_client));
    checks
}

/// Returns the checks of a tenant for which no token could be minted.
fn checks_after_failed_mint(
    view: &TenantContext,
    error: &TokenError,
    box_client: &BoxClient,
) -> Vec<CheckResult> {
    // Credentials that cannot be opened here were never sent to Box.
    let mut checks = match error {
        TokenError::Sealed { .. } | TokenError::Corrupt(_) | TokenError::Store(_) => vec![
            CheckResult::failure(DiagnosticCheck::Key, error),
            CheckResult::skipped(
                DiagnosticCheck::Assertion,
                "Needs the stored credentials, which cannot be used.",
            ),
        ],
        _ => vec![diagnosis::check_key(&view.app), CheckResult::failure(DiagnosticCheck::Assertion, error)],
    };
    let reason = "Needs a token, which Box does not give.";
    checks.extend(CHECKS_WITH_TOKEN.map(|check| CheckResult::skipped(check, reason)));
    checks.push(diagnosis::check_clock(box_client));
    checks
}

/// The checks that need a token.
const CHECKS_WITH_TOKEN: [DiagnosticCheck; 4] = [
    DiagnosticCheck::ServiceAccount,
    DiagnosticCheck::UserToken,
    DiagnosticCheck::AsUserHeader,
    DiagnosticCheck::Downscope,
];
