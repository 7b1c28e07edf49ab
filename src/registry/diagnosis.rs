//! What works between a tenant and Box, check by check, each with what to click where it does not.

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
use crate::secret::SecretString;
use crate::store::StoreError;

/// How far Box's clock and ours may part before the operator should look: half of what an
/// assertion's life leaves.
const TOLERABLE_SKEW: i64 = 15;

/// What is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DiagnosticCheck {
    /// The private key loads.
    Key,
    /// Box accepts an assertion, or client credentials, for the enterprise.
    Assertion,
    /// The service account can be read.
    ServiceAccount,
    /// A token for a user can be had.
    UserToken,
    /// The service account may act as a user by the `As-User` header.
    AsUserHeader,
    /// A token can be exchanged for a narrower one.
    Downscope,
    /// Box's clock and ours agree.
    Clock,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// It works.
    Pass,
    /// It does not.
    Fail,
    /// It was not tried.
    Skipped,
}

/// One line of a diagnosis.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CheckResult {
    /// What was checked.
    pub check: DiagnosticCheck,
    /// How it ended.
    pub outcome: CheckOutcome,
    /// The problem's code, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What was seen.
    pub detail: String,
    /// What to do, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
}

impl CheckResult {
    pub(super) fn pass(check: DiagnosticCheck, detail: impl Into<String>) -> Self {
        Self { check, outcome: CheckOutcome::Pass, code: None, detail: detail.into(), fix: None }
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

    /// What stands in the way of the check.
    pub(super) fn failure(check: DiagnosticCheck, error: &TokenError) -> Self {
        let error = error.last();
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

/// The line about the private key.
pub(super) fn of_key(app: &App) -> CheckResult {
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

/// Where tokens that a diagnosis mints are written down.
#[derive(Clone, Copy)]
pub(super) struct DiagnosticTokens<'a> {
    pub broker: &'a Arc<Broker>,
    /// Whose they are; in a dry run nobody's, and they are only recorded.
    pub view: Option<&'a TenantContext>,
    pub cause: &'a AuditContext,
}

/// The lines that only report, for an enterprise token that works; `user` where one was named.
pub(super) async fn of_token(
    upstream: &BoxClient,
    credentials: &Arc<BoxCredentials>,
    token: &SecretString,
    user: Option<&BoxId>,
    DiagnosticTokens { broker, view, cause }: DiagnosticTokens<'_>,
) -> Vec<CheckResult> {
    let as_user = async {
        let Some(user) = user else {
            return CheckResult::skipped(
                DiagnosticCheck::AsUserHeader,
                "Name a `user` to have this checked.",
            );
        };
        match upstream.probe_as_user(token, user).await {
            Ok(()) => CheckResult::pass(
                DiagnosticCheck::AsUserHeader,
                "The header works, so a full enterprise token is as powerful as every user's token: hand \
                 it only to services that may act as anyone.",
            ),
            Err(error) => CheckResult::failure(DiagnosticCheck::AsUserHeader, &error.into()),
        }
    };
    let downscope = async {
        let Ok(scope) = Scope::parse("item_preview") else {
            return CheckResult::skipped(DiagnosticCheck::Downscope, "There is no scope to try.");
        };
        let restriction = Restriction {
            scopes: [scope].into_iter().collect(),
            target: RestrictionTarget::Anything,
            annotator: None,
        };
        let (child, overreach) = match upstream.downscope(credentials, token, &restriction).await {
            Ok(ExchangeOutcome::Restricted(child)) => (child, None),
            Ok(ExchangeOutcome::Overreaching(child, overreach)) => (child, Some(overreach)),
            Err(error) => return CheckResult::failure(DiagnosticCheck::Downscope, &error.into()),
        };
        let ended = match view {
            Some(view) => {
                broker
                    .write_off(view, &Subject::ENTERPRISE, Some(restriction), credentials, child, cause)
                    .await
            }
            None => {
                let of = (&Subject::ENTERPRISE, Some(&restriction));
                broker.write_off_unowned(credentials, of, child.token, cause).await;
                Ok(())
            }
        };
        match (ended, overreach) {
            (Ok(()), Some(overreach)) => CheckResult::failure(DiagnosticCheck::Downscope, &overreach.into()),
            (Ok(()), None) => {
                CheckResult::pass(DiagnosticCheck::Downscope, "Box exchanges the token for a narrower one.")
            }
            (Err(error), _) => CheckResult::failure(DiagnosticCheck::Downscope, &error),
        }
    };
    let (as_user, downscope) = tokio::join!(as_user, downscope);
    vec![as_user, downscope, of_clock(upstream)]
}

/// The line about the clocks.
pub(super) fn of_clock(upstream: &BoxClient) -> CheckResult {
    let Some(difference) = upstream.clock_difference() else {
        return CheckResult::skipped(DiagnosticCheck::Clock, "Box has not shown its clock yet.");
    };
    let offset = difference.as_secs();
    if offset.abs() <= TOLERABLE_SKEW {
        return CheckResult::pass(
            DiagnosticCheck::Clock,
            format!("Box's clock and ours agree within {TOLERABLE_SKEW} s."),
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
