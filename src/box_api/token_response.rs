//! Minted tokens, and how they are read from the token endpoint's response.

use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::error::BoxError;
use super::response::BoxResponse;
use crate::clock::Monotonic;
use crate::domain::scope::Scope;
use crate::secret::SecretString;

/// A token as Box returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MintedToken {
    /// The access token.
    pub token: SecretString,
    /// Box's `expires_in`: the token's lifetime, counted from `asked_at` to be on the safe side.
    pub life: Duration,
    /// Both clocks just before the successful attempt.
    pub asked_at: (Timestamp, Monotonic),
    /// The restrictions that Box reports, one entry per scope and object; `None` if it reports none, as for
    /// full tokens.
    pub restricted_to: Option<Vec<RestrictedObject>>,
}

/// One entry of Box's `restricted_to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestrictedObject {
    /// The scope.
    pub scope: Scope,
    /// The object that the scope applies to; `None` if Box names none.
    pub object: Option<BoxObject>,
}

/// An object at Box, of any kind.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BoxObject {
    /// Box's name for the kind: `file`, `folder`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Box's ID of it.
    pub id: String,
}

/// A day in seconds: Box's tokens live for about an hour, so a longer life is a mistake that must not be cached.
const LONGEST_LIFE: u64 = 24 * 3600;

/// Box's tokens have 32 to some hundred characters.
const LONGEST_TOKEN: usize = 4096;

impl MintedToken {
    /// Reads a successful response of the token endpoint (RFC 6749, section 5.1).
    ///
    /// # Errors
    /// [`BoxError::Protocol`] for anything but a bearer token of visible ASCII with a valid lifetime. It
    /// repeats no part of the response.
    pub(super) fn read(answer: &BoxResponse, asked_at: (Timestamp, Monotonic)) -> Result<Self, BoxError> {
        #[derive(Deserialize)]
        struct Body {
            access_token: SecretString,
            token_type: String,
            expires_in: Option<Value>,
            restricted_to: Option<Vec<Entry>>,
        }
        #[derive(Deserialize)]
        struct Entry {
            scope: Scope,
            object: Option<BoxObject>,
        }

        let body: Body = read_json(answer, "a token")?;
        let token = body.access_token;
        let sound = (1..=LONGEST_TOKEN).contains(&token.expose().len())
            && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !sound {
            return Err(BoxError::protocol("access_token is not 1 to 4096 visible ASCII characters"));
        }
        if !body.token_type.eq_ignore_ascii_case("bearer") {
            return Err(BoxError::protocol("token_type is not bearer"));
        }
        let life = match body.expires_in.as_ref().and_then(Value::as_u64) {
            Some(seconds @ 1..=LONGEST_LIFE) => Duration::from_secs(seconds),
            _ => return Err(BoxError::protocol("expires_in is not a whole number of 1 to 86400 seconds")),
        };
        let entry = |entry: Entry| RestrictedObject { scope: entry.scope, object: entry.object };
        let restricted_to = body.restricted_to.map(|entries| entries.into_iter().map(entry).collect());
        Ok(Self { token, life, asked_at, restricted_to })
    }
}

/// Reads the body of a 200. A body that is not JSON comes from something in Box's place, as in an outage; JSON of
/// another form is Box's own. serde's error would quote the body and is left out.
pub(super) fn read_json<T: for<'de> Deserialize<'de>>(
    answer: &BoxResponse,
    what: &str,
) -> Result<T, BoxError> {
    let Some(body) = &answer.body else {
        return Err(BoxError::unavailable(format!("the body that should hold {what} is longer than 64 KiB")));
    };
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    serde_json::from_slice(body).map_err(|error| match error.is_data() || is_json() {
        true => BoxError::protocol(format!("the body does not hold {what}")),
        false => BoxError::unavailable(format!("the body that should hold {what} is not JSON")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn read(body: &str) -> Result<MintedToken, BoxError> {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let body = Some(zeroize::Zeroizing::new(body.as_bytes().to_vec()));
        let answer = BoxResponse { status: 200, headers: Default::default(), body };
        MintedToken::read(&answer, (clock.wall(), clock.monotonic()))
    }

    #[test]
    fn a_token_is_read_with_its_life() {
        let minted =
            read(r#"{"access_token":"tok","token_type":"BeArEr","expires_in":4175,"more":1}"#).unwrap();
        assert_eq!((minted.token.expose(), minted.life.as_secs()), ("tok", 4175));
        assert_eq!(minted.restricted_to, None);
    }

    #[test]
    fn absurd_lives_make_no_token() {
        for life in
            ["0", "-1", "86401", "1e400", "18446744073709551616", "4175.0", "\"4175\"", "null", "true", "[1]"]
        {
            let body = format!(r#"{{"access_token":"canary","token_type":"bearer","expires_in":{life}}}"#);
            let error = read(&body).unwrap_err();
            assert!(matches!(error, BoxError::Protocol { .. }), "{life}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{life}");
        }
        assert!(read(r#"{"access_token":"canary","token_type":"bearer"}"#).is_err(), "missing");
    }

    #[test]
    fn what_is_no_bearer_token_is_refused() {
        let long = "x".repeat(4097);
        for (token, kind) in [
            ("", "bearer"),
            ("has space", "bearer"),
            ("line\\nbreak", "bearer"),
            ("ä", "bearer"),
            (long.as_str(), "bearer"),
            ("tok", "mac"),
            ("tok", ""),
        ] {
            let body = format!(r#"{{"access_token":"{token}","token_type":"{kind}","expires_in":60}}"#);
            assert!(matches!(read(&body), Err(BoxError::Protocol { .. })), "{token:?} {kind}");
        }
        for body in ["null", "[]", r#"{"access_token":1,"token_type":"bearer","expires_in":60}"#] {
            assert!(matches!(read(body), Err(BoxError::Protocol { .. })), "{body}");
        }
        for body in ["", "<html>", r#"{"access_token":"tok","#] {
            assert!(
                matches!(read(body), Err(BoxError::Unavailable { .. })),
                "{body}: not Box's answer at all"
            );
        }
    }
}
