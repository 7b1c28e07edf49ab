//! How a tenant is, with what to do where it fails.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Registry;
use super::diagnosis::{Check, Finding};
use crate::broker::{Health, View};

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

impl Registry {
    /// A tenant's health, as this process knows it.
    #[must_use]
    pub fn health(&self, view: &View) -> HealthView {
        let (state, since, failed) = match self.broker.health(view) {
            Health::Unknown(since) => (HealthState::Unknown, since, None),
            Health::Well(since) => (HealthState::Ok, since, None),
            Health::Failing(since, error) => {
                (HealthState::Failing, since, Some(Finding::failure(Check::Assertion, &error)))
            }
        };
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
        let (code, fix) = failed.map_or((None, None), |failed| (failed.code, failed.fix));
        HealthView { state, code, fix, since }
    }
}
