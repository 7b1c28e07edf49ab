//! The problems that several errors share.

use std::time::Duration;

use axum::http::StatusCode;

use crate::auth::IssuerUnavailable;
use crate::http::error::problem::{ErrorScope, Problem};
use crate::registry::FieldError;

/// The default of `retry_after`, in seconds.
pub(super) const SOON: u64 = 1;
/// The `retry_after` of problems that last until somebody restores a key, in seconds.
const LATER: u64 = 60;

pub(super) fn unauthenticated() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "Not authenticated",
        "Send `Authorization: Bearer` with a live API key of this broker, or with a live token of an OIDC \
         issuer that a caller's trust matches.",
    )
}

pub(super) fn rate_limited(reach: ErrorScope, retry_after: Duration) -> Problem {
    let whose = match reach {
        ErrorScope::Tenant => "More requests come for this tenant than its limit allows.",
        _ => "More requests come from this caller, or from this address, than the limit allows.",
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", whose)
        .reach(reach)
        .after(seconds(retry_after))
}

pub(super) fn issuer_down(down: &IssuerUnavailable) -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "upstream_unavailable",
        "Token issuer unavailable",
        format!(
            "The issuer of the token that this call came with, {}, does not give its keys, so the token cannot \
             be judged.",
            down.issuer
        ),
    )
    .reach(ErrorScope::Broker)
    .after(seconds(down.retry_after))
    .cause(down)
}

pub(super) fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "Not found",
        "There is no such thing here, or none that this caller may know of.",
    )
}

pub(super) fn forbidden() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "Forbidden",
        "The caller's grants and the tenant's policy do not allow this.",
    )
}

pub(super) fn invalid(faults: Vec<FieldError>) -> Problem {
    let detail = match faults.as_slice() {
        [only] => only.detail.clone(),
        several => format!("{} fields cannot be accepted; `errors` names each.", several.len()),
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", detail).errors(faults)
}

pub(super) fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        "The broker failed in a way that it should not; its log has the reason under the request's id.",
    )
    .reach(ErrorScope::Broker)
}

pub(super) fn overloaded() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Overloaded",
        "The broker has more to do than it can take on at the moment.",
    )
    .reach(ErrorScope::Broker)
    .after(SOON)
}

pub(super) fn store_unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "store_unavailable",
        "Store unavailable",
        "The broker's database does not answer, so nothing can be recorded or looked up.",
    )
    .reach(ErrorScope::Broker)
    .after(SOON)
}

pub(super) fn key_unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "key_unavailable",
        "Key unavailable",
        "What is stored for this cannot be opened: its key is not in the broker's key set.",
    )
    .reach(ErrorScope::Tenant)
    .after(LATER)
    .fix("Put the key back into the broker's key set, under the id that the log names, and restart.")
}

pub(super) fn sealed_data_refused() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "sealed_data_refused",
        "Stored data refused",
        "What is stored for this is not what the broker wrote, so it is not used.",
    )
    .reach(ErrorScope::Tenant)
    .by_admin()
    .fix("Find out who changed the database, and restore the rows that the log names from a backup.")
}

pub(super) fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
}

/// Returns a time in whole seconds for `Retry-After`, rounded up so that no client comes back too early.
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
