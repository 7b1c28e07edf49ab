//! A request to Box's side, read once: its form, its token, and what faults and the journal go by.

use std::sync::Arc;

use axum::body::{Body, BodyDataStream, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use bytes::Bytes;
use serde::Serialize;
use url::form_urlencoded;

use crate::http::error::Refusal;
use crate::oauth::assertion::Parts;
use crate::state::Upstream;
use crate::tokens::{Token, sha256};

/// The largest request body that is read at once, in bytes: a commit lists thousands of parts.
const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// A request to Box's side. Without `Debug`: it holds tokens and secrets.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    query: String,
    headers: HeaderMap,
    /// The form, where the body is one.
    pub(crate) form: Option<Form>,
    /// The body; empty where an upload reads it piece by piece.
    pub(crate) body: Bytes,
    /// The token in `Authorization`, live or not.
    pub(crate) token: Option<Arc<Token>>,
    pub(crate) seen: Seen,
}

/// What a request says of itself, unverified and cut to a sane length. It holds no secret: tokens are
/// here by their SHA-256.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Seen {
    /// The last part of the grant type: `jwt-bearer`, `client_credentials` or `token-exchange`.
    pub(crate) grant: Option<String>,
    pub(crate) client_id: Option<String>,
    /// `enterprise:ID` or `user:ID`.
    pub(crate) subject: Option<String>,
    pub(crate) kid: Option<String>,
    pub(crate) jti: Option<String>,
    pub(crate) scopes: Vec<String>,
    /// `resource` or `box_shared_link` of an exchange.
    pub(crate) resource: Option<String>,
    /// The SHA-256 of the token that the request presents.
    pub(crate) token: Option<String>,
    pub(crate) as_user: Option<String>,
}

impl Call {
    /// Reads a request, or answers with why it cannot be read. The bytes of an upload are left to be
    /// read.
    pub(crate) async fn read(box_: &Upstream, request: Request) -> Result<(Self, BodyDataStream), Refusal> {
        let (head, body) = request.into_parts();
        let (body, rest) = if is_upload(&head.method, head.uri.path()) {
            (Bytes::new(), body)
        } else {
            let read = to_bytes(body, LARGEST_BODY).await;
            (read.map_err(|_| unreadable(head.uri.path()))?, Body::empty())
        };
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let is_form = header("content-type")
            .and_then(|kind| kind.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
        let form = is_form.then(|| Form::parse(&body));
        let pairs = || form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
        // What a page embeds has no header: Box takes the token as a parameter too.
        let parameter = pairs().find(|(key, _)| key == "access_token").map(|(_, value)| value.into_owned());
        let bearer = header("authorization").and_then(bearer).or(parameter.as_deref());
        let token = bearer.and_then(|token| box_.tokens.find(&sha256(token)));
        let mut seen = form.as_ref().map(|form| seen(box_, form)).unwrap_or_default();
        seen.as_user = header("as-user").map(bounded);
        if let Some(bearer) = bearer {
            seen.token = Some(sha256(bearer));
        }
        if let Some(token) = &token {
            seen.client_id = Some(token.client_id.clone());
            seen.subject = Some(token.subject.label());
        }
        let call = Self {
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            method: head.method,
            headers: head.headers,
            form,
            body,
            token,
            seen,
        };
        Ok((call, rest.into_data_stream()))
    }

    /// The path as on the host of the API: that of uploads has `/api` before it.
    pub(crate) fn api_path(&self) -> &str {
        api_path(&self.path)
    }

    /// A header, where it is readable text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first query parameter of this name.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

fn unreadable(path: &str) -> Refusal {
    let message = "The body is broken or larger than 2 MiB";
    if api_path(path).starts_with("/2.0/") {
        Refusal::bad_request(message)
    } else {
        Refusal::grant("invalid_request", message)
    }
}

fn api_path(path: &str) -> &str {
    let path = path.strip_suffix('/').unwrap_or(path);
    match path.strip_prefix("/api") {
        Some(rest) if rest.starts_with("/2.0/") => rest,
        _ => path,
    }
}

/// Whether the body of a request is the bytes of a file, or a part of them.
fn is_upload(method: &Method, path: &str) -> bool {
    let segments: Vec<&str> = api_path(path).split('/').skip(1).collect();
    match segments.as_slice() {
        ["2.0", "files", "content"] | ["2.0", "files", _, "content"] => method == Method::POST,
        ["2.0", "files", "upload_sessions", _] => method == Method::PUT,
        _ => false,
    }
}

/// The first 200 printable characters of a text from outside.
pub(crate) fn bounded(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(200).collect()
}

/// The token of an `Authorization: Bearer` header (RFC 6750, section 2.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a form says of itself.
fn seen(box_: &Upstream, form: &Form) -> Seen {
    let field = |name: &str| form.first(name);
    let assertion = field("assertion").and_then(Parts::split);
    let claim = |name: &str| assertion.as_ref().and_then(|parts| parts.text(name));
    let labelled =
        |kind: Option<&str>, id: Option<&str>| Some(format!("{}:{}", bounded(kind?), bounded(id?)));
    let presented = field("subject_token").or_else(|| field("token")).map(sha256);
    let known = presented.as_deref().and_then(|sha256| box_.tokens.find(sha256));
    Seen {
        grant: field("grant_type").map(|grant| bounded(grant.rsplit(':').next().unwrap_or(grant))),
        client_id: field("client_id")
            .map(bounded)
            .or_else(|| known.as_ref().map(|token| token.client_id.clone())),
        subject: known
            .map(|token| token.subject.label())
            .or_else(|| labelled(claim("box_sub_type"), claim("sub")))
            .or_else(|| labelled(field("box_subject_type"), field("box_subject_id"))),
        kid: assertion.as_ref().and_then(|parts| parts.header.get("kid")?.as_str()).map(bounded),
        jti: claim("jti").map(bounded),
        scopes: field("scope")
            .map(|scope| scope.split_whitespace().take(64).map(bounded).collect())
            .unwrap_or_default(),
        resource: field("resource").or_else(|| field("box_shared_link")).map(bounded),
        token: presented,
        as_user: None,
    }
}

/// A form, `application/x-www-form-urlencoded`. Without `Debug`: it holds secrets.
pub(crate) struct Form(Vec<(String, String)>);

impl Form {
    fn parse(body: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(body);
        // What is sent without a value counts as left out (RFC 6749, section 3.2).
        Self(pairs.into_owned().filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The one value of a field. To send a field twice is an error (RFC 6749, section 3.2).
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut values = self.0.iter().filter(|(key, _)| key == name);
        let first = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() {
            let description = format!("The '{name}' parameter was sent more than once");
            return Err(Refusal::grant("invalid_request", description));
        }
        Ok(first)
    }

    /// The value of a field that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.one(name)?.ok_or_else(|| crate::oauth::grants::missing(name))
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}
