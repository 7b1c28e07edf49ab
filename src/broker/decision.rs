//! The decision whether a token may be released: by grants and policy, then by the state of the caller, the
//! tenant and its app.
//!
//! It holds no state and asks nobody. Releases and explanations are decided by the same functions.

use crate::broker::error::TokenError;
use crate::broker::tenant_context::TenantContext;
use crate::domain::app::AppState;
use crate::domain::caller::{Caller, CallerState};
use crate::domain::policy::{self, AccessRequest, Decision, DecisionBasis, DenialReason};
use crate::domain::tenant::TenantState;

/// A state that blocks a request which grants and policy allow.
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
    /// The caller is locked: no credential authenticates as it.
    CallerLocked,
}

impl Block {
    /// Returns the block's name in audit records.
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

    /// Returns the block on a tenant's tokens for a caller, if there is one now.
    #[must_use]
    pub fn of(caller: &Caller, context: &TenantContext) -> Option<Self> {
        if caller.state == CallerState::Locked {
            return Some(Self::CallerLocked);
        }
        match (context.tenant.state, context.app.state) {
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

/// The reason for which a request is denied. A later variant came closer to being allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The caller has no grant on the tenant.
    NoGrant,
    /// A rule of the grants or of the policy forbids it.
    Rule(DenialReason),
    /// Grants and policy allow it, but a state blocks it.
    Block(Block),
}

impl From<Denial> for TokenError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::NoGrant | Denial::Block(Block::TenantDeleted | Block::CallerLocked) => Self::Absent,
            Denial::Rule(rule) => Self::Forbidden(rule),
            Denial::Block(
                Block::TenantLocked | Block::AppLocked | Block::TenantSuspended | Block::AppSuspended,
            ) => Self::Suspended,
            Denial::Block(Block::TenantPending | Block::AppPending) => Self::Pending,
        }
    }
}

/// Decides by grants and policy, then by the state of the caller, the tenant and its app.
///
/// # Errors
/// Returns the reason for which the request is denied.
pub fn decide(
    caller: &Caller,
    context: &TenantContext,
    request: AccessRequest<'_>,
) -> Result<DecisionBasis, Denial> {
    let tenant = &context.tenant;
    match policy::decide(&caller.grants, &tenant.id, &tenant.labels, &tenant.policy, request) {
        Decision::TenantHidden => Err(Denial::NoGrant),
        Decision::Forbidden(rule) => Err(Denial::Rule(rule)),
        Decision::Allowed(basis) => match Block::of(caller, context) {
            Some(block) => Err(Denial::Block(block)),
            None => Ok(basis),
        },
    }
}

/// Decides for each caller alone and returns the first that is allowed.
///
/// # Errors
/// If none is allowed, returns the denial that came closest to being allowed.
pub fn first_allowed<'a, T>(
    callers: impl IntoIterator<Item = (T, &'a Caller)>,
    context: &TenantContext,
    request: AccessRequest<'_>,
) -> Result<(T, DecisionBasis), Denial> {
    let mut nearest = Denial::NoGrant;
    for (this, caller) in callers {
        match decide(caller, context, request) {
            Ok(basis) => return Ok((this, basis)),
            Err(denial) => nearest = nearest.max(denial),
        }
    }
    Err(nearest)
}
