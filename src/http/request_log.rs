//! What becomes known of a request while it is handled, for the log line and the audit.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::auth::RequestContext;
use crate::broker::TokenRequest;
use crate::domain::audit_event::{Actor, AuditContext, AuditEvent, AuditOutcome};
use crate::domain::id::CallerId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::domain::session::BrowserSession;
use crate::domain::subject::Subject;
use crate::http::Api;
use crate::http::error::problem::Problem;
use crate::http::extract::PathParam;
use crate::registry::SessionSpec;
use crate::store::TenantRef;

/// What a request's handler tells of it, whatever becomes of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLog {
    request_id: Arc<str>,
    peer: Option<IpAddr>,
    told: Arc<Mutex<AuditDetail>>,
}

#[derive(Debug, Default)]
struct AuditDetail {
    context: Option<RequestContext>,
    tenant: Option<TenantRef>,
    asked: Option<RequestedToken>,
    session: Option<Arc<BrowserSession>>,
}

/// What token or session was asked for.
#[derive(Debug)]
struct RequestedToken {
    subject: Subject,
    scopes: Option<ScopeSet>,
    resource: Option<Resource>,
    on_behalf_of: Option<OnBehalfOf>,
}

/// Where a request was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestTarget<'a> {
    pub(crate) method: &'a Method,
    /// The route, such as `/v1/tenants/{tenant}`.
    pub(crate) route: &'a str,
    /// The path itself.
    pub(crate) path: &'a str,
}

impl RequestLog {
    /// Creates the log of the request with this id from this address.
    pub(crate) fn new(request_id: Arc<str>, peer: Option<IpAddr>) -> Self {
        Self { request_id, peer, told: Arc::default() }
    }

    /// Returns the request's id.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Fills the request's id and address into the context of a caller that was just authenticated.
    pub(crate) fn complete(&self, context: &mut RequestContext) {
        context.request_id = Arc::clone(&self.request_id);
        context.peer = self.peer;
    }

    /// The address that the request came from.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.peer
    }

    /// Takes note of who calls.
    pub(crate) fn caller(&self, context: &RequestContext) {
        self.told().context = Some(context.clone());
    }

    /// Takes note of the tenant that a request is about whose path names none.
    pub(crate) fn tenant(&self, tenant: &TenantRef) {
        self.told().tenant = Some(tenant.clone());
    }

    /// Takes note of what token was asked for, where it does not leave.
    pub(crate) fn asked(&self, wanted: &TokenRequest) {
        let restriction = wanted.restriction.as_ref();
        self.told().asked = Some(RequestedToken {
            subject: wanted.subject.clone(),
            scopes: restriction.map(|restriction| restriction.scopes.clone()),
            resource: restriction.and_then(|restriction| restriction.target.resource().cloned()),
            on_behalf_of: wanted.on_behalf_of.clone(),
        });
    }

    /// Takes note of what session was asked for, where it is not opened.
    pub(crate) fn asked_session(&self, new: &SessionSpec) {
        self.told().asked = Some(RequestedToken {
            subject: new.subject.clone(),
            scopes: Some(new.read.clone()),
            resource: new.resources.first().cloned(),
            on_behalf_of: new.on_behalf_of.clone(),
        });
    }

    /// Takes note of the browser session that the request came with, be it good or over.
    pub(crate) fn session(&self, session: &Arc<BrowserSession>) {
        self.told().session = Some(Arc::clone(session));
    }

    /// Who calls, where that is known; of several callers whom a token opens, the first.
    pub(crate) fn caller_id(&self) -> Option<CallerId> {
        self.told().context.as_ref().map(|context| context.first().caller.id.clone())
    }

    /// The record of a request that ended in a problem; `None` for what the audit is not about: requests
    /// that make no sense, and collisions.
    pub(crate) fn event(
        &self,
        api: &Api,
        target: RequestTarget<'_>,
        problem: &Problem,
        at: Timestamp,
    ) -> Option<AuditEvent> {
        let action = api.action(target.route, target.method)?;
        let outcome = outcome(problem.status)?;
        let told = self.told();
        let cause = match &told.context {
            Some(context) => context.audit_context(),
            None => AuditContext {
                request_id: Some(self.request_id.to_string()),
                peer: self.peer,
                ..AuditContext::for_actor(Actor::Unknown)
            },
        };
        let mut event = AuditEvent {
            outcome,
            reason: Some(problem.reason.unwrap_or(problem.code).to_owned()),
            ..cause.event(at, action)
        };
        if let Some(session) = &told.session {
            event.tenant = Some(session.tenant.clone());
            event.subject = Some(session.subject.clone());
            event.on_behalf_of.clone_from(&session.on_behalf_of);
            event.detail = Some(session.id.to_string());
            return Some(event);
        }
        // Whoever is unknown asks for whatever comes to their mind.
        if told.context.is_some() {
            let named = target.tenant().or_else(|| told.tenant.clone());
            let tenant = named.and_then(|tenant| api.broker.tenants().cached_id(&tenant));
            // A tenant's story is its own: whoever has no grant on it is no part of it.
            match problem.status {
                StatusCode::NOT_FOUND => event.detail = tenant.map(|tenant| format!("asked for {tenant}")),
                _ => event.tenant = tenant,
            }
            if let Some(asked) = &told.asked {
                event.subject = Some(asked.subject.clone());
                event.scopes.clone_from(&asked.scopes);
                event.resource.clone_from(&asked.resource);
                event.on_behalf_of.clone_from(&asked.on_behalf_of);
            }
        }
        Some(event)
    }

    fn told(&self) -> MutexGuard<'_, AuditDetail> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestTarget<'_> {
    /// The tenant that the path names.
    fn tenant(&self) -> Option<TenantRef> {
        let mut parts = self.route.split('/').zip(self.path.split('/'));
        let (_, text) = parts.find(|(name, _)| *name == "{tenant}")?;
        TenantRef::parse(&percent_decode_str(text).decode_utf8().ok()?)
    }
}

/// How the audit sees a problem of that status.
fn outcome(status: StatusCode) -> Option<AuditOutcome> {
    match status {
        StatusCode::UNAUTHORIZED
        | StatusCode::FORBIDDEN
        | StatusCode::NOT_FOUND
        | StatusCode::TOO_MANY_REQUESTS => Some(AuditOutcome::Refused),
        StatusCode::FAILED_DEPENDENCY => Some(AuditOutcome::Failed),
        _ if status.is_server_error() => Some(AuditOutcome::Failed),
        _ => None,
    }
}
