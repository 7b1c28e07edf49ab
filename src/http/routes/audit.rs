//! `GET /v1/audit…`: who was given what, what was refused, and what was changed.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa_axum::routes;

use crate::domain::audit_event::{Actor, AuditAction, AuditEvent, AuditOutcome, Credential};
use crate::domain::grant::Permission;
use crate::domain::on_behalf_of::OnBehalfOf;
use crate::domain::resource::Resource;
use crate::domain::subject::Subject;
use crate::http::Api;
use crate::http::error::ApiError;
use crate::http::extract::{AuthenticatedRequest, PathParam, limit, time};
use crate::http::route::Route;
use crate::http::schema::subject::SubjectSchema;
use crate::registry::AuditQuery;
use crate::store::{AuditCursor, AuditFilter, AuditRecord, CallerRef, PageRequest, TenantRef};

pub(crate) fn routes() -> Vec<Route> {
    vec![
        Route::admin(Permission::AuditRead, AuditAction::AuditRead, routes!(list)),
        Route::admin(Permission::AuditRead, AuditAction::AuditRead, routes!(checkpoint)),
    ]
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListAuditQuery {
    /// The tenant's name or id. Required for callers that have `audit:read` on single tenants only.
    tenant: Option<String>,
    /// The name or id of the caller that acted, or that was acted on.
    caller: Option<String>,
    /// The action, such as `token.release`.
    action: Option<String>,
    /// `done`, `refused` or `failed`.
    outcome: Option<String>,
    /// The `on_behalf_of` that the caller claimed.
    on_behalf_of: Option<String>,
    /// The SHA-256 of the token, in hex.
    fingerprint: Option<String>,
    /// Records at or after this time (RFC 3339).
    #[serde(default, deserialize_with = "time")]
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Records before this time (RFC 3339).
    #[serde(default, deserialize_with = "time")]
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// The maximum number of records: 1 to 200; 50 if omitted.
    #[param(value_type = Option<u16>, minimum = 1, maximum = 200)]
    limit: Option<String>,
    /// The `next_cursor` of the previous page.
    cursor: Option<String>,
}

/// One record: an event, or several equal ones with their count.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = AuditRecord)]
pub(crate) struct RecordResponse<'a> {
    /// The record's chain and its number there.
    id: String,
    /// The time; of several, the first.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// The number of times that it happened.
    count: u64,
    /// The action.
    #[schema(value_type = String, example = "token.release")]
    action: AuditAction,
    /// The outcome.
    #[schema(value_type = String, example = "done")]
    outcome: AuditOutcome,
    /// The rule that refused it or would have, or the reason of the failure.
    reason: Option<&'a str>,
    /// `caller`, `unknown`, `command_line` or `broker`.
    actor: &'static str,
    /// The caller that acted.
    caller: Option<CallerReference<'a>>,
    /// The credential that was used.
    credential: Option<AuditCredentialResponse<'a>>,
    /// The address that the request came from.
    #[schema(value_type = Option<String>)]
    peer: Option<std::net::IpAddr>,
    /// The `on_behalf_of` that the caller claimed; never checked.
    #[schema(value_type = Option<String>)]
    on_behalf_of: Option<&'a OnBehalfOf>,
    /// The request's id; of several, the first.
    request_id: Option<&'a str>,
    /// The tenant's id.
    tenant: Option<&'a str>,
    /// The app's id.
    app: Option<&'a str>,
    /// The id of the caller that it was done to.
    target_caller: Option<&'a str>,
    /// The subject that the token acts for.
    #[schema(value_type = Option<SubjectSchema>)]
    subject: Option<&'a Subject>,
    /// The token's scopes; none for a full token.
    scopes: Option<Vec<&'a str>>,
    /// The resource that the token is restricted to.
    resource: Option<&'a Resource>,
    /// SHA-256 of the token, in lower-case hex.
    fingerprint: Option<&'a str>,
    /// The generation of the credentials.
    generation: Option<i64>,
    /// The change, in words.
    detail: Option<&'a str>,
}

/// A page of the audit.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct AuditResponse<'a> {
    /// The records.
    items: Vec<RecordResponse<'a>>,
    /// The cursor of the next page; `null` on the last page.
    next_cursor: Option<String>,
    /// The number of records left out of this page because the broker did not write them in this form; `audit
    /// verify` names the first.
    altered: usize,
}

/// A caller's id, and its name at the time.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CallerReference<'a> {
    /// The immutable id.
    id: &'a str,
    /// The name.
    name: &'a str,
}

/// The credential of a caller.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = AuditCredential)]
pub(crate) enum AuditCredentialResponse<'a> {
    /// An API key.
    ApiKey {
        /// The key's id.
        id: &'a str,
    },
    /// An OIDC token.
    Jwt {
        /// Its issuer.
        issuer: &'a str,
        /// Its subject.
        subject: &'a str,
        /// Its `jti`.
        id: Option<&'a str>,
        /// The trust that it matched.
        trust: &'a str,
    },
    /// A browser session that the caller opened.
    BrowserSession {
        /// The session's id.
        id: &'a str,
    },
}

/// The last checkpoint, with its signature.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct CheckpointResponse<'a> {
    /// The checkpoint, exactly as it was signed; `null` if there is none yet.
    #[schema(value_type = Option<Object>)]
    checkpoint: Option<&'a RawValue>,
    /// The id of the `audit` key.
    key_id: Option<&'a str>,
    /// The signature (Ed25519, RFC 8032), in base64.
    signature: Option<String>,
    /// The public key of the active `audit` key, in base64.
    public_key: String,
}

#[utoipa::path(
    get, path = "/v1/audit", tag = "audit", operation_id = "read_audit",
    params(ListAuditQuery),
    responses((status = 200, description = "A page of records, the newest first", body = AuditResponse)),
)]
/// Read the audit.
async fn list(
    State(api): State<Api>,
    caller: AuthenticatedRequest<ListAuditQuery>,
) -> Result<Response, ApiError> {
    let (query, after, limit) = parse_list_query(caller.query)?;
    let page = api.registry.audit.list(&caller.context, query, &PageRequest { after, limit }).await?;
    let body = AuditResponse {
        items: page.items.iter().map(response).collect(),
        next_cursor: page.next.as_ref().map(cursor),
        altered: page.refused,
    };
    Ok(axum::Json(body).into_response())
}

#[utoipa::path(
    get, path = "/v1/audit/checkpoint", tag = "audit", operation_id = "read_audit_checkpoint",
    responses((status = 200, description = "The last checkpoint", body = CheckpointResponse)),
)]
/// Get the last signed checkpoint of the audit, to keep elsewhere.
async fn checkpoint(State(api): State<Api>, caller: AuthenticatedRequest) -> Result<Response, ApiError> {
    let (signed, public_key) = api.registry.audit.last_checkpoint(&caller.context).await?;
    let signature = signed.as_ref().map(|signed| &signed.signature);
    let body = CheckpointResponse {
        checkpoint: signed.as_ref().and_then(|signed| serde_json::from_str(&signed.content).ok()),
        key_id: signature.map(|signature| signature.key.as_str()),
        signature: signature.map(|signature| BASE64.encode(&signature.bytes)),
        public_key: BASE64.encode(public_key),
    };
    Ok(axum::Json(body).into_response())
}

/// Reads a query: its filter, its cursor and its limit.
pub(crate) fn parse_list_query(
    query: ListAuditQuery,
) -> Result<(AuditQuery, Option<AuditCursor>, usize), ApiError> {
    let limit = limit(query.limit.as_deref())?;
    let behind = query.cursor.as_deref().map(position).transpose()?;
    Ok((self::query(query)?, behind, limit))
}

fn query(query: ListAuditQuery) -> Result<AuditQuery, ApiError> {
    fn read<T>(
        field: &str,
        text: Option<String>,
        read: impl FnOnce(&str) -> Option<T>,
        expected: &str,
    ) -> Result<Option<T>, ApiError> {
        let Some(text) = text else { return Ok(None) };
        match read(&text) {
            Some(value) => Ok(Some(value)),
            None => Err(ApiError::invalid(format!("/{field}"), format!("`{field}` is {expected}."))),
        }
    }
    let hex = |text: &str| {
        let is_digest = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then(|| text.to_ascii_lowercase())
    };
    Ok(AuditQuery {
        tenant: read("tenant", query.tenant, TenantRef::parse, "a tenant's name or id")?,
        caller: read("caller", query.caller, CallerRef::parse, "a caller's name or id")?,
        filter: AuditFilter {
            action: read("action", query.action, AuditAction::parse, "an action, such as `token.release`")?,
            outcome: read("outcome", query.outcome, AuditOutcome::parse, "`done`, `refused` or `failed`")?,
            on_behalf_of: read(
                "on_behalf_of",
                query.on_behalf_of,
                |text| OnBehalfOf::parse(text).ok(),
                "1 to 128 printable characters",
            )?,
            fingerprint: read("fingerprint", query.fingerprint, hex, "a token's SHA-256: 64 hex digits")?,
            since: query.since,
            until: query.until,
            ..AuditFilter::default()
        },
    })
}

fn response(AuditRecord { writer, number, event }: &AuditRecord) -> RecordResponse<'_> {
    let (actor, caller, credential) = match &event.actor {
        Actor::Caller { id, name, credential } => {
            let caller = CallerReference { id: id.as_str(), name: name.as_str() };
            ("caller", Some(caller), Some(credential_of(credential)))
        }
        Actor::Unknown => ("unknown", None, None),
        Actor::CommandLine => ("command_line", None, None),
        Actor::Broker => ("broker", None, None),
    };
    let AuditEvent { subject, scopes, resource, .. } = event;
    RecordResponse {
        id: format!("{writer}.{number}"),
        at: event.at,
        count: event.count,
        action: event.action,
        outcome: event.outcome,
        reason: event.reason.as_deref(),
        actor,
        caller,
        credential,
        peer: event.peer,
        on_behalf_of: event.on_behalf_of.as_ref(),
        request_id: event.request_id.as_deref(),
        tenant: event.tenant.as_ref().map(|id| id.as_str()),
        app: event.app.as_ref().map(|id| id.as_str()),
        target_caller: event.caller.as_ref().map(|id| id.as_str()),
        subject: subject.as_ref(),
        scopes: scopes.as_ref().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect()),
        resource: resource.as_ref(),
        fingerprint: event.fingerprint.as_deref(),
        generation: event.generation.map(|generation| generation.0),
        detail: event.detail.as_deref(),
    }
}

fn credential_of(credential: &Credential) -> AuditCredentialResponse<'_> {
    match credential {
        Credential::Key(id) => AuditCredentialResponse::ApiKey { id: id.as_str() },
        Credential::Session(id) => AuditCredentialResponse::BrowserSession { id: id.as_str() },
        Credential::Jwt { issuer, subject, token_id, trust } => {
            AuditCredentialResponse::Jwt { issuer, subject, id: token_id.as_deref(), trust: trust.as_str() }
        }
    }
}

/// The cursor of the stretch behind a record.
fn cursor(AuditCursor { at, writer, number }: &AuditCursor) -> String {
    BASE64URL_NOPAD.encode(format!("{} {writer} {number}", at.as_millisecond()).as_bytes())
}

fn position(cursor: &str) -> Result<AuditCursor, ApiError> {
    let read = || {
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let mut parts = text.split(' ');
        let at = Timestamp::from_millisecond(parts.next()?.parse().ok()?).ok()?;
        let writer = parts.next()?.to_owned();
        let number = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(AuditCursor { at, writer, number })
    };
    let detail = "A `cursor` is the `next_cursor` of an earlier answer.";
    read().ok_or_else(|| ApiError::invalid("/cursor", detail))
}
