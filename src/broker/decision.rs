//! Whether a token may leave: by grants and policy, and by where the tenant and its app stand.

use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::domain::app::AppState;
use crate::domain::caller::{Caller, CallerState};
use crate::domain::policy::{self, AccessRequest, Decision, DecisionBasis, DenialReason};
use crate::domain::tenant::TenantState;

/// What keeps back what grants and policy allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Block {
    /// The tenant is deleted.
    TenantDeleted,
    /// The tenant is locked.
    TenantLocked,
    /// The app that serves it is locked.
    AppLocked,
    /// The tenant is suspended.
    TenantSuspended,
    /// The app that serves it is suspended.
    AppSuspended,
    /// The tenant was never tested at Box.
    TenantPending,
    /// The app that serves it was never tested at Box.
    AppPending,
    /// The caller is locked: nothing opens it.
    CallerLocked,
}

impl Block {
    /// The hold's name in the audit.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TenantDeleted => "tenant.deleted",
            Self::TenantLocked => "tenant.locked",
            Self::AppLocked => "app.locked",
            Self::TenantSuspended => "tenant.suspended",
            Self::AppSuspended => "app.suspended",
            Self::TenantPending => "tenant.pending",
            Self::AppPending => "app.pending",
            Self::CallerLocked => "caller.locked",
        }
    }

    /// What holds a tenant's tokens back from a caller at this moment.
    #[must_use]
    pub fn on(caller: &Caller, view: &TenantContext) -> Option<Self> {
        if caller.state == CallerState::Locked {
            return Some(Self::CallerLocked);
        }
        match (view.tenant.state, view.app.state) {
            (TenantState::Deleted, _) => Some(Self::TenantDeleted),
            (TenantState::Locked, _) => Some(Self::TenantLocked),
            (_, AppState::Locked) => Some(Self::AppLocked),
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
pub enum Denial {
    /// No grant is on the tenant.
    NoGrant,
    /// A rule of the grants or of the policy is against it.
    Rule(DenialReason),
    /// It would be allowed, did nothing hold it back.
    Block(Block),
}

impl From<Denial> for TokenError {
    fn from(refused: Denial) -> Self {
        match refused {
            Denial::NoGrant | Denial::Block(Block::TenantDeleted | Block::CallerLocked) => Self::Absent,
            Denial::Rule(rule) => Self::Forbidden(rule),
            Denial::Block(
                Block::TenantLocked | Block::AppLocked | Block::TenantSuspended | Block::AppSuspended,
            ) => Self::Suspended,
            Denial::Block(Block::TenantPending | Block::AppPending) => Self::Pending,
        }
    }
}

/// Judges by grants and policy, then by where the caller, the tenant and its app stand. Releases and those who
/// ask why about them are judged here alike.
///
/// # Errors
/// Why it is refused.
pub fn decide(
    caller: &Caller,
    view: &TenantContext,
    ask: AccessRequest<'_>,
) -> Result<DecisionBasis, Denial> {
    let tenant = &view.tenant;
    match policy::decide(&caller.grants, &tenant.id, &tenant.labels, &tenant.policy, ask) {
        Decision::TenantHidden => Err(Denial::NoGrant),
        Decision::Forbidden(rule) => Err(Denial::Rule(rule)),
        Decision::Allowed(grounds) => match Block::on(caller, view) {
            Some(hold) => Err(Denial::Block(hold)),
            None => Ok(grounds),
        },
    }
}

/// Judges each caller alone: the first that may decides; where none may, the refusal that came furthest
/// tells most.
///
/// # Errors
/// Why none may.
pub fn first_allowed<'a, T>(
    callers: impl IntoIterator<Item = (T, &'a Caller)>,
    view: &TenantContext,
    ask: AccessRequest<'_>,
) -> Result<(T, DecisionBasis), Denial> {
    let mut nearest = Denial::NoGrant;
    for (this, caller) in callers {
        match decide(caller, view, ask) {
            Ok(grounds) => return Ok((this, grounds)),
            Err(refused) => nearest = nearest.max(refused),
        }
    }
    Err(nearest)
}
