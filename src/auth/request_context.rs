//! Who calls: the caller of an API key, or every caller whose trust matches a token.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::audit_event::{Actor, AuditContext, Credential};
use crate::domain::caller::Caller;
use crate::domain::policy::{self, AccessRequest, Decision, DenialReason};
use crate::domain::tenant::Tenant;
use crate::domain::trust::TokenClaims;

/// One caller whom a credential opens.
#[derive(Clone, Debug)]
pub struct AuthenticatedCaller {
    /// The caller, with the grants of the moment.
    pub caller: Arc<Caller>,
    /// What it came with.
    pub credential: Credential,
}

impl AuthenticatedCaller {
    /// Who acts, for the record.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let Caller { id, name, .. } = &*self.caller;
        Actor::Caller { id: id.clone(), name: name.clone(), credential: self.credential.clone() }
    }

    /// Who acts in which request and from where, for the record.
    #[must_use]
    pub fn audit_context(&self, request_id: &str, peer: Option<IpAddr>) -> AuditContext {
        AuditContext {
            request_id: Some(request_id.to_owned()),
            peer,
            ..AuditContext::for_actor(self.actor())
        }
    }
}

/// Who calls. An API key opens one caller; a token opens each whose trust matches it, the older trusts'
/// first. Each counts alone: what is asked must be allowed to one of them by itself, and that one is
/// the one who acts. So whatever judges hands back the context that is left, and the record names the
/// first of those.
#[derive(Clone, Debug)]
#[must_use = "what was judged by some of the callers is done and recorded as theirs"]
pub struct RequestContext {
    pub(super) first: AuthenticatedCaller,
    /// Empty for an API key, so that it costs a warm request no allocation.
    pub(super) others: Vec<AuthenticatedCaller>,
    /// What it came with, where that is a token.
    pub(super) token: Option<Arc<TokenClaims>>,
    /// When the credential ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The address that the request came from.
    pub peer: Option<IpAddr>,
    /// The request's id; empty until the request's extractor fills it in.
    pub request_id: Arc<str>,
}

impl RequestContext {
    /// The one caller of an API key or a browser session.
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

    /// The callers whom a token opens; `None` where it opens nobody.
    pub(super) fn of_token(token: Arc<TokenClaims>, opened: Vec<AuthenticatedCaller>) -> Option<Self> {
        let expires_at = Some(token.expires_at);
        let mut opened = opened.into_iter();
        let first = opened.next()?;
        let others = opened.collect();
        let request_id = Arc::default();
        Some(Self { first, others, token: Some(token), expires_at, peer: None, request_id })
    }

    /// The callers, each of whom counts alone.
    pub fn callers(&self) -> impl Iterator<Item = &AuthenticatedCaller> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The first of the callers; an API key's only one.
    #[must_use]
    pub fn first(&self) -> &AuthenticatedCaller {
        &self.first
    }

    /// True where it came with a browser session, by which nothing but that session's tokens may leave.
    #[must_use]
    pub fn is_of_a_session(&self) -> bool {
        matches!(self.first.credential, Credential::Session(_))
    }

    /// True where one of the callers suits.
    pub fn any(&self, suits: impl Fn(&Caller) -> bool) -> bool {
        self.callers().any(|opened| suits(&opened.caller))
    }

    /// The context of those callers that suit; `None` where none does.
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

    /// The first caller that may do what is asked, each judged alone, then by the tenant's policy.
    ///
    /// # Errors
    /// Why none may: the rule that came furthest, which tells the reader of the audit most, or `None` where
    /// no caller has a grant on the tenant, and to them it does not exist.
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

    /// The context of those callers that may do what is asked.
    ///
    /// # Errors
    /// As those of [`RequestContext::decide`].
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
