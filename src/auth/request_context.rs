//! The context of an authenticated request: its callers, its ID and its address.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::audit_event::{Actor, AuditContext, Credential};
use crate::domain::caller::Caller;
use crate::domain::policy::{self, AccessRequest, Decision, DenialReason};
use crate::domain::tenant::Tenant;
use crate::domain::trust::TokenClaims;

/// One caller that a credential authenticates.
#[derive(Clone, Debug)]
pub struct AuthenticatedCaller {
    /// The caller with its current grants.
    pub caller: Arc<Caller>,
    /// The credential that it used.
    pub credential: Credential,
}

impl AuthenticatedCaller {
    /// Returns the actor for the audit.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let Caller { id, name, .. } = &*self.caller;
        Actor::Caller { id: id.clone(), name: name.clone(), credential: self.credential.clone() }
    }

    /// Returns the audit context of an action by this caller, in this request and from this address.
    #[must_use]
    pub fn audit_context(&self, request_id: &str, peer: Option<IpAddr>) -> AuditContext {
        AuditContext {
            request_id: Some(request_id.to_owned()),
            peer,
            ..AuditContext::for_actor(self.actor())
        }
    }
}

/// The context of an authenticated request. An API key authenticates one caller; a token authenticates every
/// caller whose trust matches it, those with older trusts first. Each caller counts alone: a request must be
/// allowed to one of them by itself, and that one acts. So every judgement returns the context of the remaining
/// callers, and the audit names the first of those.
#[derive(Clone, Debug)]
#[must_use = "what was judged by some of the callers is done and recorded as theirs"]
pub struct RequestContext {
    pub(super) first: AuthenticatedCaller,
    /// Empty for an API key, so that it costs a warm request no allocation.
    pub(super) others: Vec<AuthenticatedCaller>,
    /// The claims of the credential if it is a token.
    pub(super) token: Option<Arc<TokenClaims>>,
    /// The time at which the credential expires by itself.
    pub expires_at: Option<Timestamp>,
    /// The address that the request came from.
    pub peer: Option<IpAddr>,
    /// The request's id; empty until the request's extractor fills it in.
    pub request_id: Arc<str>,
}

impl RequestContext {
    /// Creates the context of an API key's or a browser session's only caller.
    pub(super) fn of_one(opened: AuthenticatedCaller, expires_at: Option<Timestamp>) -> Self {
        Self {
            first: opened,
            others: Vec::new(),
            token: None,
            expires_at,
            peer: None,
            request_id: Arc::default(),
        }
    }

    /// Creates the context of the callers that a token authenticates; `None` if there are none.
    pub(super) fn of_token(token: Arc<TokenClaims>, opened: Vec<AuthenticatedCaller>) -> Option<Self> {
        let expires_at = Some(token.expires_at);
        let mut opened = opened.into_iter();
        let first = opened.next()?;
        let others = opened.collect();
        let request_id = Arc::default();
        Some(Self { first, others, token: Some(token), expires_at, peer: None, request_id })
    }

    /// Returns the callers, each of which counts alone.
    pub fn callers(&self) -> impl Iterator<Item = &AuthenticatedCaller> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Returns the first caller, which is the only one of an API key.
    #[must_use]
    pub fn first(&self) -> &AuthenticatedCaller {
        &self.first
    }

    /// Returns true if the credential is a browser session, which releases only that session's tokens.
    #[must_use]
    pub fn is_of_a_session(&self) -> bool {
        matches!(self.first.credential, Credential::Session(_))
    }

    /// Returns true if the predicate holds for one of the callers.
    pub fn any(&self, suits: impl Fn(&Caller) -> bool) -> bool {
        self.callers().any(|opened| suits(&opened.caller))
    }

    /// Returns the context of the callers for which the predicate holds; `None` if there are none.
    pub fn those(&self, suits: impl Fn(&Caller) -> bool) -> Option<Self> {
        let mut left = self.callers().filter(|opened| suits(&opened.caller)).cloned();
        let first = left.next()?;
        let others = left.collect();
        Some(Self {
            first,
            others,
            token: self.token.clone(),
            request_id: Arc::clone(&self.request_id),
            ..*self
        })
    }

    /// Returns the first caller that may do what is requested: each is judged alone, then by the tenant's
    /// policy.
    ///
    /// # Errors
    /// The reason why none may: the rule that came furthest, which is the most useful in the audit; `None` if
    /// no caller has a grant on the tenant, which then does not exist for them.
    pub fn decide(
        &self,
        tenant: &Tenant,
        ask: AccessRequest<'_>,
    ) -> Result<&AuthenticatedCaller, Option<DenialReason>> {
        let mut nearest = None;
        for opened in self.callers() {
            match judge(&opened.caller, tenant, ask) {
                Decision::Allowed(_) => return Ok(opened),
                Decision::Forbidden(rule) => nearest = nearest.max(Some(rule)),
                Decision::TenantHidden => {}
            }
        }
        Err(nearest)
    }

    /// Returns the context of the callers that may do what is requested.
    ///
    /// # Errors
    /// The same as [`RequestContext::decide`].
    pub fn those_allowed(
        &self,
        tenant: &Tenant,
        ask: AccessRequest<'_>,
    ) -> Result<Self, Option<DenialReason>> {
        let may = |caller: &Caller| matches!(judge(caller, tenant, ask), Decision::Allowed(_));
        match self.those(may) {
            Some(those) => Ok(those),
            None => Err(self.decide(tenant, ask).err().flatten()),
        }
    }

    /// Returns the audit context of an action by the first of the remaining callers.
    #[must_use]
    pub fn audit_context(&self) -> AuditContext {
        self.audit_context_of(&self.first)
    }

    /// Returns the audit context of an action by one of the callers.
    #[must_use]
    pub fn audit_context_of(&self, caller: &AuthenticatedCaller) -> AuditContext {
        caller.audit_context(&self.request_id, self.peer)
    }
}

fn judge(caller: &Caller, tenant: &Tenant, ask: AccessRequest<'_>) -> Decision {
    policy::decide(&caller.grants, &tenant.id, &tenant.labels, &tenant.policy, ask)
}
