//! The request for a token, and the remaining lifetime that a token must have to meet it.
//!
//! It owns no state and decides nothing: [`super::decision`] decides who may have a token, and
//! [`super::cache::TtlPolicy`] judges lifetimes.

use std::time::Duration;

use crate::auth::RequestContext;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::AccessRequest;
use crate::domain::restriction::Restriction;
use crate::domain::subject::Subject;
use crate::secret::SecretString;

/// The longest time that a caller waits for Box in all. Work that was begun continues without the caller.
pub const BOX_WAIT_LIMIT: Duration = Duration::from_secs(5);

/// A caller's request for a token.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// The Box user or service account whose token is requested.
    pub subject: Subject,
    /// The restriction of the token; `None` requests a full token.
    pub restriction: Option<Restriction>,
    /// The least remaining lifetime that the caller demands.
    pub min_ttl: Option<Duration>,
    /// A token that Box answered with 401, as the caller reports.
    pub rejected: Option<SecretString>,
    /// The person or job that the caller claims to act for. It does not select the token.
    pub on_behalf_of: Option<OnBehalfOf>,
}

impl TokenRequest {
    /// Returns the access that grants and the tenant's policy must allow. A browser session needs another
    /// permission for a restricted token than an API key does.
    pub(super) fn access_request(&self, context: &RequestContext) -> AccessRequest<'_> {
        let (subject, on_behalf_of) = (&self.subject, self.on_behalf_of.as_ref());
        match &self.restriction {
            Some(restriction) if context.is_of_a_session() => {
                AccessRequest::SessionToken { subject, restriction, on_behalf_of }
            }
            restriction => AccessRequest::Token { subject, restriction: restriction.as_ref(), on_behalf_of },
        }
    }
}

/// The remaining lifetime that a token must have to be of use.
#[derive(Clone, Copy, Debug)]
pub(super) enum TtlRequirement {
    /// It may be served: it lives longer than its floor and than the caller's `min_ttl`.
    Serve(Option<Duration>),
    /// It may be exchanged for a restricted token: it also lives longer than its renewal margin.
    Exchange(Option<Duration>),
    /// It is not due for renewal.
    Renew,
}

impl TtlRequirement {
    /// Returns the caller's `min_ttl`.
    pub(super) fn min_ttl(self) -> Option<Duration> {
        match self {
            Self::Serve(min_ttl) | Self::Exchange(min_ttl) => min_ttl,
            Self::Renew => None,
        }
    }

    /// Returns true if `min_ttl` is more than nine tenths of the lifetime that Box gives. To meet it would
    /// cost a mint for nearly every request.
    pub(super) fn exceeds(self, given: Duration) -> bool {
        self.min_ttl().is_some_and(|min_ttl| min_ttl > given - given / 10)
    }
}
