//! A request, read once: its form, its token, and a summary for faults and the journal.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use serde::Serialize;
use url::form_urlencoded;

use super::error::ErrorResponse;
use super::form::FormFields;
use crate::digest::sha256_hex;
use crate::jwt::UnverifiedJwt;
use crate::tokens::{IssuedToken, IssuedTokens};

/// The largest request body that is read at once, in bytes. The commit of an upload session lists thousands of parts.
const MAX_BODY: usize = 2 * 1024 * 1024;

/// The largest number of characters of a client's text that the journal keeps.
const MAX_LOGGED_TEXT: usize = 200;

/// A request to the token endpoint, the API or a download URL.
///
/// It has no `Debug`: it contains tokens and secrets.
pub(crate) struct SandboxRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    query: String,
    headers: HeaderMap,
    /// The form, if the body is one.
    pub(crate) form: Option<FormFields>,
    /// The body; empty for an upload, which reads its body chunk by chunk.
    pub(crate) body: Bytes,
    /// The bearer token, live or not, if the sandbox issued it.
    pub(crate) token: Option<Arc<IssuedToken>>,
    pub(crate) summary: RequestSummary,
}

/// The properties of a request that faults select by and the journal shows. They are unverified and shortened, and
/// contain no secret: tokens appear as their SHA-256.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct RequestSummary {
    /// The last part of the grant type: `jwt-bearer`, `client_credentials` or `token-exchange`.
    pub(crate) grant: Option<String>,
    pub(crate) client_id: Option<String>,
    /// `enterprise:ID` or `user:ID`.
    pub(crate) subject: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) jti: Option<String>,
    pub(crate) scopes: Vec<String>,
    /// `resource` or `box_shared_link` of a token exchange.
    pub(crate) resource: Option<String>,
    /// The SHA-256 of the token in the request.
    pub(crate) token: Option<String>,
    pub(crate) as_user: Option<String>,
}

impl SandboxRequest {
    /// Reads a request. The second value is the rest of the body, which only an upload leaves unread.
    pub(crate) async fn read(
        tokens: &IssuedTokens,
        request: Request,
    ) -> Result<(Self, BodyDataStream), ErrorResponse> {
        let (head, body) = request.into_parts();
        let (body, rest) = if is_upload(&head.method, head.uri.path()) {
            (Bytes::new(), body)
        } else {
            let read = to_bytes(body, MAX_BODY).await;
            (read.map_err(|_| unreadable_body(head.uri.path()))?, Body::empty())
        };
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let is_form = header("content-type")
            .and_then(|kind| kind.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        let form = is_form.then(|| FormFields::parse(&body));
        let query = head.uri.query().unwrap_or_default().to_owned();
        // A page cannot add a header to what it embeds, so Box also accepts the token as a query parameter.
        let parameter = query_parameter(&query, "access_token");
        let bearer = header("authorization").and_then(bearer_token).or(parameter.as_deref());
        let token = bearer.and_then(|bearer| tokens.find(&sha256_hex(bearer)));
        let mut summary = form.as_ref().map(|form| summarize(tokens, form)).unwrap_or_default();
        summary.as_user = header("as-user").map(loggable);
        if let Some(bearer) = bearer {
            summary.token = Some(sha256_hex(bearer));
        }
        if let Some(token) = &token {
            summary.client_id = Some(token.client_id.clone());
            summary.subject = Some(token.subject.label());
        }
        let path = head.uri.path().to_owned();
        let request =
            Self { method: head.method, path, query, headers: head.headers, form, body, token, summary };
        Ok((request, rest.into_data_stream()))
    }

    /// Returns the path without the prefix `/api`, which uploads have.
    pub(crate) fn api_path(&self) -> &str {
        api_path(&self.path)
    }

    /// Returns a header; `None` if it is missing or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the first query parameter of this name.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        query_parameter(&self.query, name)
    }
}

fn query_parameter(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

fn unreadable_body(path: &str) -> ErrorResponse {
    let message = "The body is broken or larger than 2 MiB";
    if api_path(path).starts_with("/2.0/") {
        ErrorResponse::bad_request(message)
    } else {
        ErrorResponse::oauth("invalid_request", message)
    }
}

fn api_path(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.strip_prefix("/api") {
        Some(rest) if rest.starts_with("/2.0/") => rest,
        _ => path,
    }
}

/// Reports whether the body of a request is the content of a file or a part of it.
fn is_upload(method: &Method, path: &str) -> bool {
    let segments: Vec<&str> = api_path(path).split('/').skip(1).collect();
    match segments.as_slice() {
        ["2.0", "files", "content"] | ["2.0", "files", _, "content"] => method == Method::POST,
        ["2.0", "files", "upload_sessions", _] => method == Method::PUT,
        _ => false,
    }
}

/// Returns a client's text as the journal may keep it: without control characters, and at most 200 characters.
pub(crate) fn loggable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(MAX_LOGGED_TEXT).collect()
}

/// Returns the token of an `Authorization: Bearer` header (RFC 6750, section 2.1).
fn bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Summarises the form of a request to the token endpoint.
fn summarize(tokens: &IssuedTokens, form: &FormFields) -> RequestSummary {
    let field = |name: &str| form.first(name);
    let assertion = field("assertion").and_then(UnverifiedJwt::decode);
    let claim = |name: &str| assertion.as_ref().and_then(|jwt| jwt.claim(name));
    let subject =
        |kind: Option<&str>, id: Option<&str>| Some(format!("{}:{}", loggable(kind?), loggable(id?)));
    let presented = field("subject_token").or_else(|| field("token")).map(sha256_hex);
    let known = presented.as_deref().and_then(|sha256| tokens.find(sha256));
    RequestSummary {
        grant: field("grant_type").map(|grant| loggable(grant.rsplit(':').next().unwrap_or(grant))),
        client_id: field("client_id")
            .map(loggable)
            .or_else(|| known.as_ref().map(|token| token.client_id.clone())),
        subject: known
            .map(|token| token.subject.label())
            .or_else(|| subject(claim("box_sub_type"), claim("sub")))
            .or_else(|| subject(field("box_subject_type"), field("box_subject_id"))),
        kid: assertion.as_ref().and_then(|jwt| jwt.header_parameter("kid")).map(loggable),
        jti: claim("jti").map(loggable),
        scopes: field("scope")
            .map(|scope| scope.split_whitespace().take(64).map(loggable).collect())
            .unwrap_or_default(),
        resource: field("resource").or_else(|| field("box_shared_link")).map(loggable),
        token: presented,
        as_user: None,
    }
}
