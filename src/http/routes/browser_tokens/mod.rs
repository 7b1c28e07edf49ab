//! `POST /v1/browser/tokens`: what a page gets with its browser session.

mod item_resources;

use std::collections::BTreeMap;
use std::pin::Pin;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::Sleep;
use utoipa_axum::routes;

use self::item_resources::{ItemResources, place, resources};
use crate::broker::{BOX_WAIT_LIMIT, ReleasedToken, TokenError, TokenRequest};
use crate::domain::audit_event::{AuditAction, AuditEvent, AuditOutcome};
use crate::domain::policy::DenialReason;
use crate::domain::resource::Resource;
use crate::domain::scope::ScopeSet;
use crate::domain::session::BrowserSession;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::error::problem::{ErrorScope, Problem};
use crate::http::extract::body::Json;
use crate::http::extract::browser_page::BrowserPage;
use crate::http::route::{Access, Route};
use crate::http::token_release::{ROUNDS, count, current, times, whole_seconds};

/// The path of requests from pages.
pub(crate) const PATH: &str = "/v1/browser/tokens";

/// The maximum number of items in one request.
const IDS: usize = 1000;
/// The number of items that are worked on at a time.
const AT_ONCE: usize = 8;

pub(crate) fn routes() -> Vec<Route> {
    vec![Route::browser(Access::BrowserSession, AuditAction::TokenRelease, routes!(tokens))]
}

/// The items for which a page requests tokens.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BrowserRequest {
    /// Typed ids, as Box's UI Elements name items: `file_` or `folder_` and Box's number.
    #[schema(min_items = 1, max_items = 1000, example = json!(["file_12345", "folder_678"]))]
    ids: Vec<String>,
}

/// The tokens for some items.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct BrowserResponse<'a> {
    /// The tokens of items, by typed id.
    tokens: BTreeMap<&'a str, ItemTokens<'a>>,
    /// The errors of items without a token, by typed id.
    errors: BTreeMap<&'a str, ItemError>,
    /// The time at which the first of the tokens expires; `null` without tokens.
    #[schema(value_type = Option<String>, format = DateTime)]
    expires_at: Option<Timestamp>,
    /// The time at which to ask again; `null` without tokens.
    #[schema(value_type = Option<String>, format = DateTime)]
    refresh_at: Option<Timestamp>,
}

/// The tokens for one item.
#[derive(Clone, Copy, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct ItemTokens<'a> {
    /// The token to read the item with.
    read: &'a str,
    /// The token to change the item with, if the session has one and it may be released now.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    write: Option<&'a str>,
}

/// The error of an item without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(crate) struct ItemError {
    /// One of the codes of problems.
    code: &'static str,
    /// The number of seconds after which to try again, if that helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    retry_after: Option<u64>,
}

/// The results for a resource's tokens.
type Outcomes = BTreeMap<Resource, Result<TokenPair, Box<ScopeRefusal>>>;

/// The tokens for a resource.
#[derive(Debug)]
struct TokenPair {
    read: ReleasedToken,
    /// `None` where the session gives none.
    write: Option<Result<ReleasedToken, Box<ScopeRefusal>>>,
}

impl TokenPair {
    fn written(&self) -> Option<&ReleasedToken> {
        self.write.as_ref()?.as_ref().ok()
    }

    fn given(&self) -> impl Iterator<Item = &ReleasedToken> {
        std::iter::once(&self.read).chain(self.written())
    }
}

/// A token that there is not, of which scopes and why.
#[derive(Debug)]
struct ScopeRefusal {
    scopes: ScopeSet,
    problem: Problem,
}

#[utoipa::path(
    post, path = "/v1/browser/tokens", tag = "browser", operation_id = "browser_tokens",
    request_body(content = BrowserRequest),
    responses((status = 200, description = "The tokens, and the errors of the other items", body = BrowserResponse)),
)]
/// Get a page's tokens; for pages of the session's origins only.
///
/// An item that is a resource of the session gets that resource's tokens. Any other item gets the tokens of the
/// session's folder, or of the innermost folder that contains it if there are several. Every answer, errors
/// included, allows the page's `Origin`. Preflights get the same answer for every origin.
async fn tokens(
    State(api): State<Api>,
    page: BrowserPage,
    Json(body): Json<BrowserRequest>,
) -> Result<Response, ApiError> {
    let mut page = page.now(&api).await?;
    if body.ids.is_empty() || body.ids.len() > IDS {
        return Err(ApiError::invalid("/ids", format!("Name 1 to {IDS} items.")));
    }
    let mut timer = std::pin::pin!(tokio::time::sleep(BOX_WAIT_LIMIT));
    let placed = place(&api, &page, &body.ids, timer.as_mut()).await;
    for _ in 0..ROUNDS {
        let outcomes = gather(&api, &page, resources(&placed), timer.as_mut()).await;
        // The last of the tokens was waited for: what changed meanwhile counts for the first one too.
        if api.change_feed.nothing_changed_since(&page.caller.since) {
            return respond(&api, &page, &placed, &outcomes);
        }
        page = page.now(&api).await?;
    }
    Err(TokenError::Superseded.into())
}

/// The tokens for some resources, as far as they come in time.
async fn gather(api: &Api, page: &BrowserPage, resources: Vec<Resource>, timer: Pin<&mut Sleep>) -> Outcomes {
    let one = |resource: Resource| async {
        let pair = pair(api, page, &resource).await;
        (resource, pair)
    };
    let mut outcomes = Outcomes::new();
    in_time(resources.into_iter().map(one).collect(), timer, |(resource, pair)| {
        outcomes.insert(resource, pair);
    })
    .await;
    outcomes
}

/// Does some work, a few at a time, and takes what each comes to that is done before the timer ends.
async fn in_time<T>(work: Vec<impl Future<Output = T>>, mut timer: Pin<&mut Sleep>, mut take: impl FnMut(T)) {
    let mut work = stream::iter(work).buffer_unordered(AT_ONCE);
    loop {
        let done = tokio::select! {
            biased;
            done = work.next() => done,
            () = timer.as_mut() => None,
        };
        let Some(done) = done else { return };
        take(done);
    }
}

fn wanted(session: &BrowserSession, scopes: &ScopeSet, resource: &Resource) -> TokenRequest {
    TokenRequest {
        subject: session.subject.clone(),
        restriction: Some(BrowserSession::restriction(scopes, resource)),
        min_ttl: session.min_ttl.map(std::time::Duration::from_secs),
        rejected: None,
        on_behalf_of: session.on_behalf_of.clone(),
    }
}

/// The tokens for a resource of the session. What may not be written may be read all the same.
async fn pair(api: &Api, page: &BrowserPage, resource: &Resource) -> Result<TokenPair, Box<ScopeRefusal>> {
    let read = token(api, page, resource, &page.session.read).await?;
    let write = match &page.session.write {
        None => None,
        Some(scopes) => match token(api, page, resource, scopes).await {
            Err(refusal) if refusal.problem.code != "forbidden" => return Err(refusal),
            token => Some(token),
        },
    };
    Ok(TokenPair { read, write })
}

async fn token(
    api: &Api,
    page: &BrowserPage,
    resource: &Resource,
    scopes: &ScopeSet,
) -> Result<ReleasedToken, Box<ScopeRefusal>> {
    let wanted = wanted(&page.session, scopes, resource);
    let given = current(api, &page.caller, &page.tenant(), &wanted).await;
    given.map_err(|error| Box::new(ScopeRefusal { scopes: scopes.clone(), problem: problem_of(error) }))
}

/// Returns the refusal of a token that a page does not get, after it was recorded.
fn failed(
    api: &Api,
    page: &BrowserPage,
    (resource, scopes): (Option<&Resource>, &ScopeSet),
    error: ApiError,
) -> Problem {
    let problem = problem_of(error);
    record(api, page, (resource, Some(scopes)), &problem);
    problem
}

fn problem_of(error: ApiError) -> Problem {
    match error {
        // The opener has no grant on the tenant any more; which tenant that is the page knows.
        ApiError::Token(TokenError::Absent) => TokenError::Forbidden(DenialReason::Permission).into(),
        error => error,
    }
    .problem()
}

fn record(
    api: &Api,
    page: &BrowserPage,
    (resource, scopes): (Option<&Resource>, Option<&ScopeSet>),
    problem: &Problem,
) {
    let (session, caller) = (&page.session, &page.caller);
    let is_failure = problem.status.is_server_error() || problem.status == StatusCode::FAILED_DEPENDENCY;
    let cause = caller.context.audit_context();
    api.broker.audit().count_refusal(AuditEvent {
        outcome: if is_failure { AuditOutcome::Failed } else { AuditOutcome::Refused },
        reason: Some(problem.reason.unwrap_or(problem.code).to_owned()),
        on_behalf_of: session.on_behalf_of.clone(),
        tenant: Some(session.tenant.clone()),
        subject: Some(session.subject.clone()),
        scopes: scopes.cloned(),
        resource: resource.cloned(),
        ..cause.event(api.clock.wall(), AuditAction::TokenRelease)
    });
}

fn too_late() -> Problem {
    ApiError::from(TokenError::timed_out()).problem()
}

/// True for what the whole session meets, and not only some item of it.
fn is_of_all(problem: &Problem) -> bool {
    problem.status.is_server_error()
        || problem.status == StatusCode::TOO_MANY_REQUESTS
        || problem.status == StatusCode::UNAUTHORIZED
        || problem.reach == ErrorScope::Tenant && problem.status == StatusCode::FORBIDDEN
}

fn respond(
    api: &Api,
    page: &BrowserPage,
    placed: &ItemResources<'_>,
    outcomes: &Outcomes,
) -> Result<Response, ApiError> {
    let late = too_late();
    let mut body = BrowserResponse {
        tokens: BTreeMap::new(),
        errors: BTreeMap::new(),
        expires_at: None,
        refresh_at: None,
    };
    let mut for_all = None;
    for (id, found) in placed {
        let outcome = match found {
            Err(problem) => Err(problem),
            Ok(resource) => outcomes
                .get(resource)
                .map_or(Err(&late), |outcome| outcome.as_ref().map_err(|refusal| &refusal.problem)),
        };
        match outcome {
            Ok(pair) => {
                let write = pair.written().map(|given| given.token.secret.expose());
                body.tokens.insert(id, ItemTokens { read: pair.read.token.secret.expose(), write });
            }
            Err(problem) => {
                if is_of_all(problem) {
                    for_all = for_all.or(Some(problem));
                }
                let error = ItemError { code: problem.code, retry_after: problem.retry_after };
                body.errors.insert(id, error);
            }
        }
    }
    record_refusals(api, page, outcomes);
    if let Some(problem) = for_all.filter(|_| body.tokens.is_empty()) {
        return Err(ApiError::Told(Box::new(problem.clone())));
    }
    let pairs = outcomes.values().filter_map(|outcome| outcome.as_ref().ok());
    for given in pairs.flat_map(TokenPair::given) {
        count(api, &page.caller, page.session.on_behalf_of.as_ref(), given);
        let its = times(&given.token, api);
        let sooner =
            |so_far: Option<Timestamp>, its: Timestamp| Some(so_far.map_or(its, |other| other.min(its)));
        body.expires_at = sooner(body.expires_at, whole_seconds(its.expires_at));
        body.refresh_at = sooner(body.refresh_at, whole_seconds(its.refresh_at));
    }
    Ok(written(page, &body))
}

/// Takes note of tokens that there are not; once for each, however often they were asked for.
fn record_refusals(api: &Api, page: &BrowserPage, outcomes: &Outcomes) {
    for (resource, outcome) in outcomes {
        let refused = match outcome {
            Ok(pair) => pair.write.as_ref().and_then(|write| write.as_ref().err()),
            Err(refusal) => Some(refusal),
        };
        if let Some(refusal) = refused {
            record(api, page, (Some(resource), Some(&refusal.scopes)), &refusal.problem);
        }
    }
}

/// The answer in one piece: a buffer that grows leaves copies of tokens behind.
fn written(page: &BrowserPage, body: &BrowserResponse<'_>) -> Response {
    let tokens = body
        .tokens
        .iter()
        .map(|(id, ItemTokens { read, write })| id.len() + read.len() + write.map_or(0, str::len) + 32);
    let errors = body.errors.keys().map(|id| 2 * id.len() + 96);
    let mut bytes = Vec::with_capacity(256 + tokens.sum::<usize>() + errors.sum::<usize>());
    // Texts and numbers always serialise, and memory takes every byte.
    let _ = serde_json::to_writer(&mut bytes, body);
    tracing::trace!(session = %page.session.id, tokens = body.tokens.len(), "a page is answered");
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    (headers, bytes).into_response()
}
