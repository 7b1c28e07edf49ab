//! Trusts: the conditions under which a token of an OIDC issuer authenticates as a caller.
//!
//! It compares the claims of tokens that have been verified already; verifying them is done by the module `auth`.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::id::TrustId;
use super::printable::is_printable_line;

/// The maximum length of an issuer, an audience or a pattern, in characters.
const MAX_LENGTH: usize = 512;
/// The maximum number of claims in a trust beside the subject, and the maximum length of a claim's name.
const MAX_CLAIMS: usize = 16;
const MAX_NAME_LENGTH: usize = 256;

/// The error for a text that cannot be part of a trust; the message describes a valid one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTrust(&'static str);

/// A pattern for the value of a claim: literal text in which `*` matches any number of characters within one part.
/// `/` and `:` separate parts. The pattern has to match the whole value. A literal `*` cannot be required.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimPattern(String);

impl ClaimPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`InvalidTrust`] if it is empty, longer than 512 characters or not printable.
    pub fn parse(text: &str) -> Result<Self, InvalidTrust> {
        if is_printable_line(text, MAX_LENGTH) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTrust(
                "a pattern is 1 to 512 printable characters, where `*` stands for any within one part of a \
                 value; `/` and `:` separate parts",
            ))
        }
    }

    /// Returns the pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the pattern matches the whole of `value`. The time is linear in both lengths.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let (mut pattern, mut value) = (self.0.as_str(), value);
        loop {
            let (expected, actual) = (PatternPart::first_of(pattern), PatternPart::first_of(value));
            if expected.separator != actual.separator || !part_matches(expected.text, actual.text) {
                return false;
            }
            if expected.separator.is_none() {
                return true;
            }
            (pattern, value) = (expected.rest, actual.rest);
        }
    }
}

/// The text before the first separator, and the rest behind it.
struct PatternPart<'a> {
    text: &'a str,
    separator: Option<char>,
    rest: &'a str,
}

impl<'a> PatternPart<'a> {
    fn first_of(text: &'a str) -> Self {
        match text.find(['/', ':']) {
            // Both separators are one byte long.
            Some(at) => {
                Self { text: &text[..at], separator: text[at..].chars().next(), rest: &text[at + 1..] }
            }
            None => Self { text, separator: None, rest: "" },
        }
    }
}

/// Compares one part. Each literal piece is matched where it occurs first: a later match would leave less text for
/// the following pieces, so no backtracking is needed.
fn part_matches(pattern: &str, value: &str) -> bool {
    let Some((head, others)) = pattern.split_once('*') else { return pattern == value };
    let (middle, tail) = others.rsplit_once('*').unwrap_or(("", others));
    let Some(rest) = value.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail)) else { return false };
    let mut pieces = middle.split('*');
    pieces.try_fold(rest, |rest, piece| rest.split_once(piece).map(|(_, behind)| behind)).is_some()
}

impl fmt::Display for ClaimPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for ClaimPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for ClaimPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Patterns by the name of their claim. A name that begins with `/` is a JSON pointer (RFC 6901) to a nested claim,
/// such as `/kubernetes.io/namespace`. Any other name is taken literally, dots included.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClaimPatterns(BTreeMap<String, ClaimPattern>);

impl ClaimPatterns {
    /// Checks and takes the patterns.
    ///
    /// # Errors
    /// [`InvalidTrust`] if there are more than 16, or a claim's name is invalid.
    pub fn new(patterns: BTreeMap<String, ClaimPattern>) -> Result<Self, InvalidTrust> {
        if patterns.len() > MAX_CLAIMS {
            return Err(InvalidTrust("a trust looks at 16 claims at most"));
        }
        if !patterns.keys().all(|name| is_claim_name(name)) {
            return Err(InvalidTrust(
                "a claim's name is 1 to 256 printable characters; one that begins with `/` is a JSON pointer, \
                 where `~` is written as `~0` and `/` as `~1`",
            ));
        }
        Ok(Self(patterns))
    }

    /// Returns the number of patterns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns true if there are no patterns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns true if each pattern matches its claim.
    fn match_all(&self, claims: &Map<String, Value>) -> bool {
        self.0.iter().all(|(name, pattern)| {
            find_claim(claims, name).is_some_and(|value| value_matches(pattern, value))
        })
    }
}

impl<'de> Deserialize<'de> for ClaimPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(BTreeMap::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

fn is_claim_name(name: &str) -> bool {
    let escapes_are_whole = || name.match_indices('~').all(|(at, _)| name[at + 1..].starts_with(['0', '1']));
    is_printable_line(name, MAX_NAME_LENGTH) && (!name.starts_with('/') || escapes_are_whole())
}

fn find_claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let Some(path) = name.strip_prefix('/') else { return claims.get(name) };
    let (first, rest) = path.find('/').map_or((path, ""), |at| path.split_at(at));
    claims.get(&first.replace("~1", "/").replace("~0", "~"))?.pointer(rest)
}

/// Returns true if a claim's value matches: a string by its text, a number or boolean by its JSON text, an array by
/// any of its elements. `null`, objects and nested arrays never match.
fn value_matches(pattern: &ClaimPattern, value: &Value) -> bool {
    let scalar_fits = |value: &Value| match value {
        Value::String(text) => pattern.matches(text),
        Value::Number(number) => pattern.matches(&number.to_string()),
        Value::Bool(flag) => pattern.matches(if *flag { "true" } else { "false" }),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    };
    match value {
        Value::Array(values) => values.iter().any(scalar_fits),
        value => scalar_fits(value),
    }
}

/// The conditions that a token has to meet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustConditions {
    /// The exact value of `iss`.
    pub issuer: String,
    /// The exact value of one of the audiences in `aud`.
    pub audience: Audience,
    /// The pattern for `sub`.
    pub subject: ClaimPattern,
    /// The patterns for other claims; all have to match.
    #[serde(default)]
    pub claims: ClaimPatterns,
}

/// The audience that a token has to name in `aud`, compared as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Audience(String);

impl Audience {
    /// Reads an audience.
    ///
    /// # Errors
    /// [`InvalidTrust`] if it is empty, longer than 512 characters or not printable.
    pub fn parse(text: &str) -> Result<Self, InvalidTrust> {
        if is_printable_line(text, MAX_LENGTH) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTrust("an audience is 1 to 512 printable characters, compared as a whole"))
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The claims of a verified token.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenClaims {
    /// The issuer (`iss`).
    pub issuer: String,
    /// The subject (`sub`).
    pub subject: String,
    /// The audiences (`aud`).
    pub audiences: Vec<String>,
    /// The token's id (`jti`), if it has one.
    pub token_id: Option<String>,
    /// The time of expiry (`exp`).
    pub expires_at: Timestamp,
    /// All claims.
    pub all: Map<String, Value>,
}

impl TrustConditions {
    /// Returns true if the token meets all conditions.
    #[must_use]
    pub fn matches(&self, token: &TokenClaims) -> bool {
        self.issuer == token.issuer
            && token.audiences.iter().any(|audience| audience == self.audience.as_str())
            && self.subject.matches(&token.subject)
            && self.claims.match_all(&token.all)
    }
}

/// A trust of a caller: tokens that meet its conditions authenticate as the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The immutable id.
    pub id: TrustId,
    /// The conditions that a token has to meet.
    #[serde(flatten)]
    pub conditions: TrustConditions,
    /// The time of creation.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests;
