//! Queries, whose unknown and repeated parameters are refused.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::http::error::ApiError;
use crate::registry::FieldError;
use crate::registry::strict_json::{self, DecodeError};

/// The query of a route that takes no parameters.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoQuery {}

/// Parses a query, and refuses unknown and repeated parameters.
pub(crate) fn query<Q: DeserializeOwned>(text: &str) -> Result<Q, ApiError> {
    let mut document = serde_json::Map::new();
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()).into_owned() {
        if document.insert(name.clone(), serde_json::Value::String(value)).is_some() {
            return Err(ApiError::invalid("", format!("The query parameter `{name}` stands twice.")));
        }
    }
    strict_json::decode(serde_json::Value::Object(document)).map_err(|error| match error {
        DecodeError::Field(FieldError { pointer, detail }) => {
            ApiError::invalid(pointer, format!("In the query: {detail}"))
        }
        DecodeError::NotJson(error) => ApiError::Malformed(format!("The query cannot be read: {error}.")),
    })
}

/// Parses an RFC 3339 time, for an optional field.
pub(crate) fn time<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = Option::<String>::deserialize(field)? else { return Ok(None) };
    let told = "a time is written as RFC 3339 says, such as `2026-01-02T03:04:05Z`";
    text.parse().map(Some).map_err(|_| serde::de::Error::custom(told))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum QueryFlag {
    True,
    False,
}
