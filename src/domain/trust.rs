//! Which tokens of an OIDC issuer open a caller: patterns over what the token says.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::id::TrustId;
use super::printable::is_printable_line;

/// How many characters an issuer, an audience or a pattern has at most.
const MAX_LENGTH: usize = 512;
/// How many claims a trust looks at beside the subject, and how long a claim's name is at most.
const MAX_CLAIMS: usize = 16;
const MAX_NAME_LENGTH: usize = 256;

/// Why a text is no part of a trust; the message says what one looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTrust(&'static str);

/// Literal text in which `*` stands for any run of characters, none at all too, within one part; `/`
/// and `:` separate parts. It is compared with the whole of a value, from its beginning to its end.
/// No pattern demands a literal `*`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimPattern(String);

impl ClaimPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// Where it is empty, longer than 512 characters, or holds what cannot be seen.
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

    /// The pattern's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True where the whole of `value` fits. The time is linear in both lengths.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let (mut pattern, mut value) = (self.0.as_str(), value);
        loop {
            let (wanted, given) = (PatternPart::first_of(pattern), PatternPart::first_of(value));
            if wanted.separator != given.separator || !part_matches(wanted.text, given.text) {
                return false;
            }
            if wanted.separator.is_none() {
                return true;
            }
            (pattern, value) = (wanted.rest, given.rest);
        }
    }
}

/// What stands before the first separator, and what behind it.
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

/// Compares one part. Each literal piece is taken where it comes first: a later place would leave less
/// for the pieces behind it, so nothing is ever tried twice.
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

/// Patterns by the name of the claim that each is for. A name that begins with `/` is a JSON pointer
/// (RFC 6901), for claims within claims: `/kubernetes.io/namespace`. Any other is the name of a claim
/// as it stands, dots and all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ClaimPatterns(BTreeMap<String, ClaimPattern>);

impl ClaimPatterns {
    /// Takes patterns over.
    ///
    /// # Errors
    /// Where there are more than 16, or a name is none.
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

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// True where each pattern matches its claim.
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

/// A text fits by itself, a number or boolean by its JSON text, an array by any of its elements;
/// `null`, objects and arrays within arrays fit nothing.
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

/// What a token has to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustConditions {
    /// Its `iss`, exactly.
    pub issuer: String,
    /// One of its `aud`, exactly.
    pub audience: Audience,
    /// Its `sub`.
    pub subject: ClaimPattern,
    /// Other claims, all of them.
    #[serde(default)]
    pub claims: ClaimPatterns,
}

/// What a token has to be made for: one of its `aud`, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Audience(String);

impl Audience {
    /// Reads an audience.
    ///
    /// # Errors
    /// Where it is empty, longer than 512 characters, or holds what cannot be seen.
    pub fn parse(text: &str) -> Result<Self, InvalidTrust> {
        if is_printable_line(text, MAX_LENGTH) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidTrust("an audience is 1 to 512 printable characters, compared as a whole"))
        }
    }

    /// The text.
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

/// What a token says that was verified.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenClaims {
    /// Its `iss`.
    pub issuer: String,
    /// Its `sub`.
    pub subject: String,
    /// Its `aud`.
    pub audiences: Vec<String>,
    /// Its `jti`, where it has one.
    pub token_id: Option<String>,
    /// Its `exp`.
    pub expires_at: Timestamp,
    /// All that it says.
    pub all: Map<String, Value>,
}

impl TrustConditions {
    /// True where the token says all that it has to.
    #[must_use]
    pub fn matches(&self, token: &TokenClaims) -> bool {
        self.issuer == token.issuer
            && token.audiences.iter().any(|audience| audience == self.audience.as_str())
            && self.subject.matches(&token.subject)
            && self.claims.match_all(&token.all)
    }
}

/// A trust of a caller: tokens that meet its conditions open the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trust {
    /// The immutable id.
    pub id: TrustId,
    /// What a token has to say.
    #[serde(flatten)]
    pub conditions: TrustConditions,
    /// When it was made.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests;
