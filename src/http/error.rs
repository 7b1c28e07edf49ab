//! The one map from errors to problems: the layers below know nothing of HTTP.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::problem::{Problem, Reach, UpstreamWords};
use crate::auth::{AuthError, IssuerDown};
use crate::box_api::BoxError;
use crate::broker::{Extent, TokenError};
use crate::crypto::CryptoError;
use crate::domain::policy::Rule;
use crate::domain::refusal::Refusal;
use crate::registry::{Fault, RegistryError};
use crate::store::{Conflict, StoreError};

/// How soon to come back where nothing better is known, in seconds.
const SOON: u64 = 1;
/// How soon to come back where somebody has to put a key back first, in seconds.
const LATER: u64 = 60;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum ApiError {
    /// Too many requests came.
    RateLimited {
        /// Whom else the limit concerns.
        reach: Reach,
        /// How long to wait.
        retry_after: Duration,
    },
    /// There is no such thing.
    NotFound,
    /// The body is not JSON, not UTF-8, or broke off.
    Malformed(String),
    /// The body is longer than is read.
    TooLarge(usize),
    /// The body is of another media type.
    UnsupportedMediaType(&'static str),
    /// The path knows other methods.
    MethodNotAllowed,
    /// Fields that cannot be accepted.
    Invalid(Vec<Fault>),
    /// A credential could not be judged.
    Auth(AuthError),
    /// A token does not leave.
    Token(TokenError),
    /// An admin's call failed.
    Registry(RegistryError),
    /// A browser session does not give tokens to pages of this origin.
    OriginNotAllowed,
    /// What was found for each of several things, and holds for all of them.
    Told(Box<Problem>),
    /// What is asked in OAuth's terms is not granted.
    OAuth(OAuthFault),
    /// Not able to serve at all.
    NotReady(&'static str),
    /// A handler panicked.
    Panicked,
}

/// Why what is asked in OAuth's terms is not granted, where nothing else says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OAuthFault {
    /// The endpoint knows other grant types.
    GrantType,
    /// The scopes are none.
    Scope(&'static str),
    /// The enterprise is not the tenant's.
    OtherEnterprise,
    /// The token to be exchanged is no live full one of this broker's.
    SubjectToken,
    /// Nobody who was given the token to be exchanged may have what is wanted; by which rule is for the audit.
    NoneLeft(Option<Rule>),
}

impl From<OAuthFault> for ApiError {
    fn from(fault: OAuthFault) -> Self {
        Self::OAuth(fault)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::Auth(error)
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }
}

impl ApiError {
    /// One field that cannot be accepted.
    pub(super) fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault::at(pointer, detail)])
    }

    pub(super) fn problem(self) -> Problem {
        match self {
            Self::RateLimited { reach, retry_after } => rate_limited(reach, retry_after),
            Self::NotFound => not_found(),
            Self::Malformed(detail) => {
                Problem::new(StatusCode::BAD_REQUEST, "malformed", "Malformed request", detail)
            }
            Self::TooLarge(limit) => Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "Request too large",
                format!("A request's body is at most {} KiB.", limit / 1024),
            ),
            Self::UnsupportedMediaType(wanted) => Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "Unsupported media type",
                format!("Send the body with `Content-Type: {wanted}`."),
            ),
            Self::MethodNotAllowed => Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "Method not allowed",
                "This path knows other methods; `Allow` lists them.",
            ),
            Self::Invalid(faults) => invalid(faults),
            Self::Auth(AuthError::Unauthenticated) => unauthenticated(),
            Self::Auth(AuthError::Token(fault)) => unauthenticated().cause(fault),
            Self::Auth(AuthError::NoSession) => Problem {
                detail: "Send `Authorization: Bearer` with a live browser session: no other credential counts \
                         here."
                    .to_owned(),
                ..unauthenticated()
            },
            Self::Auth(AuthError::SessionExpired) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "session_expired",
                "Session expired",
                "The browser session's time is over: open a new one.",
            ),
            Self::Auth(AuthError::SessionCancelled) => Problem::new(
                StatusCode::UNAUTHORIZED,
                "session_cancelled",
                "Session cancelled",
                "The browser session was cancelled, or whoever opened it may not any more.",
            ),
            Self::OriginNotAllowed => Problem::new(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                "Origin not allowed",
                "This browser session gives tokens to pages of its own origins alone, as `Origin` tells them.",
            )
            .reason("session.origins"),
            Self::Auth(AuthError::IssuerDown(down)) => issuer_down(&down),
            Self::Auth(AuthError::Store(error)) => of_store(error),
            Self::Auth(AuthError::Crypto(error)) => of_crypto("the caller's key", error),
            Self::Token(error) => of_token(error),
            Self::Registry(error) => of_registry(error),
            Self::Told(problem) => *problem,
            Self::OAuth(fault) => of_oauth(fault),
            Self::NotReady(detail) => store_unavailable().cause(detail),
            Self::Panicked => internal().cause("a handler panicked"),
        }
    }
}

/// The problem of an error that came without one, from a library that answers by itself.
pub(super) fn of_bare(status: StatusCode) -> Option<Problem> {
    match status {
        StatusCode::NOT_FOUND => Some(not_found()),
        StatusCode::METHOD_NOT_ALLOWED => Some(ApiError::MethodNotAllowed.problem()),
        _ if status.is_client_error() => {
            Some(ApiError::Malformed("This request cannot be understood.".to_owned()).problem())
        }
        _ if status.is_server_error() => Some(internal().cause(status)),
        _ => None,
    }
}

fn unauthenticated() -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        "unauthenticated",
        "Not authenticated",
        "Send `Authorization: Bearer` with a live API key of this broker, or with a live token of an OIDC \
         issuer that a caller's trust matches.",
    )
}

fn of_oauth(fault: OAuthFault) -> Problem {
    let not_given = "The `subject_token` is no live full token that this broker gave to a caller who may have such a \
                     downscoped one today.";
    match fault {
        OAuthFault::GrantType => {
            let detail = "The broker knows `client_credentials` and the token exchange. It signs assertions itself: \
                          configure the client for Box's client credentials grant.";
            invalid(vec![Fault::at("/grant_type", detail)]).oauth("unsupported_grant_type")
        }
        OAuthFault::Scope(detail) => invalid(vec![Fault::at("/scope", detail)]).oauth("invalid_scope"),
        OAuthFault::OtherEnterprise => {
            let detail = "`box_subject_id` is not the tenant's enterprise.";
            invalid(vec![Fault::at("/box_subject_id", detail)]).oauth("invalid_grant")
        }
        OAuthFault::SubjectToken | OAuthFault::NoneLeft(_) => {
            let problem =
                Problem { detail: not_given.to_owned(), ..unauthenticated() }.oauth("invalid_grant");
            match fault {
                OAuthFault::NoneLeft(Some(rule)) => problem.reason(rule.as_str()).cause(rule.as_str()),
                OAuthFault::NoneLeft(None) => problem.cause("nobody who was given it has a grant any more"),
                _ => problem,
            }
        }
    }
}

fn rate_limited(reach: Reach, retry_after: Duration) -> Problem {
    let whose = match reach {
        Reach::Tenant => "More requests come for this tenant than its limit allows.",
        _ => "More requests come from this caller, or from this address, than the limit allows.",
    };
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests", whose)
        .reach(reach)
        .after(seconds(retry_after))
}

fn issuer_down(down: &IssuerDown) -> Problem {
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
    .reach(Reach::Broker)
    .after(seconds(down.retry_after))
    .cause(down)
}

fn not_found() -> Problem {
    Problem::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "Not found",
        "There is no such thing here, or none that this caller may know of.",
    )
}

fn forbidden() -> Problem {
    Problem::new(
        StatusCode::FORBIDDEN,
        "forbidden",
        "Forbidden",
        "The caller's grants and the tenant's policy do not allow this.",
    )
}

fn invalid(faults: Vec<Fault>) -> Problem {
    let detail = match faults.as_slice() {
        [only] => only.detail.clone(),
        several => format!("{} fields cannot be accepted; `errors` names each.", several.len()),
    };
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid request", detail).errors(faults)
}

fn internal() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "Internal error",
        "The broker failed in a way that it should not; its log has the reason under the request's id.",
    )
    .reach(Reach::Broker)
}

fn overloaded() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "overloaded",
        "Overloaded",
        "The broker has more to do than it can take on at the moment.",
    )
    .reach(Reach::Broker)
    .after(SOON)
}

fn store_unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "store_unavailable",
        "Store unavailable",
        "The broker's database does not answer, so nothing can be recorded or looked up.",
    )
    .reach(Reach::Broker)
    .after(SOON)
}

fn key_unavailable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "key_unavailable",
        "Key unavailable",
        "What is stored for this cannot be opened: its key is not in the broker's key set.",
    )
    .reach(Reach::Tenant)
    .after(LATER)
    .fix("Put the key back into the broker's key set, under the id that the log names, and restart.")
}

fn sealed_data_refused() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "sealed_data_refused",
        "Stored data refused",
        "What is stored for this is not what the broker wrote, so it is not used.",
    )
    .reach(Reach::Tenant)
    .by_admin()
    .fix("Find out who changed the database, and restore the rows that the log names from a backup.")
}

fn of_store(error: StoreError) -> Problem {
    match error {
        StoreError::Unavailable(cause) => store_unavailable().cause(cause),
        StoreError::Conflict(Conflict::Version | Conflict::InUse) => conflict("It was changed meanwhile."),
        StoreError::Conflict(_) => conflict("It is taken."),
        StoreError::Refused { .. } => sealed_data_refused().cause(error),
        StoreError::KeyUnavailable { .. } => key_unavailable().cause(error),
        StoreError::Unexpected(cause) => internal().cause(cause),
    }
}

fn of_crypto(what: &str, error: CryptoError) -> Problem {
    let cause = format!("{what}: {error}");
    match error {
        CryptoError::KeyUnavailable { .. } => key_unavailable().cause(cause),
        CryptoError::Wrapper(_) => key_unavailable().after(SOON).cause(cause),
        CryptoError::Refused => sealed_data_refused().cause(cause),
    }
}

fn conflict(detail: &str) -> Problem {
    Problem::new(StatusCode::CONFLICT, "conflict", "Conflict", detail)
}

fn of_token(error: TokenError) -> Problem {
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
        .reach(Reach::Tenant)
        .by_admin()
        .fix("Set the tenant's `state` (or the app's) to `active` again."),
        // Any other is tried at Box by the request itself, which answers with what came of that.
        TokenError::Pending => Problem::new(
            StatusCode::FORBIDDEN,
            "tenant_suspended",
            "Tenant not in service yet",
            "The tenant waits for the keypair that was made for it to be activated.",
        )
        .reach(Reach::Tenant)
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
        .reach(Reach::Subject)
        .errors([Fault::at("/min_ttl", "Ask for less.")]),
        TokenError::Box(error) => of_box(&error),
        TokenError::Store(error) => of_store(error),
        TokenError::Sealed { what, error } => of_crypto(what, error),
        TokenError::Corrupt(_) => sealed_data_refused().cause(cause),
        TokenError::Superseded => overloaded().reach(Reach::Tenant).cause(cause),
        TokenError::Down { extent, error, retry_after } => {
            let reach = match extent {
                Extent::Subject => Reach::Subject,
                Extent::Tenant => Reach::Tenant,
                Extent::App => Reach::App,
                Extent::Box => Reach::Broker,
            };
            of_token(*error).reach(reach).after(seconds(retry_after)).cause(cause)
        }
        TokenError::Overloaded => overloaded().cause(cause),
        TokenError::Crashed => internal().cause(cause),
        // Told above, with every other refusal.
        TokenError::ForeignUser => of_refusal(Refusal::SubjectInvalid, &error),
    }
}

fn of_refusal(refusal: Refusal, error: &TokenError) -> Problem {
    let reach = match refusal {
        _ if refusal.concerns_the_subject() => Reach::Subject,
        _ if refusal.concerns_the_app() => Reach::App,
        _ => Reach::Tenant,
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
        problem.upstream = Some(UpstreamWords {
            error: upstream.error.clone(),
            error_description: upstream.error_description.clone(),
            request_id: upstream.request_id.clone(),
        });
    }
    problem
}

fn of_box(error: &BoxError) -> Problem {
    let problem = match error {
        BoxError::RateLimited { retry_after } => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_rate_limited",
            "Box limits the rate",
            "Box limits the rate of this app's requests.",
        )
        .reach(Reach::App)
        .after(seconds(*retry_after)),
        BoxError::Unavailable { retry_after, .. } => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "upstream_unavailable",
            "Box unavailable",
            "Box does not answer, or not in time.",
        )
        .reach(Reach::Broker)
        .after(retry_after.map_or(SOON, seconds)),
        BoxError::Signing(_) => internal(),
        _ => Problem::new(
            StatusCode::BAD_GATEWAY,
            "upstream_protocol",
            "Box's answer made no sense",
            "Box's answer was not one that its documentation allows, so it was not used.",
        )
        .reach(Reach::Tenant)
        .after(SOON),
    };
    problem.cause(error)
}

/// A time as `Retry-After` says it: whoever comes back then does not come too early.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

fn of_registry(error: RegistryError) -> Problem {
    let cause = error.to_string();
    let unprocessable = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        RegistryError::Absent => not_found(),
        RegistryError::Forbidden(reason) => forbidden().reason(reason).cause(reason),
        RegistryError::Invalid(faults) => invalid(faults),
        RegistryError::BoxConfig(problems) => {
            // What is told first is mended first.
            let fix = problems.first().map(|problem| problem.fix);
            let faults: Vec<Fault> =
                problems.into_iter().map(|problem| Fault::at(problem.pointer, problem.detail)).collect();
            let detail = faults.first().map(|fault| fault.detail.clone()).unwrap_or_default();
            Problem {
                fix: fix.map(str::to_owned),
                ..Problem::new(unprocessable, "invalid_box_config", "Box config cannot be used", detail)
            }
            .errors(faults)
        }
        RegistryError::Key { pointer, problem } => {
            Problem::new(unprocessable, problem.code(), "Private key cannot be used", problem.to_string())
                .errors([Fault::at(pointer, problem.to_string())])
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
