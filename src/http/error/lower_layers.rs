//! The errors of the layers below, as problems.

use axum::http::StatusCode;

use super::problems::{
    SOON, conflict, forbidden, internal, invalid, key_unavailable, not_found, overloaded,
    sealed_data_refused, seconds, store_unavailable,
};
use crate::box_api::BoxError;
use crate::broker::{OutageScope, TokenError};
use crate::crypto::CryptoError;
use crate::domain::box_refusal::BoxRefusal;
use crate::http::error::problem::{ErrorScope, Problem, UpstreamDetail};
use crate::registry::{FieldError, RegistryError};
use crate::store::{Conflict, StoreError};

pub(super) fn of_store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(cause) => store_unavailable().cause(cause),
        StoreError::Conflict(Conflict::Version | Conflict::InUse) => conflict("It was changed meanwhile."),
        StoreError::Conflict(_) => conflict("It is taken."),
        StoreError::Tampered { .. } => sealed_data_refused().cause(error),
        StoreError::KeyUnavailable { .. } => key_unavailable().cause(error),
        StoreError::Unexpected(cause) => internal().cause(cause),
    }
}

pub(super) fn of_crypto(what: &str, error: CryptoError) -> Problem {
    let cause = format!("{what}: {error}");
    match error {
        CryptoError::KeyUnavailable { .. } => key_unavailable().cause(cause),
        CryptoError::Wrapper(_) => key_unavailable().after(SOON).cause(cause),
        CryptoError::Refused => sealed_data_refused().cause(cause),
    }
}

pub(super) fn of_token(error: TokenError) -> Problem {
    if let Some(refusal) = error.refusal() {
        return of_refusal(refusal, &error);
    }
    let cause = error.to_string();
    match error {
        TokenError::Absent => not_found(),
        TokenError::Forbidden(rule) => forbidden().reason(rule.as_str()).cause(cause),
        TokenError::Suspended => Problem::new(
            StatusCode::FORBIDDEN,
            "tenant_suspended",
            "Tenant suspended",
            "The tenant, or the app that serves it, is out of service.",
        )
        .reach(ErrorScope::Tenant)
        .by_admin()
        .fix("Set the tenant's `state` (or the app's) to `active` again."),
        // Any other is tried at Box by the request itself, which answers with what came of that.
        TokenError::Pending => Problem::new(
            StatusCode::FORBIDDEN,
            "tenant_suspended",
            "Tenant not in service yet",
            "The tenant waits for the keypair that was made for it to be activated.",
        )
        .reach(ErrorScope::Tenant)
        .by_admin()
        .fix("Add the public key to the app in Box, then activate the keypair with the ID that Box shows."),
        TokenError::MinTtlUnavailable { asked, given } => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "min_ttl_unavailable",
            "Lifetime unavailable",
            format!(
                "Box gives tokens that live {} s, of which {} s cannot be promised.",
                given.as_secs(),
                asked.as_secs()
            ),
        )
        .reach(ErrorScope::Subject)
        .errors([FieldError::at("/min_ttl", "Ask for less.")]),
        TokenError::Box(error) => of_box(&error),
        TokenError::Store(error) => of_store(error),
        TokenError::Sealed { what, error } => of_crypto(what, error),
        TokenError::Corrupt(_) => sealed_data_refused().cause(cause),
        TokenError::Superseded => overloaded().reach(ErrorScope::Tenant).cause(cause),
        TokenError::Down { scope, error, retry_after } => {
            let reach = match scope {
                OutageScope::Subject => ErrorScope::Subject,
                OutageScope::Tenant => ErrorScope::Tenant,
                OutageScope::App => ErrorScope::App,
                OutageScope::Box => ErrorScope::Broker,
            };
            of_token(*error).reach(reach).after(seconds(retry_after)).cause(cause)
        }
        TokenError::Overloaded => overloaded().cause(cause),
        TokenError::Crashed => internal().cause(cause),
        // Told above, with every other refusal.
        TokenError::ForeignUser => of_refusal(BoxRefusal::SubjectInvalid, &error),
    }
}

pub(super) fn of_refusal(refusal: BoxRefusal, error: &TokenError) -> Problem {
    let reach = match refusal {
        _ if refusal.concerns_the_subject() => ErrorScope::Subject,
        _ if refusal.concerns_the_app() => ErrorScope::App,
        _ => ErrorScope::Tenant,
    };
    let mut problem = Problem::new(
        StatusCode::FAILED_DEPENDENCY,
        refusal.code(),
        "Box refuses until it is fixed there",
        refusal.detail(),
    )
    .reach(reach)
    .by_admin()
    .fix(refusal.fix())
    .cause(error);
    if let TokenError::Box(error) = error
        && let BoxError::Refused { upstream, .. } = error.as_ref()
    {
        problem.upstream = Some(UpstreamDetail {
            error: upstream.error.clone(),
            error_description: upstream.error_description.clone(),
            request_id: upstream.request_id.clone(),
        });
    }
    problem
}

pub(super) fn of_box(error: &BoxError) -> Problem {
    let problem = match error {
        BoxError::RateLimited { retry_after } => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_rate_limited",
            "Box limits the rate",
            "Box limits the rate of this app's requests.",
        )
        .reach(ErrorScope::App)
        .after(seconds(*retry_after)),
        BoxError::Unavailable { retry_after, .. } => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_unavailable",
            "Box unavailable",
            "Box does not answer, or not in time.",
        )
        .reach(ErrorScope::Broker)
        .after(retry_after.map_or(SOON, seconds)),
        BoxError::Signing(_) => internal(),
        _ => Problem::new(
            StatusCode::BAD_GATEWAY,
            "upstream_protocol",
            "Box's answer made no sense",
            "Box's answer was not one that its documentation allows, so it was not used.",
        )
        .reach(ErrorScope::Tenant)
        .after(SOON),
    };
    problem.cause(error)
}

pub(super) fn of_registry(error: RegistryError) -> Problem {
    let cause = error.to_string();
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        RegistryError::Absent => not_found(),
        RegistryError::Forbidden(reason) => forbidden().reason(reason).cause(reason),
        RegistryError::Invalid(faults) => invalid(faults),
        RegistryError::BoxConfig(problems) => {
            // What is told first is mended first.
            let fix = problems.first().map(|problem| problem.fix);
            let faults: Vec<FieldError> =
                problems.into_iter().map(|problem| FieldError::at(problem.pointer, problem.detail)).collect();
            let detail = faults.first().map(|fault| fault.detail.clone()).unwrap_or_default();
            Problem {
                fix: fix.map(str::to_owned),
                ..Problem::new(unprocessable, "invalid_box_config", "Box config cannot be used", detail)
            }
            .errors(faults)
        }
        RegistryError::Key { pointer, problem } => {
            Problem::new(unprocessable, problem.code(), "Private key cannot be used", problem.to_string())
                .errors([FieldError::at(pointer, problem.to_string())])
                .fix(problem.fix())
        }
        RegistryError::Conflict(detail) => conflict(detail),
        RegistryError::Overtaken => {
            conflict("It was changed by somebody else at the same moment; read it and try again.")
        }
        RegistryError::Precondition => Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "precondition_failed",
            "Precondition failed",
            "It was changed since it was read; read it again.",
        ),
        RegistryError::Overloaded => overloaded().cause(cause),
        RegistryError::Token(error) => of_token(error),
    }
}
