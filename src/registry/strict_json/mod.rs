//! Strict decoding of JSON from clients, with error messages in JSON's own words.
//!
//! Every request body and every patch is decoded here. No error quotes a value, because it may be a secret in the
//! wrong place.

mod deserializer;

use serde::{Deserialize, Deserializer};

use self::deserializer::StrictDeserializer;
use crate::registry::error::{FieldError, RegistryError, pointer_of};

/// The reason why a document cannot be decoded.
#[derive(Debug)]
pub enum DecodeError {
    /// It is not JSON.
    NotJson(serde_json::Error),
    /// One of its fields cannot be accepted.
    Field(FieldError),
}

impl DecodeError {
    /// Returns the error of a request whose field at `pointer` holds the document.
    pub(super) fn in_field(self, pointer: &str) -> RegistryError {
        match self {
            Self::Field(error) => RegistryError::Invalid(vec![error]),
            Self::NotJson(error) => RegistryError::invalid(pointer, error.to_string()),
        }
    }
}

/// Decodes a document.
///
/// # Errors
/// The first error in the document.
pub fn decode<'de, T, D>(document: D) -> Result<T, DecodeError>
where
    T: Deserialize<'de>,
    D: Deserializer<'de, Error = serde_json::Error>,
{
    serde_path_to_error::deserialize(StrictDeserializer(document)).map_err(|error| {
        let pointer = pointer_of(error.path());
        let error = error.into_inner();
        let message = error.to_string();
        if error.is_data() {
            DecodeError::Field(FieldError::at(pointer, in_plain_words(&message)))
        } else if message.starts_with("recursion limit") {
            // The path is very deep here, so only its first field is named.
            let field = pointer.match_indices('/').nth(1).map_or(&*pointer, |(end, _)| &pointer[..end]);
            DecodeError::Field(FieldError::at(
                field,
                "Objects and arrays stand too deep in one another here.",
            ))
        } else {
            DecodeError::NotJson(error)
        }
    })
}

/// Deserializes a field of a patch that may be absent but not removed: `null` is an error.
///
/// # Errors
/// Those of `T`.
pub(super) fn non_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    field: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(field).map(Some)
}

/// Returns serde's message without the value that it quotes, and without words of Rust.
fn in_plain_words(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    if !message.starts_with("invalid ") && !message.starts_with("unknown variant ") {
        return message.to_owned();
    }
    let expected = message.rfind(", expected ").map(|place| &message[place + ", expected ".len()..]);
    match expected {
        Some(expected) => format!("Expected {}.", json_words(expected)),
        None => "This value has no use here.".to_owned(),
    }
}

/// Returns the words of JSON for a type of Rust.
fn json_words(expected: &str) -> &str {
    match expected {
        "a map" => "a JSON object",
        "a sequence" => "an array",
        "a boolean" => "`true` or `false`",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ if expected.starts_with("struct ") => "a JSON object",
        other => other,
    }
}
