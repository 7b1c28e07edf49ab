//! `POST /v1/{tenants|apps|callers}/{name}/lockdown`: an incident.

use axum::extract::State;
use serde::Serialize;
use utoipa_axum::routes;

use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::{AuthenticatedRequest, PathParams};
use crate::http::route::Route;
use crate::http::run_detached::run_detached;
use crate::registry::LockdownOutcome;
use crate::store::{AppRef, CallerRef, TenantRef};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::Lockdown, AuditAction::TenantLockdown, routes!(lock_tenant)),
        Route::admin(Permission::Lockdown, AuditAction::AppLockdown, routes!(lock_app)),
        Route::admin(Permission::Lockdown, AuditAction::CallerLockdown, routes!(lock_caller)),
    ]
}

/// The result of a lockdown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Lockdown)]
pub(crate) struct LockdownResponse {
    /// The number of live tokens in its scope; none of them is served any more.
    tokens: usize,
    /// The number of them that are dead at Box.
    revoked: usize,
    /// The number of them that wait for Box; they are revoked as soon as Box accepts that.
    queued: usize,
    /// The number of browser sessions that it ended.
    sessions: usize,
}

impl From<LockdownOutcome> for LockdownResponse {
    fn from(LockdownOutcome { report, sessions }: LockdownOutcome) -> Self {
        let queued = report.tokens.saturating_sub(report.revoked);
        Self { tokens: report.tokens, revoked: report.revoked, queued, sessions }
    }
}

type Locked = Result<axum::Json<LockdownResponse>, ApiError>;

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/lockdown", tag = "tenants", operation_id = "lock_tenant",
    responses((status = 200, description = "It is locked", body = LockdownResponse)),
)]
/// Lock a tenant in an incident: no token is released, and every live one is revoked.
async fn lock_tenant(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
) -> Locked {
    let locked = run_detached(api.tasks.clone(), async move {
        api.registry.lockdowns.lock_tenant(&caller.context, &tenant).await
    });
    Ok(axum::Json(locked.await?.into()))
}

#[utoipa::path(
    post, path = "/v1/apps/{app}/lockdown", tag = "apps", operation_id = "lock_app",
    responses((status = 200, description = "It is locked", body = LockdownResponse)),
)]
/// Lock a shared app and all its tenants in an incident; needs `lockdown` on `*`.
async fn lock_app(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(app): PathParams<AppRef>,
) -> Locked {
    let locked = run_detached(api.tasks.clone(), async move {
        api.registry.lockdowns.lock_app(&caller.context, &app).await
    });
    Ok(axum::Json(locked.await?.into()))
}

#[utoipa::path(
    post, path = "/v1/callers/{caller}/lockdown", tag = "callers", operation_id = "lock_caller",
    responses((status = 200, description = "It is locked", body = LockdownResponse)),
)]
/// Lock a caller in an incident: its keys stop working, and every live token that its grants allow is revoked.
async fn lock_caller(
    State(api): State<Api>,
    calling: AuthenticatedRequest,
    PathParams(caller): PathParams<CallerRef>,
) -> Locked {
    let locked = run_detached(api.tasks.clone(), async move {
        api.registry.lockdowns.lock_caller(&calling.context, &caller).await
    });
    Ok(axum::Json(locked.await?.into()))
}
