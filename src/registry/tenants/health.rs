//! The health of tenants: whether Box issues tokens for them, and the remedy if it does not.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Tenants;
use crate::broker::{Health, TenantContext, TokenError};
use crate::domain::app::AppState;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::TenantId;
use crate::domain::tenant::TenantState;
use crate::registry::deps::Deps;
use crate::registry::diagnosis::{CheckResult, DiagnosticCheck};
use crate::store::TenantRef;

/// The number of failing tenants that are probed in one round.
const PROBES_PER_ROUND: usize = 8;

/// The state of a tenant's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Box issued a token when it was last asked.
    Ok,
    /// Box did not, for a reason that concerns the whole tenant.
    Failing,
    /// Box was not asked since the broker started.
    Unknown,
}

/// A tenant's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Health)]
pub struct HealthView {
    /// The result of the last request to Box for a token.
    pub state: HealthState,
    /// The problem's code, while it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The remedy for an admin, while it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
    /// The time since which the state is so.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

impl Tenants {
    /// Asks Box for a token of up to eight failing tenants, chosen in rotation from a random start.
    ///
    /// While callers are served from the cache, no request would notice that a tenant has recovered. A token that
    /// Box issues is kept.
    pub async fn probe_failing(&self) {
        let mut failing = self.deps.broker.upstream().failing_tenants();
        if failing.is_empty() {
            return;
        }
        let mut random = [0; 4];
        self.deps.entropy.fill(&mut random);
        let first = usize::try_from(u32::from_le_bytes(random)).unwrap_or_default() % failing.len();
        failing.rotate_left(first);
        failing.truncate(PROBES_PER_ROUND);
        let probes = failing.into_iter().map(async |tenant: TenantId| {
            if let Err(error) = probe_tenant(&self.deps, &tenant).await {
                tracing::debug!(%tenant, %error, "a tenant fails still");
            }
        });
        futures::future::join_all(probes).await;
    }

    /// Returns a tenant's health as this process knows it.
    #[must_use]
    pub fn health(&self, view: &TenantContext) -> HealthView {
        let (state, since, failed) = match self.deps.broker.upstream().health(view) {
            Health::Unknown(since) => (HealthState::Unknown, since, None),
            Health::Healthy(since) => (HealthState::Ok, since, None),
            Health::Failing(since, error) => {
                (HealthState::Failing, since, Some(CheckResult::failure(DiagnosticCheck::Assertion, &error)))
            }
        };
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
        let (code, fix) = failed.map_or((None, None), |failed| (failed.code, failed.fix));
        HealthView { state, code, fix, since }
    }
}

/// Asks Box for a token of a tenant in service, and keeps it.
async fn probe_tenant(deps: &Deps, tenant: &TenantId) -> Result<(), TokenError> {
    let Some(view) = deps.broker.tenants().find(&TenantRef::Id(tenant.clone())).await? else { return Ok(()) };
    if view.tenant.state != TenantState::Active || view.app.state != AppState::Active {
        return Ok(());
    }
    let (minted, _) = deps.broker.minter().retry_mint(&view).await?;
    deps.broker.minter().adopt_test_token(&view, minted, &AuditContext::BROKER).await
}
