//! The checks of what works between a tenant and Box, each with a remedy if it fails.
//!
//! It runs single checks and words their results. The tenant's test and the registration put them together.

use std::sync::Arc;

use serde::Serialize;

use crate::box_api::{BoxClient, BoxCredentials, BoxError, ExchangeOutcome};
use crate::broker::{Broker, TenantContext, TokenError};
use crate::crypto::CryptoError;
use crate::domain::app::App;
use crate::domain::audit_event::AuditContext;
use crate::domain::box_refusal::BoxRefusal;
use crate::domain::id::BoxId;
use crate::domain::restriction::{Restriction, RestrictionTarget};
use crate::domain::scope::Scope;
use crate::domain::subject::Subject;
use crate::domain::tenant::ServiceAccount;
use crate::secret::SecretString;
use crate::store::StoreError;

/// The difference between Box's clock and ours, in seconds, above which the operator should act: half of the
/// margin in an assertion's life.
const MAX_CLOCK_SKEW_SECONDS: i64 = 15;

/// One check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticCheck {
    /// The private key can be loaded.
    Key,
    /// Box accepts an assertion, or client credentials, for the enterprise.
    Assertion,
    /// The service account can be read.
    ServiceAccount,
    /// Box issues a token for a user.
    UserToken,
    /// The service account can act as a user with the `As-User` header.
    AsUserHeader,
    /// A token can be exchanged for a narrower one.
    Downscope,
    /// Box's clock and ours agree.
    Clock,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// It works.
    Pass,
    /// It does not.
    Fail,
    /// It was not checked.
    Skipped,
}

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CheckResult {
    /// The check.
    pub check: DiagnosticCheck,
    /// Its outcome.
    pub outcome: CheckOutcome,
    /// The problem's code, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The observation, in words.
    pub detail: String,
    /// The remedy, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
}

impl CheckResult {
    pub(super) fn pass(check: DiagnosticCheck, detail: impl Into<String>) -> Self {
        Self { check, outcome: CheckOutcome::Pass, code: None, detail: detail.into(), fix: None }
    }

    /// The result if Box issued a token for the enterprise.
    pub(super) fn assertion_accepted() -> Self {
        Self::pass(DiagnosticCheck::Assertion, "Box gave a token for the enterprise.")
    }

    /// The result if Box showed the service account of a token.
    pub(super) fn service_account_found(account: &ServiceAccount) -> Self {
        let detail = format!("{}: invite it as a collaborator to what it should see.", account.login);
        Self::pass(DiagnosticCheck::ServiceAccount, detail)
    }

    pub(super) fn skipped(check: DiagnosticCheck, detail: impl Into<String>) -> Self {
        Self { check, outcome: CheckOutcome::Skipped, code: None, detail: detail.into(), fix: None }
    }

    fn refused(check: DiagnosticCheck, refusal: BoxRefusal) -> Self {
        Self {
            check,
            outcome: CheckOutcome::Fail,
            code: Some(refusal.code()),
            detail: refusal.detail().to_owned(),
            fix: Some(refusal.fix()),
        }
    }

    fn failed(
        check: DiagnosticCheck,
        code: &'static str,
        detail: impl Into<String>,
        fix: &'static str,
    ) -> Self {
        Self { check, outcome: CheckOutcome::Fail, code: Some(code), detail: detail.into(), fix: Some(fix) }
    }

    /// Returns the result of a check that failed with `error`.
    pub(super) fn failure(check: DiagnosticCheck, error: &TokenError) -> Self {
        let error = error.root_cause();
        if let Some(refusal) = error.refusal() {
            return Self::refused(check, refusal);
        }
        match error {
            TokenError::Box(error) => match error.as_ref() {
                BoxError::RateLimited { .. } => Self::failed(
                    check,
                    "upstream_rate_limited",
                    "Box limits the rate of this app's requests.",
                    "Run the test again in a minute.",
                ),
                BoxError::Unavailable { .. } => Self::failed(
                    check,
                    "upstream_unavailable",
                    "Box does not answer, or not in time.",
                    "Run the test again, and look at status.box.com if it stays so.",
                ),
                _ => Self::failed(
                    check,
                    "upstream_protocol",
                    "Box's answer made no sense.",
                    "See that nothing between the broker and Box changes its answers.",
                ),
            },
            TokenError::Sealed { error: CryptoError::Refused, .. }
            | TokenError::Corrupt(_)
            | TokenError::Store(StoreError::Tampered { .. }) => Self::failed(
                check,
                "sealed_data_refused",
                "The stored credentials are not what the broker wrote.",
                "Find out who changed the database, and restore the tenant's rows from a backup.",
            ),
            TokenError::Sealed { .. } | TokenError::Store(StoreError::KeyUnavailable { .. }) => Self::failed(
                check,
                "key_unavailable",
                "The stored credentials cannot be opened.",
                "Put the key that sealed them back into the broker's key set.",
            ),
            TokenError::Store(StoreError::Conflict(_)) => Self::failed(
                check,
                "conflict",
                "Another tenant holds this client ID, or this enterprise of the app, by now.",
                "Delete this tenant, or the one that holds it; an app of several tenants is registered as a \
                 shared app.",
            ),
            _ => Self::failed(
                check,
                "store_unavailable",
                "The broker could not run this check.",
                "Run the test again.",
            ),
        }
    }
}

/// Returns the check of the private key, which was loaded when it was registered.
pub(super) fn check_key(app: &App) -> CheckResult {
    match &app.key {
        None if app.is_awaiting_key() => CheckResult::skipped(
            DiagnosticCheck::Key,
            "The key was made here; it is used once it is activated.",
        ),
        Some(key) => CheckResult::pass(
            DiagnosticCheck::Key,
            format!("RSA with {} bits, public key {} at Box.", key.bits, key.public_key_id),
        ),
        None => CheckResult::skipped(DiagnosticCheck::Key, "With client credentials there is no key."),
    }
}

/// The tenant and the audit context under which tokens that a check mints are recorded and revoked.
#[derive(Clone, Copy)]
pub(super) struct DiagnosticTokens<'a> {
    pub broker: &'a Arc<Broker>,
    /// The tenant that the tokens belong to; `None` in a dry run, which stores none of them.
    pub view: Option<&'a TenantContext>,
    pub cause: &'a AuditContext,
}

/// Returns the checks that need a working enterprise token and do not affect whether credentials are accepted: the
/// `As-User` header (if a user is given), the exchange for a narrower token, and the clock.
pub(super) async fn check_token_uses(
    box_client: &BoxClient,
    credentials: &Arc<BoxCredentials>,
    token: &SecretString,
    user: Option<&BoxId>,
    tokens: DiagnosticTokens<'_>,
) -> Vec<CheckResult> {
    let as_user = check_as_user(box_client, token, user);
    let downscope = check_downscope(box_client, credentials, token, tokens);
    let (as_user, downscope) = tokio::join!(as_user, downscope);
    vec![as_user, downscope, check_clock(box_client)]
}

async fn check_as_user(box_client: &BoxClient, token: &SecretString, user: Option<&BoxId>) -> CheckResult {
    let Some(user) = user else {
        return CheckResult::skipped(DiagnosticCheck::AsUserHeader, "Name a `user` to have this checked.");
    };
    match box_client.probe_as_user(token, user).await {
        Ok(()) => CheckResult::pass(
            DiagnosticCheck::AsUserHeader,
            "The header works, so a full enterprise token is as powerful as every user's token: hand \
             it only to services that may act as anyone.",
        ),
        Err(error) => CheckResult::failure(DiagnosticCheck::AsUserHeader, &error.into()),
    }
}

/// Exchanges the token for a narrower one, which is then revoked.
async fn check_downscope(
    box_client: &BoxClient,
    credentials: &Arc<BoxCredentials>,
    token: &SecretString,
    DiagnosticTokens { broker, view, cause }: DiagnosticTokens<'_>,
) -> CheckResult {
    let Ok(scope) = Scope::parse("item_preview") else {
        return CheckResult::skipped(DiagnosticCheck::Downscope, "There is no scope to try.");
    };
    let restriction = Restriction {
        scopes: [scope].into_iter().collect(),
        target: RestrictionTarget::Anything,
        annotator: None,
    };
    let (child, overreach) = match box_client.downscope(credentials, token, &restriction).await {
        Ok(ExchangeOutcome::Restricted(child)) => (child, None),
        Ok(ExchangeOutcome::Overreaching(child, overreach)) => (child, Some(overreach)),
        Err(error) => return CheckResult::failure(DiagnosticCheck::Downscope, &error.into()),
    };
    let revoked = match view {
        Some(view) => {
            broker
                .minter()
                .discard_test_token(
                    view,
                    (&Subject::ENTERPRISE, Some(&restriction)),
                    credentials,
                    child,
                    cause,
                )
                .await
        }
        None => {
            let of = (&Subject::ENTERPRISE, Some(&restriction));
            broker.revocation().discard_unowned_token(of, credentials, child.token, cause).await;
            Ok(())
        }
    };
    match (revoked, overreach) {
        (Ok(()), Some(overreach)) => CheckResult::failure(DiagnosticCheck::Downscope, &overreach.into()),
        (Ok(()), None) => {
            CheckResult::pass(DiagnosticCheck::Downscope, "Box exchanges the token for a narrower one.")
        }
        (Err(error), _) => CheckResult::failure(DiagnosticCheck::Downscope, &error),
    }
}

/// Returns the check of the difference between Box's clock and ours.
pub(super) fn check_clock(box_client: &BoxClient) -> CheckResult {
    let Some(difference) = box_client.clock_difference() else {
        return CheckResult::skipped(DiagnosticCheck::Clock, "Box has not shown its clock yet.");
    };
    let offset = difference.as_secs();
    if offset.abs() <= MAX_CLOCK_SKEW_SECONDS {
        return CheckResult::pass(
            DiagnosticCheck::Clock,
            format!("Box's clock and ours agree within {MAX_CLOCK_SKEW_SECONDS} s."),
        );
    }
    let side = if offset > 0 { "ahead of" } else { "behind" };
    CheckResult::failed(
        DiagnosticCheck::Clock,
        BoxRefusal::ClockSkew.code(),
        format!("Box's clock is {} s {side} ours; assertions follow it.", offset.abs()),
        BoxRefusal::ClockSkew.fix(),
    )
}
