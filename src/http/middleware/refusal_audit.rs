//! The layer that records refused and failed requests in the audit.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;
use tower::{Layer, Service};

use super::response_hook::{ResponseHook, ResponseHookFuture};
use crate::domain::audit_event::AuditAction;
use crate::http::api::Api;
use crate::http::error::problem::Problem;
use crate::http::request_log::RequestLog;
use crate::http::route::Route;

/// The audit action of each operation, by path and method.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditActions(Arc<HashMap<(String, Method), AuditAction>>);

impl AuditActions {
    pub(crate) fn of(routes: &[Route]) -> Self {
        let action =
            |route: &Route| Some(((route.path().to_owned(), route.method().clone()), route.audit()?));
        Self(Arc::new(routes.iter().filter_map(action).collect()))
    }

    fn get(&self, path: &str, method: &Method) -> Option<AuditAction> {
        self.0.get(&(path.to_owned(), method.clone())).copied()
    }
}

/// Counts each request to an operation that was refused or failed, for the audit.
#[derive(Clone, Debug)]
pub(super) struct RefusalAuditLayer {
    api: Api,
    actions: AuditActions,
}

impl RefusalAuditLayer {
    pub(super) fn new(api: Api, actions: AuditActions) -> Self {
        Self { api, actions }
    }
}

impl<S> Layer<S> for RefusalAuditLayer {
    type Service = RefusalAuditService<S>;

    fn layer(&self, inner: S) -> RefusalAuditService<S> {
        RefusalAuditService { inner, layer: self.clone() }
    }
}

/// The service of [`RefusalAuditLayer`].
#[derive(Clone, Debug)]
pub(super) struct RefusalAuditService<S> {
    inner: S,
    layer: RefusalAuditLayer,
}

impl<S, B> Service<Request> for RefusalAuditService<S>
where
    S: Service<Request, Response = Response<B>>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = ResponseHookFuture<S::Future, RefusalAuditHook>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let log = request.extensions().get::<RequestLog>().cloned().unwrap_or_default();
        let hook = RefusalAuditHook { layer: self.layer.clone(), log };
        ResponseHookFuture::new(self.inner.call(request), hook)
    }
}

/// The part of [`RefusalAuditService`] that runs once the response is there.
#[derive(Debug)]
pub(super) struct RefusalAuditHook {
    layer: RefusalAuditLayer,
    log: RequestLog,
}

impl RefusalAuditHook {
    fn record(&self, problem: &Problem) {
        let RefusalAuditLayer { api, actions } = &self.layer;
        let target = self.log.target();
        let Some(route) = target.matched_path() else { return };
        let at = api.clock.wall();
        let Some(action) = actions.get(route, &target.method) else { return };
        if let Some(event) = self.log.event(&api.broker, action, problem, at) {
            api.broker.audit().count_refusal(event);
        }
    }
}

impl<B> ResponseHook<B> for RefusalAuditHook {
    type Body = B;

    fn apply(self, response: Response<B>) -> Response<B> {
        if let Some(problem) = response.extensions().get::<Arc<Problem>>() {
            self.record(problem);
        }
        response
    }
}
