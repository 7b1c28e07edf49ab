//! What works between a tenant and Box, tried with fresh tokens.

use std::sync::Arc;

use crate::auth::RequestContext;
use crate::box_api::{BoxClient, BoxError};
use crate::broker::{TenantContext, TokenError};
use crate::domain::audit_event::{AuditAction, AuditContext};
use crate::domain::grant::Permission;
use crate::domain::id::BoxId;
use crate::domain::subject::Subject;
use crate::domain::tenant::{ServiceAccount, Tenant, TenantState};
use crate::registry::diagnosis::{self, CheckResult, DiagnosticCheck, DiagnosticTokens};
use crate::registry::{Registry, RegistryError};
use crate::store::{StoreError, TenantRef};

impl Registry {
    /// Checks what works between a tenant and Box, with fresh tokens that are revoked afterwards.
    ///
    /// # Errors
    /// Where the caller may not, the tenant is deleted, or the store does not answer.
    pub async fn test_tenant(
        self: &Arc<Self>,
        context: &RequestContext,
        tenant: &TenantRef,
        user: Option<&BoxId>,
    ) -> Result<Vec<CheckResult>, RegistryError> {
        let (context, view) = self.tenant_for(context, tenant, Permission::TenantsTest).await?;
        if view.tenant.state == TenantState::Deleted {
            return Err(RegistryError::Conflict("The tenant is deleted; restore it first."));
        }
        let cause = context.audit_context();
        if view.app.is_awaiting_key() {
            return Ok(without_key(&view, &self.upstream));
        }
        let (probe, credentials) = match self.broker.probe(&view, &Subject::ENTERPRISE).await {
            Ok(probe) => probe,
            Err(TokenError::Store(error @ StoreError::Unavailable(_))) => return Err(error.into()),
            Err(error) => return Ok(without_assertion(&view, &error, &self.upstream)),
        };
        self.broker.forgive(&view);
        let mut findings = vec![
            diagnosis::of_key(&view.app),
            CheckResult::pass(DiagnosticCheck::Assertion, "Box gave a token for the enterprise."),
        ];
        findings.push(match self.upstream.service_account(&probe.token).await {
            Ok(account) => {
                let detail = format!("{}: invite it as a collaborator to what it should see.", account.login);
                self.note_service_account(&view, account, &cause).await;
                CheckResult::pass(DiagnosticCheck::ServiceAccount, detail)
            }
            Err(error) => CheckResult::failure(DiagnosticCheck::ServiceAccount, &error.into()),
        });
        findings.push(self.test_user(&view, user, &cause).await);
        let ledger = DiagnosticTokens { broker: &self.broker, view: Some(&view), cause: &cause };
        findings.extend(diagnosis::of_token(&self.upstream, &credentials, &probe.token, user, ledger).await);
        self.broker.write_off(&view, &Subject::ENTERPRISE, None, &credentials, probe, &cause).await?;
        if view.tenant.state == TenantState::Pending
            && let Err(error) = self.verify(&TenantRef::Id(view.tenant.id.clone())).await
        {
            tracing::info!(tenant = %view.tenant.id, %error, "a tenant stays pending");
        }
        Ok(findings)
    }

    async fn test_user(
        &self,
        view: &TenantContext,
        user: Option<&BoxId>,
        cause: &AuditContext,
    ) -> CheckResult {
        let Some(user) = user else {
            return CheckResult::skipped(DiagnosticCheck::UserToken, "Name a `user` to have this checked.");
        };
        let subject = Subject::User { id: user.clone() };
        let (probe, credentials) = match self.broker.probe(view, &subject).await {
            Ok(probe) => probe,
            Err(error) => return CheckResult::failure(DiagnosticCheck::UserToken, &error),
        };
        let enterprise = match view.app.is_shared() {
            false => Ok(Some(view.tenant.enterprise_id.clone())),
            true => self.upstream.enterprise_of(&probe.token).await,
        };
        let finding = match enterprise {
            Ok(Some(enterprise)) if enterprise == view.tenant.enterprise_id => {
                CheckResult::pass(DiagnosticCheck::UserToken, format!("Box gave a token for user {user}."))
            }
            Ok(_) => CheckResult::failure(DiagnosticCheck::UserToken, &TokenError::ForeignUser),
            Err(error) => CheckResult::failure(DiagnosticCheck::UserToken, &BoxError::into(error)),
        };
        match self.broker.write_off(view, &subject, None, &credentials, probe, cause).await {
            Ok(()) => finding,
            Err(error) => CheckResult::failure(DiagnosticCheck::UserToken, &error),
        }
    }

    /// Keeps the service account as Box shows it now; a test reports, so nothing hangs on it.
    async fn note_service_account(
        &self,
        view: &TenantContext,
        account: ServiceAccount,
        cause: &AuditContext,
    ) {
        if view.tenant.service_account.as_ref() == Some(&account) {
            return;
        }
        let next = Tenant { service_account: Some(account), ..view.tenant.clone() };
        let event = self.event_of(&next, cause, AuditAction::TenantUpdate, "service_account".to_owned());
        if let Err(error) = self.replace(next, &event, None).await {
            tracing::warn!(tenant = %view.tenant.id, %error, "the service account was not written down");
        }
    }
}

/// The diagnosis of an app whose key is still to be activated.
fn without_key(view: &TenantContext, upstream: &BoxClient) -> Vec<CheckResult> {
    let needs = "Needs the keypair to be activated first.";
    let checks = [
        DiagnosticCheck::Assertion,
        DiagnosticCheck::ServiceAccount,
        DiagnosticCheck::UserToken,
        DiagnosticCheck::AsUserHeader,
        DiagnosticCheck::Downscope,
    ];
    let mut findings = vec![diagnosis::of_key(&view.app)];
    findings.extend(checks.map(|check| CheckResult::skipped(check, needs)));
    findings.push(diagnosis::of_clock(upstream));
    findings
}

/// The diagnosis where Box gives no token at all.
fn without_assertion(view: &TenantContext, error: &TokenError, upstream: &BoxClient) -> Vec<CheckResult> {
    let needs = "Needs a token, which Box does not give.";
    // What cannot be opened here was never shown to Box.
    let of_key_and_assertion = match error {
        TokenError::Sealed { .. } | TokenError::Corrupt(_) | TokenError::Store(_) => [
            CheckResult::failure(DiagnosticCheck::Key, error),
            CheckResult::skipped(
                DiagnosticCheck::Assertion,
                "Needs the stored credentials, which cannot be used.",
            ),
        ],
        _ => [diagnosis::of_key(&view.app), CheckResult::failure(DiagnosticCheck::Assertion, error)],
    };
    let [of_key, of_assertion] = of_key_and_assertion;
    vec![
        of_key,
        of_assertion,
        CheckResult::skipped(DiagnosticCheck::ServiceAccount, needs),
        CheckResult::skipped(DiagnosticCheck::UserToken, needs),
        CheckResult::skipped(DiagnosticCheck::AsUserHeader, needs),
        CheckResult::skipped(DiagnosticCheck::Downscope, needs),
        diagnosis::of_clock(upstream),
    ]
}
