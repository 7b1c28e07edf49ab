//! The question that an admin asks about a token, and its judgement by the rules of a release.

use std::sync::Arc;

use crate::broker::TenantContext;
use crate::broker::decision::{Denial, first_allowed};
use crate::domain::caller::Caller;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::{AccessRequest, DecisionBasis};
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::store::{CallerRef, TenantRef};

/// The question: would this caller get such a token at this moment?
#[derive(Debug)]
pub struct ExplainQuery {
    /// The caller.
    pub caller: ExplainCaller,
    /// The tenant.
    pub tenant: TenantRef,
    /// The subject of the token.
    pub subject: Subject,
    /// The restriction of the token; `None` for a full token.
    pub restriction: Option<Restriction>,
    /// The person on whose behalf the caller would ask.
    pub on_behalf_of: Option<OnBehalfOf>,
}

/// The caller of an [`ExplainQuery`].
#[derive(Debug)]
pub enum ExplainCaller {
    /// The caller with this name or id; `None` for a text that cannot be either.
    Caller(Option<CallerRef>),
    /// The callers as which an OIDC token authenticates at this moment.
    Token(Vec<Arc<Caller>>),
}

/// The judgement of a query: the caller that gets the token and its grant, or the reason why none does.
pub(super) type Judgement<'a> = Result<(&'a Caller, DecisionBasis), Denial>;

impl ExplainQuery {
    /// Returns the request that a release would judge.
    pub(super) fn access_request(&self) -> AccessRequest<'_> {
        AccessRequest::Token {
            subject: &self.subject,
            restriction: self.restriction.as_ref(),
            on_behalf_of: self.on_behalf_of.as_ref(),
        }
    }

    /// Returns true if the token is judged as a full token.
    pub(super) fn is_for_a_full_token(&self) -> bool {
        self.restriction.as_ref().is_none_or(Restriction::is_full_access)
    }

    /// Returns the permission that the token needs, and the name of such a token.
    pub(super) fn permission_and_token(&self) -> (&'static str, &'static str) {
        if self.is_for_a_full_token() {
            ("tokens:mint", "a full token")
        } else {
            ("tokens:downscope", "a downscoped token")
        }
    }
}

/// Judges each caller and each of its grants separately, as a release does.
pub(super) fn judge<'a>(
    callers: &'a [Caller],
    view: &TenantContext,
    request: AccessRequest<'_>,
) -> Judgement<'a> {
    first_allowed(callers.iter().map(|caller| (caller, caller)), view, request)
}
