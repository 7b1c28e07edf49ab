//! How a tenant is, with what to do where it fails.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::broker::{Health, TenantContext};
use crate::domain::app::AppState;
use crate::domain::audit_event::AuditContext;
use crate::domain::id::TenantId;
use crate::domain::tenant::TenantState;
use crate::registry::Registry;
use crate::registry::diagnosis::{CheckResult, DiagnosticCheck};
use crate::store::TenantRef;

/// Whether tokens of a tenant can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// Box gave one when it was last asked.
    Ok,
    /// It did not, for a reason that concerns the whole tenant.
    Failing,
    /// Nobody asked since the broker started.
    Unknown,
}

/// A tenant's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = Health)]
pub struct HealthView {
    /// Whether tokens can be had.
    pub state: HealthState,
    /// The problem's code, while it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// What an admin should do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<&'static str>,
    /// Since when it is so.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
}

/// How many failing tenants are asked about in a round.
const IN_A_ROUND: usize = 8;

impl Registry {
    /// Asks Box for a token of some of the tenants that fail, in turn by chance: while callers are served
    /// what they have, nobody else would notice that all is well again. A token that comes is kept.
    pub async fn try_failing(&self) {
        let mut failing = self.broker.failing();
        if failing.is_empty() {
            return;
        }
        let mut random = [0; 4];
        self.entropy.fill(&mut random);
        let first = usize::try_from(u32::from_le_bytes(random)).unwrap_or_default() % failing.len();
        failing.rotate_left(first);
        failing.truncate(IN_A_ROUND);
        futures::future::join_all(failing.into_iter().map(|tenant| self.ask_after(tenant))).await;
    }

    async fn ask_after(&self, tenant: TenantId) {
        let asked = async {
            let Some(view) = self.broker.view(&TenantRef::Id(tenant.clone())).await? else { return Ok(()) };
            if view.tenant.state != TenantState::Active || view.app.state != AppState::Active {
                return Ok(());
            }
            let (minted, _) = self.broker.knock(&view).await?;
            self.broker.adopt(&view, minted, &AuditContext::BROKER).await
        };
        if let Err(error) = asked.await {
            tracing::debug!(%tenant, %error, "a tenant fails still");
        }
    }

    /// A tenant's health, as this process knows it.
    #[must_use]
    pub fn health(&self, view: &TenantContext) -> HealthView {
        let (state, since, failed) = match self.broker.health(view) {
            Health::Unknown(since) => (HealthState::Unknown, since, None),
            Health::Well(since) => (HealthState::Ok, since, None),
            Health::Failing(since, error) => {
                (HealthState::Failing, since, Some(CheckResult::failure(DiagnosticCheck::Assertion, &error)))
            }
        };
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
        let (code, fix) = failed.map_or((None, None), |failed| (failed.code, failed.fix));
        HealthView { state, code, fix, since }
    }
}
