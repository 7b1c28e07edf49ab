//! RFC 9457 problem documents.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::registry::FieldError;

/// The advice on a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RetryAdvice {
    /// No: the request itself has to change.
    Never,
    /// Yes, after `retry_after` seconds.
    After,
    /// Yes, once an admin has done what `fix` says.
    Admin,
}

/// The scope of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ErrorScope {
    /// This request alone.
    Request,
    /// This subject or resource.
    Subject,
    /// This tenant.
    Tenant,
    /// Every tenant of this app.
    App,
    /// Everybody.
    Broker,
}

/// One field that cannot be accepted.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct FieldProblem {
    /// The field's JSON pointer (RFC 6901).
    pointer: String,
    /// The mistake.
    detail: String,
}

impl From<FieldError> for FieldProblem {
    fn from(FieldError { pointer, detail }: FieldError) -> Self {
        Self { pointer, detail }
    }
}

/// Box's own words.
#[derive(Clone, Debug, Default, Serialize, utoipa::ToSchema)]
pub(crate) struct UpstreamDetail {
    /// Box's `error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Box's `error_description`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_description: Option<String>,
    /// Box's id of the request, for its support.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// Why a request failed, before it has its request id.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub status: StatusCode,
    pub code: &'static str,
    pub title: &'static str,
    pub detail: String,
    pub retry: RetryAdvice,
    pub reach: ErrorScope,
    pub errors: Vec<FieldProblem>,
    /// Seconds.
    pub retry_after: Option<u64>,
    pub upstream: Option<UpstreamDetail>,
    pub fix: Option<String>,
    /// OAuth's name of it, for clients that speak Box, where its code does not tell that.
    pub oauth: Option<&'static str>,
    /// The reason for the audit if it differs from the code.
    pub reason: Option<&'static str>,
    /// The cause for the log, which the client never sees.
    pub cause: Option<String>,
}

impl Problem {
    /// A problem of this request alone, which trying again does not mend.
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            retry: RetryAdvice::Never,
            reach: ErrorScope::Request,
            errors: Vec::new(),
            retry_after: None,
            upstream: None,
            fix: None,
            oauth: None,
            reason: None,
            cause: None,
        }
    }

    pub(crate) fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    pub(crate) fn errors(mut self, errors: impl IntoIterator<Item = FieldError>) -> Self {
        self.errors = errors.into_iter().map(FieldProblem::from).collect();
        self
    }

    pub(crate) fn reach(mut self, reach: ErrorScope) -> Self {
        self.reach = reach;
        self
    }

    pub(crate) fn after(mut self, seconds: u64) -> Self {
        self.retry = RetryAdvice::After;
        self.retry_after = Some(seconds.max(1));
        self
    }

    pub(crate) fn by_admin(mut self) -> Self {
        self.retry = RetryAdvice::Admin;
        self
    }

    pub(crate) fn oauth(mut self, error: &'static str) -> Self {
        self.oauth = Some(error);
        self
    }

    pub(crate) fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }

    pub(crate) fn cause(mut self, cause: impl ToString) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// The document's JSON, now that the request's id is known.
    pub(crate) fn document(&self, request_id: &str) -> Vec<u8> {
        let document = ProblemDocument {
            kind: format!("urn:box-token-broker:problem:{}", self.code),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            retry: self.retry,
            reach: self.reach,
            errors: &self.errors,
            retry_after: self.retry_after,
            upstream: self.upstream.as_ref(),
            fix: self.fix.as_deref(),
        };
        // Texts and numbers always serialise.
        serde_json::to_vec(&document).unwrap_or_default()
    }

    /// The response, now that the request's id is known.
    pub(crate) fn render(&self, request_id: &str) -> Response {
        let mut response = Body::from(self.document(request_id)).into_response();
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Problem {
    /// Carries the problem to where the request's id is known and the log line is written.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(std::sync::Arc::new(self));
        response
    }
}

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// `urn:box-token-broker:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// The type of problem, a URN.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The problem, in a sentence.
    detail: &'a str,
    /// The code that programs act on.
    code: &'static str,
    /// The request's id, to be quoted when asking for help.
    request_id: &'a str,
    /// The advice on a retry.
    retry: RetryAdvice,
    /// The scope of the problem.
    #[serde(rename = "scope")]
    reach: ErrorScope,
    /// The fields that cannot be accepted.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(value_type = Vec<FieldProblem>, required = false)]
    errors: &'a [FieldProblem],
    /// The number of seconds after which to try again; also in `Retry-After`.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// Box's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<UpstreamDetail>)]
    upstream: Option<&'a UpstreamDetail>,
    /// The remedy for an admin.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a str>,
}
