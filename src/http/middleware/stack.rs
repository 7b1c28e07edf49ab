//! The one place where the layers are put together.

use axum::Router;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use super::access_log::AccessLogLayer;
use super::cors::CorsLayer;
use super::panic::PanicResponse;
use super::problem_document::ProblemDocumentLayer;
use super::refusal_audit::{AuditActions, RefusalAuditLayer};
use super::request_id::RequestIdLayer;
use crate::http::api::Api;
use crate::http::routes::browser_tokens;

/// Puts the layers around a router; `actions` are those of its routes. The outermost stands first.
///
/// Rate limits are no layer: whom a request counts for is known once its caller is, so the extractors count it. Nor
/// are limits on bodies and deadlines: the extractors bound each body, and each handler knows how long it may take.
pub(crate) fn with_middleware(router: Router<Api>, api: &Api, actions: AuditActions) -> Router<Api> {
    let layers = ServiceBuilder::new()
        // Outermost, so that each response names the id.
        .layer(RequestIdLayer::new(api.entropy.clone()))
        // Next, so that the line covers all that follows, and knows the id.
        .layer(AccessLogLayer::new(api.clone()))
        // Around the problem documents, because it records the problems that they leave with the response.
        .layer(RefusalAuditLayer::new(api.clone(), actions))
        // Around the problem documents, so that a page may read them; a preflight goes no further.
        .layer(CorsLayer::new(browser_tokens::PATH))
        // Around the panics, because they become problems as well.
        .layer(ProblemDocumentLayer)
        // Innermost, so that no panic takes the layers above with it.
        .layer(CatchPanicLayer::custom(PanicResponse));
    router.layer(layers)
}
