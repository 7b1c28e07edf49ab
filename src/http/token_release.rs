//! The release of a token: decided at that moment, counted for the audit, and answered with its times.

use std::time::Duration;

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::broker::{AccessToken, ReleasedToken, TokenError, TokenRelease, TokenRequest};
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::policy::DenialReason;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::AuthenticatedRequest;
use crate::store::TenantRef;

/// The time after which to ask again for a token that is being renewed.
const SOON: SignedDuration = SignedDuration::from_secs(5);

/// The number of attempts to get a token while changes keep overtaking it.
pub(crate) const ROUNDS: usize = 4;

/// The token, judged by what holds when it leaves, and the caller whose grant decided then. A body may be
/// slow to arrive and a mint takes its time: grants, policy and state that changed meanwhile count, and a token
/// that is older than the tenant's credentials of that moment is asked for again.
pub(crate) async fn current(
    api: &Api,
    caller: &AuthenticatedRequest,
    tenant: &TenantRef,
    wanted: &TokenRequest,
) -> Result<ReleasedToken, ApiError> {
    let mut context = caller.context.clone();
    let mut tried = false;
    for _ in 0..ROUNDS {
        let given = match api.broker.token(&context, tenant, wanted).await {
            // The tenant's first request tries it; whoever comes meanwhile waits for the same trial.
            Err(TokenError::Pending) if !tried => {
                tried = true;
                api.registry.pending_tenants.verify(tenant).await?;
                continue;
            }
            given => given?,
        };
        if api.change_feed.nothing_changed_since(&caller.since) {
            return Ok(given);
        }
        context = api.authenticator.again(&caller.context).await?;
        let (view, (by, basis)) = api.broker.authorize(&context, tenant, wanted).await?;
        if given.token.key.generation == view.generation() {
            return Ok(ReleasedToken { basis, by: by.clone(), ..given });
        }
    }
    Err(TokenError::Superseded.into())
}

/// Counts the release of a token.
pub(crate) fn count(
    api: &Api,
    caller: &AuthenticatedRequest,
    on_behalf_of: Option<&OnBehalfOf>,
    given: &ReleasedToken,
) {
    api.broker.audit().count_release(&TokenRelease {
        by: &given.by,
        peer: caller.context.peer,
        request_id: &caller.context.request_id,
        on_behalf_of,
        token: &given.token,
        reason: given.basis.waived.map(DenialReason::observed_name),
    });
}

/// The times of a token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenTimes {
    /// The remaining lifetime.
    pub(crate) left: Duration,
    /// The time at which it expires.
    pub(crate) expires_at: Timestamp,
    /// The time at which to ask again.
    pub(crate) refresh_at: Timestamp,
}

/// Returns the times of a token, from now on.
pub(crate) fn times(token: &AccessToken, api: &Api) -> TokenTimes {
    let clock = api.clock.as_ref();
    let now = clock.wall();
    let left = token.lifetime.left(clock);
    let expires_at = token.lifetime.ends_at().min(after(now, left));
    // By then it is renewed; those who have it come back at different times.
    let mut random = [0];
    api.entropy.fill(&mut random);
    let spread = token.renewal.margin / 10 * u32::from(random[0]) / 255;
    let due = expires_at.checked_sub(signed(token.renewal.margin - spread)).unwrap_or(now);
    let refresh_at = if due > now { due } else { now.checked_add(SOON).unwrap_or(now).min(expires_at) };
    TokenTimes { left, expires_at, refresh_at }
}

/// Returns the response with a body that holds a token.
pub(crate) fn token_response(body: &impl Serialize, token: &AccessToken) -> Response {
    // In one piece: a buffer that grows leaves copies of the token behind.
    let restricted = token.restricted_to.as_ref().map_or(0, Vec::len);
    let mut bytes = Vec::with_capacity(512 + token.secret.expose().len() + restricted * 128);
    // Texts and numbers always serialise, and memory takes every byte.
    let _ = serde_json::to_writer(&mut bytes, body);
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, bytes).into_response()
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

fn after(now: Timestamp, left: Duration) -> Timestamp {
    now.checked_add(signed(left)).unwrap_or(Timestamp::MAX)
}

/// Returns a time in whole seconds, as responses have it.
pub(crate) fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}
