//! `POST /v1/{tenants|apps|callers}/{name}/lockdown`: an incident.

use axum::extract::State;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::error::problem::ProblemDocument;
use crate::http::extract::{AuthenticatedRequest, PathParams};
use crate::http::run_detached::run_detached;
use crate::registry::LockdownOutcome;
use crate::store::{AppRef, CallerRef, TenantRef};

pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(lock_tenant)).routes(routes!(lock_app)).routes(routes!(lock_caller))
}

/// What a lockdown came to.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Lockdown)]
pub(crate) struct LockdownResponse {
    /// How many live tokens it reached; none of them is served any more.
    tokens: usize,
    /// How many of them are dead at Box.
    revoked: usize,
    /// How many wait for Box; they are revoked as soon as it takes that.
    queued: usize,
    /// How many browser sessions it ended.
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
    params(("tenant" = String, Path, description = "The tenant's name or id")),
    responses((status = 200, description = "It is locked", body = LockdownResponse), (status = "default", description = "What is wrong, and what to do about it", body = ProblemDocument, content_type = "application/problem+json")),
    security(("api_key" = [])),
    extensions(("x-access" = json!({"permission": "lockdown", "group": "admin", "audit": "tenant.lockdown"}))),
)]
/// Lock a tenant in an incident: no release any more, every live token revoked.
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
    params(("app" = String, Path, description = "The app's name or id")),
    responses((status = 200, description = "It is locked", body = LockdownResponse), (status = "default", description = "What is wrong, and what to do about it", body = ProblemDocument, content_type = "application/problem+json")),
    security(("api_key" = [])),
    extensions(("x-access" = json!({"permission": "lockdown", "group": "admin", "audit": "app.lockdown"}))),
)]
/// Lock a shared app in an incident, and with it every tenant that it serves; needs `lockdown` on `*`.
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
    params(("caller" = String, Path, description = "The caller's name or id")),
    responses((status = 200, description = "It is locked", body = LockdownResponse), (status = "default", description = "What is wrong, and what to do about it", body = ProblemDocument, content_type = "application/problem+json")),
    security(("api_key" = [])),
    extensions(("x-access" = json!({"permission": "lockdown", "group": "admin", "audit": "caller.lockdown"}))),
)]
/// Lock a caller in an incident: its keys open nothing, every live token that its grants give is revoked.
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
