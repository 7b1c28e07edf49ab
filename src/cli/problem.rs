//! The broker's problem documents (RFC 9457) as one line and an exit code.

use std::fmt::Write as _;

use reqwest::StatusCode;
use serde::Deserialize;

use super::failure::{Exit, Failure};
use super::terminal::plain;

#[derive(Default, Deserialize)]
#[serde(default)]
struct ProblemBody {
    detail: Option<String>,
    title: Option<String>,
    code: Option<String>,
    fix: Option<String>,
    request_id: Option<String>,
    retry: Option<String>,
    retry_after: Option<u64>,
    errors: Vec<FieldProblemBody>,
    upstream: Option<UpstreamBody>,
}

#[derive(Deserialize)]
struct FieldProblemBody {
    #[serde(default)]
    pointer: String,
    detail: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UpstreamBody {
    error_description: Option<String>,
}

/// Returns the failure that a status other than 2xx and its body describe.
pub(super) fn failure(status: StatusCode, body: &[u8]) -> Failure {
    let Ok(problem) = serde_json::from_slice::<ProblemBody>(body) else {
        let hint = if status.is_redirection() {
            "a redirect, which is not followed with a key"
        } else {
            "an answer that is not the broker's"
        };
        let exit = exit(status, None);
        return Failure::new(
            exit,
            format!("got {hint} (HTTP {status}): check BTB_URL and what stands before it"),
        );
    };
    Failure::new(exit(status, problem.retry.as_deref()), problem.line(status))
}

fn exit(status: StatusCode, retry: Option<&str>) -> Exit {
    match status.as_u16() {
        401 | 403 | 404 => Exit::NotAllowed,
        424 => Exit::BoxRefuses,
        429 | 503 => Exit::RetryLater,
        _ if retry == Some("after") => Exit::RetryLater,
        _ => Exit::Failed,
    }
}

impl ProblemBody {
    fn line(self, status: StatusCode) -> String {
        let mut line = self.detail.or(self.title).unwrap_or_else(|| format!("HTTP {status}"));
        for FieldProblemBody { pointer, detail } in &self.errors {
            let _ = write!(line, " | {pointer} {detail}");
        }
        if let Some(words) = self.upstream.and_then(|upstream| upstream.error_description) {
            let _ = write!(line, " | Box says: {words}");
        }
        if let Some(fix) = &self.fix {
            let _ = write!(line, " | {fix}");
        }
        if let Some(seconds) = self.retry_after {
            let _ = write!(line, " | Try again in {seconds} s.");
        }
        let code = self.code.unwrap_or_else(|| status.as_u16().to_string());
        let request = self.request_id.map(|id| format!(", request {id}")).unwrap_or_default();
        let _ = write!(line, " ({code}{request})");
        plain(&line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_one_line_with_its_fix_and_request() {
        let body =
            br#"{"type":"urn:x","status":424,"detail":"The admin\nhas not.","code":"app_not_authorized",
            "fix":"Authorize it.","request_id":"req_1","upstream":{"error":"unauthorized_client"}}"#;
        let failure = failure(StatusCode::FAILED_DEPENDENCY, body);
        assert_eq!(failure.exit(), Exit::BoxRefuses);
        assert_eq!(
            failure.to_string(),
            "The admin\u{fffd}has not. | Authorize it. (app_not_authorized, request req_1)"
        );
    }

    #[test]
    fn pointers_and_retry_times_are_in_the_line() {
        let body = br#"{"detail":"Refused.","errors":[{"pointer":"/a","detail":"is bad"}],"retry_after":3}"#;
        let failure = failure(StatusCode::UNPROCESSABLE_ENTITY, body);
        assert_eq!(failure.to_string(), "Refused. | /a is bad | Try again in 3 s. (422)");
    }

    #[test]
    fn statuses_map_to_exit_codes() {
        for (status, wanted) in [
            (400, Exit::Failed),
            (401, Exit::NotAllowed),
            (403, Exit::NotAllowed),
            (404, Exit::NotAllowed),
            (409, Exit::Failed),
            (424, Exit::BoxRefuses),
            (429, Exit::RetryLater),
            (500, Exit::Failed),
            (503, Exit::RetryLater),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(failure(status, b"{}").exit(), wanted, "{status}");
            assert_eq!(failure(status, b"<html>").exit(), wanted, "{status}");
        }
        assert_eq!(failure(StatusCode::BAD_GATEWAY, br#"{"retry":"after"}"#).exit(), Exit::RetryLater);
    }
}
