//! The router of a listener.

use axum::Router;

use crate::http::api::Api;
use crate::http::error::ApiError;
use crate::http::middleware::refusal_audit::AuditActions;
use crate::http::middleware::stack::with_middleware;
use crate::http::openapi::reference_routes;
use crate::http::route::RouteGroup;
use crate::http::routes;

/// Returns the router of a listener that serves `groups`.
pub fn router(api: Api, groups: &[RouteGroup]) -> Router {
    let mut routes = routes::all();
    routes.retain(|route| groups.contains(&route.group()));
    let actions = AuditActions::of(&routes);
    let mut router = routes.into_iter().fold(Router::new(), |router, route| route.mount_on(router));
    if groups.contains(&RouteGroup::Admin) {
        router = router.merge(reference_routes(&api));
    }
    let router = router
        .fallback(async || ApiError::NoRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    with_middleware(router, &api, actions).with_state(api)
}
