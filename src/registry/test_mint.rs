//! The test of new credentials: Box must issue a token for them before they are stored.

use std::sync::Arc;

use super::deps::Deps;
use super::diagnosis::{self, CheckResult, DiagnosticCheck, DiagnosticTokens};
use super::error::RegistryError;
use crate::box_api::{BoxCredentials, MintedToken};
use crate::broker::box_credentials;
use crate::domain::app::{App, AppSecrets};
use crate::domain::audit_event::AuditContext;
use crate::domain::id::BoxId;
use crate::domain::subject::Subject;
use crate::domain::tenant::ServiceAccount;
use crate::secret::SecretString;

/// Credentials that passed the test, the token that Box issued for them, and its service account.
pub(super) struct TestedCredentials {
    pub credentials: Arc<BoxCredentials>,
    pub minted: MintedToken,
    pub account: ServiceAccount,
}

/// Mints a token for an enterprise and asks Box for its service account. The token is revoked if that fails.
///
/// # Errors
/// The refusal or failure of Box.
pub(super) async fn test_mint(
    deps: &Deps,
    credentials: Arc<BoxCredentials>,
    enterprise: &BoxId,
    cause: &AuditContext,
) -> Result<TestedCredentials, RegistryError> {
    let minted = deps.broker.minter().test_credentials(&credentials, enterprise).await?;
    match deps.box_client.service_account(&minted.token).await {
        Ok(account) => Ok(TestedCredentials { credentials, minted, account }),
        Err(error) => {
            revoke_test_token(deps, &credentials, minted.token, cause).await;
            Err(error.into())
        }
    }
}

/// Revokes a service account's token that belongs to no tenant.
pub(super) async fn revoke_test_token(
    deps: &Deps,
    credentials: &Arc<BoxCredentials>,
    token: SecretString,
    cause: &AuditContext,
) {
    deps.broker
        .revocation()
        .discard_unowned_token((&Subject::ENTERPRISE, None), credentials, token, cause)
        .await;
}

/// Returns the checks of a tenant whose credentials passed the test.
pub(super) async fn checks_of_tested_tenant(
    deps: &Deps,
    app: &App,
    account: &ServiceAccount,
    (credentials, token): (&Arc<BoxCredentials>, &SecretString),
    tokens: DiagnosticTokens<'_>,
) -> Vec<CheckResult> {
    let mut checks = vec![
        diagnosis::check_key(app),
        CheckResult::assertion_accepted(),
        CheckResult::service_account_found(account),
        CheckResult::skipped(
            DiagnosticCheck::UserToken,
            "Run the tenant's test with a `user` to have this checked.",
        ),
    ];
    checks.extend(diagnosis::check_token_uses(&deps.box_client, credentials, token, None, tokens).await);
    checks
}

/// Tests a shared app's credentials with an enterprise that authorised the app, revokes the token, and returns the
/// checks. Without an enterprise the test is skipped.
///
/// # Errors
/// The refusal or failure of Box.
pub(super) async fn test_shared_app(
    deps: &Deps,
    app: &App,
    secrets: &AppSecrets,
    enterprise: Option<&BoxId>,
    cause: &AuditContext,
) -> Result<Vec<CheckResult>, RegistryError> {
    let mut checks = vec![diagnosis::check_key(app)];
    let Some(enterprise) = enterprise else {
        let reason = "Name an `enterprise_id` that authorised the app to have this checked.";
        checks.push(CheckResult::skipped(DiagnosticCheck::Assertion, reason));
        return Ok(checks);
    };
    let credentials = Arc::new(box_credentials(app, secrets.clone())?);
    let tested = test_mint(deps, credentials, enterprise, cause).await?;
    // The token is not stored for any tenant: each mints its own first token of the new generation.
    revoke_test_token(deps, &tested.credentials, tested.minted.token, cause).await;
    checks.push(CheckResult::assertion_accepted());
    checks.push(CheckResult::pass(DiagnosticCheck::ServiceAccount, tested.account.login));
    checks.push(diagnosis::check_clock(&deps.box_client));
    Ok(checks)
}
