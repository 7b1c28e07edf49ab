//! `/v1/tenants/{tenant}/browser-sessions`: opened by services for their pages, listed, cancelled.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa_axum::routes;

use crate::broker::TokenError;
use crate::domain::audit_event::AuditAction;
use crate::domain::grant::Permission;
use crate::domain::id::SessionId;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::origin::Origin;
use crate::domain::policy::SessionTtl;
use crate::domain::resource::Resource;
use crate::domain::scope::{ScopePreset, ScopeSet};
use crate::domain::session::{BrowserSession, SessionCredential};
use crate::domain::subject::Subject;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::body::Json;
use crate::http::extract::{AuthenticatedRequest, PathParams, limit};
use crate::http::responses::ListResponse;
use crate::http::route::Route;
use crate::http::routes::tokens::{LONGEST_MIN_TTL, SCOPES};
use crate::http::schema::subject::SubjectSchema;
use crate::registry::{CreatedSession, FieldError, RegistryError, SessionSpec};
use crate::store::{SessionCursor, TenantRef};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::service(Permission::SessionsCreate, AuditAction::SessionCreate, routes!(open)),
        Route::service(Permission::SessionsCancel, AuditAction::SessionRead, routes!(list)),
        Route::service(
            Permission::SessionsCancel,
            AuditAction::SessionCancel,
            routes!(cancel_sessions_of_person),
        ),
        Route::service(Permission::SessionsCancel, AuditAction::SessionCancel, routes!(cancel)),
    ]
}

/// The session to open for a page.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenSessionRequest {
    /// The subject that its tokens act for; the service account if omitted.
    #[schema(value_type = Option<SubjectSchema>)]
    subject: Option<Subject>,
    /// The files and folders that it gives tokens for.
    #[schema(min_items = 1, max_items = 100)]
    resources: Vec<Resource>,
    /// The scopes of its tokens for reading.
    read: ScopesRequest,
    /// The scopes of its tokens for writing; without them the page gets none.
    write: Option<ScopesRequest>,
    /// The origins of the pages that may use it, each one of the tenant policy's `browser_origins`.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 100, example = json!(["https://app.example.com"]))]
    origins: Vec<Origin>,
    /// Its life in seconds; 3600 if omitted, and at most the policy's `max_session_ttl`.
    #[schema(minimum = 1, maximum = 86400)]
    ttl: Option<u64>,
    /// The least life of each of its tokens in seconds.
    #[schema(minimum = 0, maximum = 3000)]
    min_ttl: Option<u64>,
    /// The person that the caller claims to open it for. Recorded, and usable to cancel it.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 128)]
    on_behalf_of: Option<OnBehalfOf>,
}

/// Box's downscoping scopes; either `preset` or `scopes`.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopesRequest {
    /// The scopes that one of Box's UI Elements needs.
    preset: Option<ScopePreset>,
    /// The scopes.
    #[schema(value_type = Option<Vec<String>>, example = json!(["base_preview", "item_download"]))]
    scopes: Option<ScopeSet>,
}

/// A new session for a page. Its text is shown once.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct OpenedSessionResponse<'a> {
    /// The session's id.
    id: &'a str,
    /// The session, for the page.
    session: &'a str,
    /// The time at which it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// A browser session.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BrowserSession)]
pub(crate) struct SessionResponse<'a> {
    /// The immutable id.
    id: &'a str,
    /// The subject that its tokens act for.
    #[schema(value_type = SubjectSchema)]
    subject: &'a Subject,
    /// The files and folders that it gives tokens for.
    resources: &'a [Resource],
    /// The scopes of its tokens for reading.
    #[schema(value_type = Vec<String>)]
    read: &'a ScopeSet,
    /// The scopes of its tokens for writing.
    #[schema(value_type = Option<Vec<String>>)]
    write: Option<&'a ScopeSet>,
    /// The origins of the pages that may use it.
    #[schema(value_type = Vec<String>)]
    origins: &'a [Origin],
    /// Its owner.
    opener: OpenerResponse<'a>,
    /// The `on_behalf_of` that the opener claimed.
    #[schema(value_type = Option<String>)]
    on_behalf_of: Option<&'a OnBehalfOf>,
    /// The time at which it was opened.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// The time at which it expires.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
    /// The time at which it was cancelled, if it was.
    #[schema(value_type = Option<String>, format = DateTime)]
    cancelled_at: Option<Timestamp>,
}

/// The owner of a session: the session ends with the caller, and with the key or trust.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct OpenerResponse<'a> {
    /// The caller's id.
    caller: &'a str,
    /// The id of its API key, if it used one.
    key: Option<&'a str>,
    /// The id of the trust, if it used an OIDC token.
    trust: Option<&'a str>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListSessionsQuery {
    /// Sessions that were opened for this person.
    on_behalf_of: Option<String>,
    /// The maximum number of sessions: 1 to 200; 50 if omitted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CancelSessionsQuery {
    /// Sessions that were opened for this person.
    on_behalf_of: String,
}

#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/browser-sessions", tag = "browser", operation_id = "open_browser_session",
    request_body(content = OpenSessionRequest),
    responses((status = 201, description = "The session; its text is shown once", body = OpenedSessionResponse)),
)]
/// Open a session for a page.
///
/// A grant with `sessions:create` must allow the subject, the scopes and each resource, when the session is opened
/// and each time a token is released through it. The session ends with the key, trust or caller that opened it.
async fn open(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    Json(body): Json<OpenSessionRequest>,
) -> Result<Response, ApiError> {
    let caller = caller.now(&api).await?;
    let new = new_session(body)?;
    let context = &caller.context;
    caller.log.set_session_request(&new);
    let opened = match api.registry.sessions.open(context, &tenant, &new).await {
        // The tenant's first request tries it.
        Err(RegistryError::Token(TokenError::Pending)) => {
            api.registry.pending_tenants.verify(&tenant).await?;
            api.registry.sessions.open(context, &tenant, &new).await
        }
        opened => opened,
    };
    let CreatedSession { session, text } = opened?;
    let body = OpenedSessionResponse {
        id: session.id.as_str(),
        session: text.expose(),
        expires_at: session.expires_at,
    };
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, axum::Json(body)).into_response())
}

#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/browser-sessions", tag = "browser", operation_id = "list_browser_sessions",
    params(ListSessionsQuery),
    responses((status = 200, description = "A page of the list", body = ListResponse<SessionResponse>)),
)]
/// List the unexpired sessions that the caller may cancel, the oldest first.
async fn list(
    State(api): State<Api>,
    caller: AuthenticatedRequest<ListSessionsQuery>,
    PathParams(tenant): PathParams<TenantRef>,
) -> Result<Response, ApiError> {
    let ListSessionsQuery { on_behalf_of, limit: most, cursor } = &caller.query;
    let (limit, behind) = (limit(most.as_deref())?, cursor.as_deref().map(position).transpose()?);
    let on_behalf_of = on_behalf_of.as_deref().map(person).transpose()?;
    let (sessions, next) =
        api.registry.sessions.list(&caller.context, &tenant, on_behalf_of, behind, limit).await?;
    let items = sessions.iter().map(response).collect();
    Ok(axum::Json(ListResponse { items, next_cursor: next.as_ref().map(cursor_of) }).into_response())
}

#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/browser-sessions", tag = "browser", operation_id = "cancel_browser_sessions",
    params(CancelSessionsQuery),
    responses((status = 204, description = "They give no more tokens")),
)]
/// Cancel all sessions that were opened for one person. The audit records how many.
async fn cancel_sessions_of_person(
    State(api): State<Api>,
    caller: AuthenticatedRequest<CancelSessionsQuery>,
    PathParams(tenant): PathParams<TenantRef>,
) -> Result<StatusCode, ApiError> {
    let who = person(&caller.query.on_behalf_of)?;
    api.registry.sessions.cancel_for_person(&caller.context, &tenant, &who).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/browser-sessions/{session}", tag = "browser", operation_id = "cancel_browser_session",
    responses((status = 204, description = "It gives no more tokens")),
)]
/// Cancel a session. Tokens that a page already has stay valid until they expire.
async fn cancel(
    State(api): State<Api>,
    caller: AuthenticatedRequest,
    PathParams(tenant): PathParams<TenantRef>,
    PathParams(session): PathParams<SessionId>,
) -> Result<StatusCode, ApiError> {
    api.registry.sessions.cancel(&caller.context, &tenant, &session).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The session that a body asks for, each part of it within its bounds.
///
/// # Errors
/// Everything that is wrong with it at once.
pub(crate) fn new_session(body: OpenSessionRequest) -> Result<SessionSpec, ApiError> {
    let mut faults = Vec::new();
    faults.extend(each_once(&body.resources, BrowserSession::MAX_RESOURCES, "/resources"));
    faults.extend(each_once(&body.origins, BrowserSession::MAX_ORIGINS, "/origins"));
    if body.ttl.is_some_and(|ttl| !(1..=SessionTtl::MAX_SECONDS).contains(&ttl)) {
        faults.push(FieldError::at("/ttl", format!("A session lives 1 to {} s.", SessionTtl::MAX_SECONDS)));
    }
    let mut scopes = |asked: ScopesRequest, pointer: &str| {
        scopes_of(asked, pointer).unwrap_or_else(|fault| {
            faults.push(fault);
            ScopeSet::default()
        })
    };
    let read = scopes(body.read, "/read");
    let write = body.write.map(|write| scopes(write, "/write"));
    if body.min_ttl.is_some_and(|seconds| seconds > LONGEST_MIN_TTL) {
        faults.push(FieldError::at("/min_ttl", format!("At most {LONGEST_MIN_TTL} s can be promised.")));
    }
    if !faults.is_empty() {
        return Err(ApiError::Invalid(faults));
    }
    Ok(SessionSpec {
        subject: body.subject.unwrap_or(Subject::ENTERPRISE),
        resources: body.resources,
        read,
        write,
        origins: body.origins,
        ttl: body.ttl,
        min_ttl: body.min_ttl,
        on_behalf_of: body.on_behalf_of,
    })
}

fn each_once<T: Ord>(items: &[T], most: usize, pointer: &str) -> Option<FieldError> {
    let detail = match items.len() {
        0 => format!("Name 1 to {most} of them."),
        count if count > most => format!("Name 1 to {most} of them."),
        count if items.iter().collect::<BTreeSet<_>>().len() < count => {
            "One of them stands twice.".to_owned()
        }
        _ => return None,
    };
    Some(FieldError::at(pointer, detail))
}

/// # Errors
/// If these are not scopes that a page may have: a token with an OAuth scope is as powerful as a full one.
fn scopes_of(asked: ScopesRequest, pointer: &str) -> Result<ScopeSet, FieldError> {
    let scopes = match (asked.preset, asked.scopes) {
        (Some(preset), None) => preset.scopes(),
        (None, Some(scopes)) if (1..=SCOPES).contains(&scopes.len()) => scopes,
        (None, Some(_)) => {
            return Err(FieldError::at(format!("{pointer}/scopes"), format!("Name 1 to {SCOPES} scopes.")));
        }
        _ => return Err(FieldError::at(pointer, "Name either `scopes` or a `preset`.")),
    };
    if let Some(scope) = scopes.iter().find(|scope| scope.is_full_access()) {
        let name = scope.as_str();
        let detail = format!(
            "`{name}` is none of Box's downscoping scopes: no page gets what reaches as far as a full token."
        );
        return Err(FieldError::at(format!("{pointer}/scopes"), detail));
    }
    Ok(scopes)
}

fn person(text: &str) -> Result<OnBehalfOf, ApiError> {
    OnBehalfOf::parse(text)
        .map_err(|error| ApiError::invalid("/on_behalf_of", format!("In the query: {error}.")))
}

fn response(session: &BrowserSession) -> SessionResponse<'_> {
    let (key, trust) = match &session.owner.credential {
        SessionCredential::Key(id) => (Some(id.as_str()), None),
        SessionCredential::Trust(id) => (None, Some(id.as_str())),
    };
    SessionResponse {
        id: session.id.as_str(),
        subject: &session.subject,
        resources: &session.resources,
        read: &session.read,
        write: session.write.as_ref(),
        origins: &session.origins,
        opener: OpenerResponse { caller: session.owner.caller.as_str(), key, trust },
        on_behalf_of: session.on_behalf_of.as_ref(),
        created_at: session.created_at,
        expires_at: session.expires_at,
        cancelled_at: session.cancelled_at,
    }
}

/// The cursor of the stretch behind a session.
fn cursor_of(SessionCursor { created_at, id }: &SessionCursor) -> String {
    BASE64URL_NOPAD.encode(format!("{created_at} {id}").as_bytes())
}

fn position(cursor: &str) -> Result<SessionCursor, ApiError> {
    let read = || {
        let text = String::from_utf8(BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?).ok()?;
        let (at, id) = text.split_once(' ')?;
        Some(SessionCursor { created_at: at.parse().ok()?, id: id.to_owned() })
    };
    read()
        .ok_or_else(|| ApiError::invalid("/cursor", "A `cursor` is the `next_cursor` of an earlier answer."))
}

/// Reads the query of a list of sessions; for whoever tries texts on it.
pub(crate) fn check_list_query(query: &ListSessionsQuery) -> Result<(), ApiError> {
    limit(query.limit.as_deref())?;
    query.cursor.as_deref().map(position).transpose()?;
    query.on_behalf_of.as_deref().map(person).transpose().map(drop)
}
