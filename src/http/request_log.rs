//! The facts about a request that the log line and the audit need.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode, Uri};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::auth::RequestContext;
use crate::broker::{Broker, TokenRequest};
use crate::domain::audit_event::{Actor, AuditAction, AuditContext, AuditEvent, AuditOutcome};
use crate::domain::id::CallerId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::domain::session::BrowserSession;
use crate::domain::subject::Subject;
use crate::http::error::problem::Problem;
use crate::http::extract::PathParam;
use crate::registry::SessionSpec;
use crate::store::TenantRef;

/// The log of one request, which extractors and handlers fill in while they work.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLog(Arc<RequestRecord>);

#[derive(Debug, Default)]
struct RequestRecord {
    request_id: Arc<str>,
    peer: Option<IpAddr>,
    target: RequestTarget,
    detail: Mutex<AuditDetail>,
}

#[derive(Debug, Default)]
struct AuditDetail {
    context: Option<RequestContext>,
    tenant: Option<TenantRef>,
    asked: Option<RequestedToken>,
    session: Option<Arc<BrowserSession>>,
}

/// The token or session that a request asked for.
#[derive(Debug)]
struct RequestedToken {
    subject: Subject,
    scopes: Option<ScopeSet>,
    resource: Option<Resource>,
    on_behalf_of: Option<OnBehalfOf>,
}

/// The method, route and URI of a request.
#[derive(Debug, Default)]
pub(crate) struct RequestTarget {
    pub(crate) method: Method,
    /// The route, such as `/v1/tenants/{tenant}`; `None` if no route matched.
    pub(crate) route: Option<MatchedPath>,
    pub(crate) uri: Uri,
}

impl RequestLog {
    /// Creates the log of the request with this id from this address.
    pub(crate) fn new(request_id: Arc<str>, peer: Option<IpAddr>, target: RequestTarget) -> Self {
        Self(Arc::new(RequestRecord { request_id, peer, target, detail: Mutex::default() }))
    }

    /// Returns the request's method, route and URI.
    pub(crate) fn target(&self) -> &RequestTarget {
        &self.0.target
    }

    /// Returns the request's id.
    pub(crate) fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// Fills the request's id and address into the context of a caller that was just authenticated.
    pub(crate) fn fill_in(&self, context: &mut RequestContext) {
        context.request_id = Arc::clone(&self.0.request_id);
        context.peer = self.0.peer;
    }

    /// Returns the client's address.
    pub(crate) fn peer(&self) -> Option<IpAddr> {
        self.0.peer
    }

    /// Records the caller.
    pub(crate) fn set_caller(&self, context: &RequestContext) {
        self.detail().context = Some(context.clone());
    }

    /// Records the tenant of a request whose path names none.
    pub(crate) fn set_tenant(&self, tenant: &TenantRef) {
        self.detail().tenant = Some(tenant.clone());
    }

    /// Records the token that was asked for and refused.
    pub(crate) fn set_token_request(&self, wanted: &TokenRequest) {
        let restriction = wanted.restriction.as_ref();
        self.detail().asked = Some(RequestedToken {
            subject: wanted.subject.clone(),
            scopes: restriction.map(|restriction| restriction.scopes.clone()),
            resource: restriction.and_then(|restriction| restriction.target.resource().cloned()),
            on_behalf_of: wanted.on_behalf_of.clone(),
        });
    }

    /// Records the session that was asked for.
    pub(crate) fn set_session_request(&self, new: &SessionSpec) {
        self.detail().asked = Some(RequestedToken {
            subject: new.subject.clone(),
            scopes: Some(new.read.clone()),
            resource: new.resources.first().cloned(),
            on_behalf_of: new.on_behalf_of.clone(),
        });
    }

    /// Records the browser session of the request, valid or not.
    pub(crate) fn set_session(&self, session: &Arc<BrowserSession>) {
        self.detail().session = Some(Arc::clone(session));
    }

    /// Returns the caller's id, if it is known; of several callers, the first.
    pub(crate) fn caller_id(&self) -> Option<CallerId> {
        self.detail().context.as_ref().map(|context| context.first().caller.id.clone())
    }

    /// Returns the audit record of a request that ended in a problem; `None` for problems that the audit does not
    /// record: invalid requests and conflicts.
    pub(crate) fn event(
        &self,
        broker: &Broker,
        action: AuditAction,
        problem: &Problem,
        at: Timestamp,
    ) -> Option<AuditEvent> {
        let outcome = outcome(problem.status)?;
        let detail = self.detail();
        let cause = match &detail.context {
            Some(context) => context.audit_context(),
            None => AuditContext {
                request_id: Some(self.0.request_id.to_string()),
                peer: self.0.peer,
                ..AuditContext::for_actor(Actor::Unknown)
            },
        };
        let mut event = AuditEvent {
            outcome,
            reason: Some(problem.reason.unwrap_or(problem.code).to_owned()),
            ..cause.event(at, action)
        };
        if let Some(session) = &detail.session {
            event.tenant = Some(session.tenant.clone());
            event.subject = Some(session.subject.clone());
            event.on_behalf_of.clone_from(&session.on_behalf_of);
            event.detail = Some(session.id.to_string());
            return Some(event);
        }
        // An unauthenticated client can name any tenant.
        if detail.context.is_some() {
            let named = self.0.target.tenant().or_else(|| detail.tenant.clone());
            let tenant = named.and_then(|tenant| broker.tenants().cached_id(&tenant));
            // A caller without a grant on the tenant must not appear in the tenant's audit.
            match problem.status {
                StatusCode::NOT_FOUND => event.detail = tenant.map(|tenant| format!("asked for {tenant}")),
                _ => event.tenant = tenant,
            }
            if let Some(asked) = &detail.asked {
                event.subject = Some(asked.subject.clone());
                event.scopes.clone_from(&asked.scopes);
                event.resource.clone_from(&asked.resource);
                event.on_behalf_of.clone_from(&asked.on_behalf_of);
            }
        }
        Some(event)
    }

    fn detail(&self) -> MutexGuard<'_, AuditDetail> {
        self.0.detail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RequestTarget {
    /// Returns the route, such as `/v1/tenants/{tenant}`.
    pub(crate) fn matched_path(&self) -> Option<&str> {
        self.route.as_ref().map(MatchedPath::as_str)
    }

    /// Returns the tenant that the path names.
    fn tenant(&self) -> Option<TenantRef> {
        let mut parts = self.matched_path()?.split('/').zip(self.uri.path().split('/'));
        let (_, text) = parts.find(|(name, _)| *name == "{tenant}")?;
        TenantRef::parse(&percent_decode_str(text).decode_utf8().ok()?)
    }
}

/// Returns the outcome that the audit records for a status.
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
