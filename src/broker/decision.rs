//! Whether a token may leave: by grants and policy, and by where the tenant and its app stand.

use super::cache::View;
use super::error::TokenError;
use crate::domain::app::AppState;
use crate::domain::caller::Grant;
use crate::domain::policy::{self, Ask, Decision, Grounds, Rule};
use crate::domain::tenant::TenantState;

/// What keeps every token of a tenant back, whoever asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hold {
    /// The tenant is deleted.
    TenantDeleted,
    /// The tenant is suspended.
    TenantSuspended,
    /// The app that serves it is suspended.
    AppSuspended,
    /// The tenant was never tested at Box.
    TenantPending,
    /// The app that serves it was never tested at Box.
    AppPending,
}

impl Hold {
    /// The hold's name in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TenantDeleted => "tenant.deleted",
            Self::TenantSuspended => "tenant.suspended",
            Self::AppSuspended => "app.suspended",
            Self::TenantPending => "tenant.pending",
            Self::AppPending => "app.pending",
        }
    }

    /// What holds a tenant's tokens back at this moment.
    #[must_use]
    pub fn on(view: &View) -> Option<Self> {
        match (view.tenant.state, view.app.state) {
            (TenantState::Deleted, _) => Some(Self::TenantDeleted),
            (TenantState::Suspended, _) => Some(Self::TenantSuspended),
            (_, AppState::Suspended) => Some(Self::AppSuspended),
            (TenantState::Pending, _) => Some(Self::TenantPending),
            (_, AppState::Pending) => Some(Self::AppPending),
            (TenantState::Active, AppState::Active) => None,
        }
    }
}

/// Why an ask is refused; what comes later came nearer to allowing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refused {
    /// No grant is on the tenant.
    NoGrant,
    /// A rule of the grants or of the policy is against it.
    Rule(Rule),
    /// It would be allowed, were the tenant in service.
    Hold(Hold),
}

impl From<Refused> for TokenError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoGrant | Refused::Hold(Hold::TenantDeleted) => Self::Absent,
            Refused::Rule(rule) => Self::Forbidden(rule),
            Refused::Hold(Hold::TenantSuspended | Hold::AppSuspended) => Self::Suspended,
            Refused::Hold(Hold::TenantPending | Hold::AppPending) => Self::Pending,
        }
    }
}

/// Judges by grants and policy, then by where the tenant and its app stand. Releases and those who
/// ask why about them are judged here alike.
///
/// # Errors
/// Why it is refused.
pub fn decide(grants: &[Grant], view: &View, ask: Ask<'_>) -> Result<Grounds, Refused> {
    let tenant = &view.tenant;
    match policy::decide(grants, &tenant.id, &tenant.labels, &tenant.policy, ask) {
        Decision::Absent => Err(Refused::NoGrant),
        Decision::Forbidden(rule) => Err(Refused::Rule(rule)),
        Decision::Allowed(grounds) => match Hold::on(view) {
            Some(hold) => Err(Refused::Hold(hold)),
            None => Ok(grounds),
        },
    }
}
