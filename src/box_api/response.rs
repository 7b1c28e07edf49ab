//! A response of Box before it is interpreted.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER, WWW_AUTHENTICATE};
use zeroize::Zeroizing;

use super::retry_after::{http_date, retry_after};

/// A response, read completely.
pub(super) struct BoxResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; `None` where it was longer than is read.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

impl BoxResponse {
    /// Returns the time of Box's clock.
    pub(super) fn date(&self) -> Option<Timestamp> {
        self.header(DATE.as_str()).and_then(http_date)
    }

    /// Returns the time that Box demands before the next call. A date is compared with Box's own clock if it
    /// shows one, otherwise with `now`.
    pub(super) fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        let value = self.header(RETRY_AFTER.as_str())?;
        retry_after(value, self.date().unwrap_or(now))
    }

    /// Returns Box's ID of the request, which its support asks for.
    pub(super) fn request_id(&self) -> Option<&str> {
        self.header("box-request-id")
    }

    /// Returns a parameter of the bearer challenge (RFC 6750, section 3), in which Box reports errors without
    /// a body.
    pub(super) fn challenge(&self, parameter: &str) -> Option<&str> {
        let challenge = self.header(WWW_AUTHENTICATE.as_str())?;
        let opening = format!("{parameter}=\"");
        let begins = |&(at, _): &(usize, &str)| {
            challenge[..at].bytes().next_back().is_none_or(|byte| byte == b' ' || byte == b',')
        };
        let (at, _) = challenge.match_indices(&opening).find(begins)?;
        challenge[at + opening.len()..].split('"').next()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_read_by_whole_parameter_names() {
        let mut headers = HeaderMap::new();
        let value = "Bearer realm=\"Service\", error_description=\"It, and more\", error=\"invalid_token\"";
        headers.insert(WWW_AUTHENTICATE, value.parse().unwrap());
        let answer = BoxResponse { status: 401, headers, body: None };
        assert_eq!(answer.challenge("error"), Some("invalid_token"));
        assert_eq!(answer.challenge("error_description"), Some("It, and more"));
        assert_eq!(answer.challenge("description"), None);
    }
}
