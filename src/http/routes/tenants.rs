//! `/v1/tenants…` for admins.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa_axum::routes;

use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::id::BoxId;
use crate::domain::tenant::TenantState;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::body::{Json, MergePatch};
use crate::http::extract::{AuthenticatedRequest, IfMatch, PathParams, cursor, page};
use crate::http::responses::ListResponse;
use crate::http::route::Route;
use crate::http::routes::registration;
use crate::http::routes::tenant_response::{TenantResponse, respond};
use crate::http::run_detached::run_detached;
use crate::http::schema::patches::TenantPatchSchema;
use crate::registry::HealthState;
use crate::registry::diagnosis::CheckResult;
use crate::store::{PageRequest, TenantFilter, TenantRef};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::TenantsCreate, AuditAction::TenantCreate, routes!(registration::register)),
        Route::admin(Permission::TenantsRead, AuditAction::TenantRead, routes!(list)),
        Route::admin(Permission::TenantsRead, AuditAction::TenantRead, routes!(read)),
        Route::admin(Permission::TenantsWrite, AuditAction::TenantUpdate, routes!(patch)),
        Route::admin(Permission::TenantsDelete, AuditAction::TenantDelete, routes!(delete)),
        Route::admin(Permission::TenantsTest, AuditAction::TenantTest, routes!(test)),
    ]
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListTenantsQuery {
    /// The maximum number of tenants: 1 to 200; 50 if omitted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
    /// `key:value`: tenants with this label.
    label: Option<String>,
    /// Tenants in this state.
    state: Option<TenantState>,
    /// Tenants with this health.
    health: Option<HealthState>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DeleteQuery {
    /// `now` erases at once and for good; needs `tenants:purge`.
    #[param(value_type = Option<String>)]
    purge: Option<PurgeMode>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PurgeMode {
    Now,
}

/// The test to run.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestRequest {
    /// A user to test user tokens and the as-user header with.
    #[schema(value_type = Option<String>)]
    user: Option<BoxId>,
}

/// The checks between a tenant and Box.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct TestResponse {
    /// One line for each check.
    diagnosis: Vec<CheckResult>,
}

#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants", operation_id = "list_tenants",
    params(ListTenantsQuery),
    responses((status = 200, description = "A page of the list", body = ListResponse<TenantResponse>)),
)]
/// List tenants.
async fn list(
    State(api): State<Api>,
    caller: AuthenticatedRequest<ListTenantsQuery>,
) -> Result<Response, ApiError> {
    let (filter, page) = parse_list_query(&caller.query)?;
    let listing = api.registry.tenants.list(&caller.context, (&filter, caller.query.health), page).await?;
    let items = listing.items.iter().map(|view| TenantResponse::of(&api, view)).collect();
    let body = ListResponse { items, next_cursor: listing.next.as_ref().map(cursor) };
    Ok(axum::Json(body).into_response())
}

/// Which tenants a query asks for, and which stretch of them.
pub(crate) fn parse_list_query(query: &ListTenantsQuery) -> Result<(TenantFilter, PageRequest), ApiError> {
    let labels = match &query.label {
        None => BTreeMap::new(),
        Some(label) => {
            let (key, value) = label
                .split_once(':')
                .ok_or_else(|| ApiError::invalid("/label", "A label is written `key:value`."))?;
            BTreeMap::from([(key.to_owned(), value.to_owned())])
        }
    };
    let page = page(query.limit.as_deref(), query.cursor.as_deref())?;
    Ok((TenantFilter { labels, state: query.state }, page))
}

#[utoipa::path(
    get, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "read_tenant",
    responses((status = 200, description = "The tenant", body = TenantResponse)),
)]
/// Read a tenant.
async fn read(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
) -> Result<Response, ApiError> {
    Ok(respond(&api, &*api.registry.tenants.get(&caller.context, &tenant).await?))
}

#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "patch_tenant",
    params(("If-Match" = Option<String>, Header, description = "The `ETag` that it must still have")),
    request_body(content = TenantPatchSchema, content_type = "application/merge-patch+json"),
    responses((status = 200, description = "The tenant after the change", body = TenantResponse)),
)]
/// Change a tenant's display name, labels, policy or state.
async fn patch(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    IfMatch(expected): IfMatch,
    MergePatch(patch): MergePatch<Value>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    let view = api.registry.tenants.patch(&caller.context, &tenant, &patch, expected).await?;
    Ok(respond(&api, &view))
}

#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "delete_tenant",
    params(DeleteQuery, ("If-Match" = Option<String>, Header, description = "The `ETag` that it must still have")),
    responses((status = 204, description = "It is out of service")),
)]
/// Take a tenant out of service; it can be restored until `purge_at`.
async fn delete(
    State(api): State<Api>,
    caller: AuthenticatedRequest<DeleteQuery>,
    PathParams(tenant): PathParams<TenantRef>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode, ApiError> {
    let now = matches!(caller.query.purge, Some(PurgeMode::Now));
    api.registry.tenants.delete(&caller.context, &tenant, now, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/test", tag = "tenants", operation_id = "test_tenant",
    request_body(content = Option<TestRequest>),
    responses((status = 200, description = "One line for each check", body = TestResponse)),
)]
/// Test what works between a tenant and Box.
async fn test(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    body: Option<Json<TestRequest>>,
) -> Result<axum::Json<TestResponse>, ApiError> {
    let caller = caller.now(&api).await?;
    let TestRequest { user } = body.map(|Json(body)| body).unwrap_or_default();
    let diagnosis = run_detached(api.tasks.clone(), async move {
        api.registry.tenants.test(&caller.context, &tenant, user.as_ref()).await
    })
    .await?;
    Ok(axum::Json(TestResponse { diagnosis }))
}
